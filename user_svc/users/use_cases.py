"""The rules about people."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from mesh import ids
from mesh.context import Caller
from mesh.errors import FieldViolation, InvalidArgument
from mesh.rpc.paging import Cursor, Page, page_size
from naming.email_address import check_email
from user_svc.access import check_reach, is_self
from user_svc.fields import check_text, locale_or_default, timezone_or_default
from user_svc.users.errors import AdministratorProtected, ExternalIdTaken, PasswordNeeded, UserNotFound
from user_svc.users.models import Role, User, UserChanges

_PAGES = Cursor("users", str)


# Checks and hashes a new password. Arguments: the field that errors name, the password, and words that a guesser would try first.
HashPassword = Callable[[str, str, Collection[str]], Awaitable[str]]


class UserStore(Protocol):
    """Where people are kept. Those of another project are as if they did not exist."""

    async def insert(self, project: str, user: User, password_hash: str | None) -> None:
        """Raises EmailTaken or ExternalIdTaken."""

    async def resolve(self, project: str, reference: str) -> str | None:
        """Our id of the person who has it, or has the reference as external id."""

    async def find(self, project: str, user_id: str) -> User | None: ...

    async def update(self, project: str, user_id: str, changes: UserChanges, now: datetime, *, etag: str = "") -> User | None:
        """The person after the change; None when there is none.

        Raises EmailTaken, ExternalIdTaken, or EtagMismatch when `etag` is given and not theirs.
        """

    async def delete(self, project: str, user_id: str) -> bool:
        """Removes the person with everything that belongs to them. False when there was none."""

    async def list_newest_first(self, project: str, email: str, before_id: str | None, limit: int) -> Sequence[User]:
        """People with a lesser id than `before_id`; only the one with the address where it is not empty."""


class Users:
    """Creates, reads, changes and removes people."""

    def __init__(self, store: UserStore, *, hash_password: HashPassword, now: Callable[[], datetime]) -> None:
        self._store = store
        self._hash_password = hash_password
        self._now = now

    async def create_user(self, project: str, changes: UserChanges, password: str, role: Role = Role.MEMBER) -> User:
        """Adds a person. Raises InvalidArgument, EmailTaken or ExternalIdTaken."""
        checked = _check(changes)
        if not (checked.email or checked.name or checked.external_id):
            violation = FieldViolation("email", "is required where there is no name")
            raise InvalidArgument("a person needs an e-mail address or a name", violations=[violation])
        if password and not checked.email:
            raise InvalidArgument.of("email", "is required for a person who logs in with a password")
        words = (checked.email or "", checked.name or "")
        password_hash = await self._hash_password("password", password, words) if password else None
        now = self._now()
        user = User(
            id=ids.new_id(),
            email=checked.email or "",
            name=checked.name or "",
            locale=checked.locale or locale_or_default("locale", ""),
            timezone=checked.timezone or timezone_or_default("timezone", ""),
            role=role,
            create_time=now,
            update_time=now,
            external_id=checked.external_id or "",
        )
        await self._store.insert(project, user, password_hash)
        return user

    async def resolve(self, caller: Caller, reference: str) -> str:
        """Our id for an id of ours or an external one; what belongs to no person comes back as it is, and is not found then.

        Only for callers who reach more than themselves: a person's own token knows its person by our id.
        """
        if is_self(caller, reference) or not caller.scopes or "\0" in reference:
            return reference
        return await self._store.resolve(caller.project, reference) or reference

    async def get_user(self, caller: Caller, user_id: str) -> User:
        """Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:read")
        user = await self._store.find(caller.project, existing_id(user_id))
        if user is None:
            raise UserNotFound
        return user

    async def list_users(self, project: str, email: str, requested_size: int, token: str) -> Page[User]:
        """A page, newest first. Raises InvalidArgument for a size or token that does not fit."""
        size = page_size(requested_size)
        filters = {"project": project, "email": check_email("email", email).lower() if email else ""}
        position = _PAGES.position(token, filters)
        before_id = existing_id(str(position[0])) if position else None
        users = await self._store.list_newest_first(project, filters["email"], before_id, size + 1)
        return _PAGES.page([((user.id,), user) for user in users], size, filters)

    async def update_user(self, caller: Caller, user_id: str, changes: UserChanges, *, etag: str = "") -> User:
        """Changes what is not None.

        Raises UserNotFound, NotOwner, PasswordNeeded, AdministratorProtected, InvalidArgument, EmailTaken or EtagMismatch.
        """
        check_reach(caller, user_id, "users:write")
        await self._check_change(caller, user_id, changes)
        checked = _check(changes, prefix="user.")
        user = await self._store.update(caller.project, existing_id(user_id), checked, self._now(), etag=etag)
        if user is None:
            raise UserNotFound
        return user

    async def upsert_user(self, caller: Caller, reference: str, changes: UserChanges, *, etag: str = "") -> User:
        """As `update_user`; where there is no such person, one is made whose external id is the reference (AIP-134).

        Raises what the two raise.
        """
        for last in (False, True):
            try:
                return await self.update_user(caller, await self.resolve(caller, reference), changes, etag=etag)
            except UserNotFound:
                check_reach(caller, reference, "users:write")
            try:
                return await self.create_user(caller.project, replace(changes, external_id=changes.external_id or reference), "")
            except ExternalIdTaken:
                if last:
                    raise
        raise UserNotFound

    async def _check_change(self, caller: Caller, user_id: str, changes: UserChanges) -> None:
        own = is_self(caller, user_id)
        if caller.has("users:admin") or (own and changes.email is None):
            return
        present = await self._store.find(caller.project, existing_id(user_id))
        if present is None:
            return
        if own:
            # reading, changing something else and writing it all back is no change of the address
            if changes.email != present.email:
                raise PasswordNeeded
        elif present.role is Role.ADMINISTRATOR:
            raise AdministratorProtected

    async def replace_email(self, project: str, user_id: str, email: str) -> None:
        """For a person who has proven who they are. Raises InvalidArgument, EmailTaken or UserNotFound."""
        changes = UserChanges(email=check_email("new_email", email))
        if await self._store.update(project, existing_id(user_id), changes, self._now()) is None:
            raise UserNotFound


def existing_id(user_id: str) -> str:
    """The id in its canonical form. Raises UserNotFound for what can't be an id, so that it never reaches the database."""
    canonical = ids.canonical(user_id)
    if canonical is None:
        raise UserNotFound
    return canonical


def _check(changes: UserChanges, prefix: str = "") -> UserChanges:
    return UserChanges(
        email=check_email(f"{prefix}email", changes.email) if changes.email else changes.email,
        name=None if changes.name is None else check_text(f"{prefix}name", changes.name),
        locale=None if changes.locale is None else locale_or_default(f"{prefix}locale", changes.locale),
        timezone=None if changes.timezone is None else timezone_or_default(f"{prefix}timezone", changes.timezone),
        external_id=changes.external_id,
    )
