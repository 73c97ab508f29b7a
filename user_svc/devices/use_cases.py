"""The rules about devices."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from mesh import ids
from mesh.context import Caller
from user_svc.access import check_reach
from user_svc.devices.errors import DeviceNotFound
from user_svc.devices.models import Device, Platform
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id


class DeviceStore(Protocol):
    """Where devices are kept. People of another project are as if they did not exist."""

    async def register(self, project: str, device: Device) -> Device | None:
        """Stores the device, or answers the person's own one with this token; takes the token from another person of the project.

        Of more than MAX_DEVICES the one that was seen longest ago is a tombstone then. None when there is no such person.
        """

    async def list_newest_first(self, project: str, user_id: str, *, removed: bool = False) -> Sequence[Device] | None:
        """The person's devices, with the removed ones where `removed`; None when there is no such person."""

    async def delete(self, project: str, user_id: str, device_id: str) -> bool:
        """False when the person has no such device."""


class Devices:
    """Registers, lists and removes a person's devices."""

    def __init__(self, store: DeviceStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def create_device(self, caller: Caller, user_id: str, token: str, platform: Platform, app: str = "") -> Device:
        """Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:write")
        now = self._now()
        wanted = Device(ids.new_id(), existing_id(user_id), token, platform, now, now, app)
        device = await self._store.register(caller.project, wanted)
        if device is None:
            raise UserNotFound
        return device

    async def list_devices(self, caller: Caller, user_id: str, *, show_removed: bool = False) -> Sequence[Device]:
        """Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:read")
        devices = await self._store.list_newest_first(caller.project, existing_id(user_id), removed=show_removed)
        if devices is None:
            raise UserNotFound
        return devices

    async def delete_device(self, caller: Caller, user_id: str, device_id: str) -> None:
        """Raises DeviceNotFound, UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:write")
        canonical = ids.canonical(device_id)
        if canonical is None or not await self._store.delete(caller.project, existing_id(user_id), canonical):
            raise DeviceNotFound
