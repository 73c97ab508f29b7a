"""Errors about devices."""

from mesh.errors import NotFound


class DeviceNotFound(NotFound):
    """The person has no such device."""

    reason = "DEVICE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the user has no device with this id")
