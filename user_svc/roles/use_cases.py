"""The rules about roles. What a caller may give and take is looked at where it is written, in one transaction with it."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from mesh.context import Caller
from mesh.rpc.paging import Cursor, Page, page_size
from user_svc.roles.errors import LiveKeyNeeded, RoleInUse, RoleNotFound
from user_svc.roles.models import OperatorRole, RoleChanges
from user_svc.users.use_cases import existing_id

_PAGES = Cursor("roles", str)


class RoleStore(Protocol):
    """Where roles are kept. Those of another project, and its people, are as if they did not exist.

    What changes them raises BeyondOwn where the role has, had or would have a scope that the caller does not hold at this moment, OwnRole
    where the caller would gain by it, and MakerGone where the caller's credential works no more.
    """

    async def add(self, caller: Caller, role: OperatorRole) -> None:
        """Raises RoleExists or TooManyRoles."""

    async def find(self, project: str, identifier: str) -> OperatorRole | None: ...

    async def list_by_id(self, project: str, after: str, limit: int) -> Sequence[OperatorRole]: ...

    async def change(self, caller: Caller, identifier: str, changes: RoleChanges, now: datetime, *, etag: str = "") -> OperatorRole | None:
        """None when there is none. Ends keys that those who have it could not make any more. Raises EtagMismatch."""

    async def delete(self, caller: Caller, identifier: str, now: datetime) -> None:
        """What does not exist is no error. Raises RoleInUse."""

    async def assign(self, caller: Caller, user_id: str, identifier: str, now: datetime) -> None:
        """In place of what the person has; empty for none. Raises RoleNotFound, UserNotFound or AdministratorProtected."""


class Roles:
    """Reads, changes and gives roles. `mapped` are the projects and ids of those that groups of issuers have."""

    def __init__(self, store: RoleStore, *, mapped: Collection[tuple[str, str]], now: Callable[[], datetime]) -> None:
        self._store = store
        self._mapped = mapped
        self._now = now

    async def create_role(self, caller: Caller, identifier: str, values: RoleChanges) -> OperatorRole:
        """Raises what `RoleStore.add` raises, or LiveKeyNeeded."""
        _refuse_test(caller)
        now = self._now()
        role = OperatorRole(identifier, values.description or "", values.scopes or (), now, now)
        await self._store.add(caller, role)
        return role

    async def get_role(self, caller: Caller, identifier: str) -> OperatorRole:
        """Raises RoleNotFound."""
        role = None if "\0" in identifier else await self._store.find(caller.project, identifier)
        if role is None:
            raise RoleNotFound
        return role

    async def list_roles(self, caller: Caller, requested_size: int, token: str) -> Page[OperatorRole]:
        """A page in the order of the ids. Raises InvalidArgument for a size or token that does not fit."""
        size, filters = page_size(requested_size), {"project": caller.project}
        position = _PAGES.position(token, filters)
        found = await self._store.list_by_id(caller.project, str(position[0]) if position else "", size + 1)
        return _PAGES.page([((role.id,), role) for role in found], size, filters)

    async def update_role(self, caller: Caller, identifier: str, changes: RoleChanges, *, etag: str = "") -> OperatorRole:
        """Raises RoleNotFound, LiveKeyNeeded, or what `RoleStore.change` raises."""
        _refuse_test(caller)
        role = None if "\0" in identifier else await self._store.change(caller, identifier, changes, self._now(), etag=etag)
        if role is None:
            raise RoleNotFound
        return role

    async def delete_role(self, caller: Caller, identifier: str) -> None:
        """What does not exist is no error. Raises RoleInUse, LiveKeyNeeded, or what `RoleStore.delete` raises."""
        _refuse_test(caller)
        if (caller.project, identifier) in self._mapped:
            raise RoleInUse("CLARION_OIDC_FILE gives it to a group of an issuer; take it out there first")
        if "\0" not in identifier:
            await self._store.delete(caller, identifier, self._now())

    async def assign_role(self, caller: Caller, user_id: str, identifier: str) -> str:
        """Our id of the person. Raises RoleNotFound, UserNotFound, LiveKeyNeeded, or what `RoleStore.assign` raises."""
        _refuse_test(caller)
        person = existing_id(user_id)
        if "\0" in identifier:
            raise RoleNotFound
        await self._store.assign(caller, person, identifier, self._now())
        return person


def _refuse_test(caller: Caller) -> None:
    if caller.test:
        raise LiveKeyNeeded
