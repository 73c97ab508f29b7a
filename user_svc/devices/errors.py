"""Errors about devices."""

from mesh.errors import FailedPrecondition, NotFound
from user_svc.devices.models import MAX_DEVICES


class DeviceNotFound(NotFound):
    """The person has no such device."""

    reason = "DEVICE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the user has no device with this id")


class TooManyDevices(FailedPrecondition):
    """One must go before another can come."""

    reason = "TOO_MANY_DEVICES"

    def __init__(self) -> None:
        super().__init__(f"a user may have at most {MAX_DEVICES} devices; delete one first")
