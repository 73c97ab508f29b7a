"""The rules about people."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Protocol

from mesh import ids
from mesh.context import Caller
from mesh.errors import FieldViolation, InvalidArgument, ScopeMissing, ServiceError
from mesh.etag import EtagMismatch, check_etag
from mesh.rpc.paging import Cursor, Page, page_size
from naming.email_address import check_email
from naming.text import check_name
from user_svc.access import check_reach, is_self
from user_svc.fields import locale_or_default, timezone_or_default
from user_svc.users.attributes import check_attributes
from user_svc.users.contested import sort_out
from user_svc.users.errors import AccountAddressProtected, AdministratorProtected, EmailTaken, ExternalIdTaken, PasswordNeeded, UserNotFound
from user_svc.users.models import Role, User, UserChanges

_PAGES = Cursor("users", str)
# Turns in which people of one batch wait for addresses of each other.
_MOST_TURNS = 8


# Checks and hashes a new password. Arguments: the field that errors name, the password, and words that a guesser would try first.
HashPassword = Callable[[str, str, Collection[str]], Awaitable[str]]


class UserStore(Protocol):
    """Where people are kept. Those of another project are as if they did not exist."""

    async def insert(self, project: str, user: User, password_hash: str | None) -> None:
        """Raises EmailTaken or ExternalIdTaken."""

    async def resolve(self, project: str, reference: str) -> str | None:
        """Our id of the person who has it, or has the reference as external id."""

    async def find(self, project: str, user_id: str) -> User | None: ...

    async def find_by_device(self, project: str, token_sha256: bytes) -> User | None:
        """The person who has the device with this token, or had it before it was removed."""

    async def update(self, project: str, user_id: str, changes: UserChanges, now: datetime, *, etag: str = "") -> User | None:
        """The person after the change; None when there is none.

        Raises EmailTaken, ExternalIdTaken, or EtagMismatch when `etag` is given and not theirs.
        """

    async def ours(self, project: str, references: Sequence[str]) -> Collection[str]:
        """Those of the references that are our ids of people."""

    async def upsert_many(
        self,
        project: str,
        people: Sequence[UserChanges],
        defaults: UserChanges,
        now: datetime,
        *,
        administrators: bool,
        etags: Mapping[str, str],
    ) -> Mapping[str, str | EtagMismatch]:
        """Makes or changes people by their different external ids, all or none; what is not given is left, or taken from `defaults`.

        Our ids by external id, or that the person is not in the state of their one of the `etags`; those of administrators, and of who
        signs in and would get another address, are missing, unless `administrators`. Raises EmailTaken.
        """

    async def holders(self, project: str, people: Sequence[UserChanges]) -> Mapping[str, str]:
        """Of those whose address another person has, primary or verified: that one's external id, empty for none, by their own."""

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
            attributes=checked.attributes or {},
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

    async def look_up_user(self, project: str, device_token: str) -> User:
        """The person who has, or had, the device with this token. Raises UserNotFound."""
        user = await self._store.find_by_device(project, hashlib.sha256(device_token.encode()).digest())
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

        Raises UserNotFound, NotOwner, PasswordNeeded, ScopeMissing, AdministratorProtected, AccountAddressProtected, InvalidArgument,
        EmailTaken or EtagMismatch.
        """
        check_reach(caller, user_id, "users:write")
        await self.check_change(caller, user_id, changes)
        checked = _check(changes, prefix="user.")
        user = await self._store.update(caller.project, existing_id(user_id), checked, self._now(), etag=etag)
        if user is None:
            raise UserNotFound
        return user

    async def upsert_user(self, caller: Caller, reference: str, changes: UserChanges, *, etag: str = "") -> User:
        """As `update_user`; where there is no such person, one is made whose external id is the reference (AIP-134).

        Raises what the two raise; EtagMismatch too where there is no one whose state the etag could be.
        """
        for last in (False, True):
            try:
                return await self.update_user(caller, await self.resolve(caller, reference), changes, etag=etag)
            except UserNotFound:
                check_reach(caller, reference, "users:write")
            check_etag(etag, "")
            if changes.external_id not in {None, "", reference}:
                # or each repetition would try to make one more
                raise InvalidArgument.of("user.external_id", "must be the id in the path, by which there is no user yet")
            try:
                return await self.create_user(caller.project, replace(changes, external_id=reference), "")
            except ExternalIdTaken:
                if last:
                    raise
        raise UserNotFound

    async def upsert_users(
        self, caller: Caller, people: Sequence[UserChanges | ServiceError], etags: Mapping[int, str] | None = None
    ) -> list[str | ServiceError]:
        """Our id of each person, made or changed by their external id, or why not; errors among the `people` are answered as they are.

        `etags` are those that came with people, by their places.
        """
        states = etags or {}
        results: list[str | ServiceError | None] = [None] * len(people)
        fitting: dict[str, tuple[int, UserChanges]] = {}
        for index, person in enumerate(people):
            checked = person if isinstance(person, ServiceError) else _checked_alone(person)
            if isinstance(checked, ServiceError):
                results[index] = checked
            elif (external_id := checked.external_id or "") in fitting:
                first = fitting[external_id][0]
                results[index] = InvalidArgument.of("external_id", f"is that of users[{first}] too")
            else:
                fitting[external_id] = index, checked
        given = {external_id: etag for external_id, (index, _) in fitting.items() if (etag := states.get(index, ""))}
        # our id of a person means that one, as wherever a reference is given
        ours = await self._store.ours(caller.project, list(fitting))
        written = await self._write_most(
            caller, [checked for external_id, (_, checked) in fitting.items() if external_id not in ours], given
        )
        for external_id, (index, checked) in fitting.items():
            etag = given.get(external_id, "")
            results[index] = written.get(external_id) or await self._write_alone(caller, external_id, checked, etag=etag)
        return [result for result in results if result is not None]

    async def _write_most(
        self, caller: Caller, people: Sequence[UserChanges], etags: Mapping[str, str]
    ) -> Mapping[str, str | ServiceError]:
        """Writes together who can be; who is missing is to be written alone. An address of someone else stops its own person only."""
        results: dict[str, str | ServiceError] = {}
        rest = list(people)
        for _ in range(_MOST_TURNS):
            try:
                return {**results, **await self._write_together(caller, rest, etags)}
            except EmailTaken:
                free, waiting, refused = sort_out(rest, await self._store.holders(caller.project, rest))
            results |= {person.external_id or "": EmailTaken() for person in refused}
            try:
                results |= await self._write_together(caller, free, etags)
            except EmailTaken:  # given to someone in this very moment
                waiting = [*free, *waiting]
            if len(waiting) == len(rest):
                break
            rest = waiting
        return results

    async def _write_together(
        self, caller: Caller, people: Sequence[UserChanges], etags: Mapping[str, str]
    ) -> Mapping[str, str | EtagMismatch]:
        """Raises EmailTaken, and writes nothing, where one stands in the way of all."""
        if not people:
            return {}
        defaults = UserChanges(locale=locale_or_default("locale", ""), timezone=timezone_or_default("timezone", ""))
        own = {external_id: etags[external_id] for person in people if (external_id := person.external_id or "") in etags}
        return await self._store.upsert_many(
            caller.project, people, defaults, self._now(), administrators=caller.has("users:admin"), etags=own
        )

    async def _write_alone(self, caller: Caller, external_id: str, changes: UserChanges, *, etag: str = "") -> str | ServiceError:
        # the external id is the reference, which may be our own id of the person
        given = UserChanges(**{name: value or None for name, value in asdict(changes).items() if name != "external_id"})
        try:
            return (await self.upsert_user(caller, external_id, given, etag=etag)).id
        except ServiceError as error:
            return error

    async def check_change(self, caller: Caller, user_id: str, changes: UserChanges) -> None:
        """Raises PasswordNeeded, ScopeMissing, AdministratorProtected or AccountAddressProtected where the caller may not change this."""
        own = is_self(caller, user_id)
        if caller.has("users:admin") or (own and changes.email is None and changes.external_id is None and changes.attributes is None):
            return
        present = await self._store.find(caller.project, existing_id(user_id))
        if present is None:
            return
        if own:
            # reading, changing something else and writing it all back is no change of the address
            if changes.email not in {None, present.email}:
                raise PasswordNeeded
            # who takes another person's id in the caller's system gets what is sent to that person
            # and what the company knows of a person is not theirs to set, such as which plan they pay for
            others = changes.external_id not in {None, present.external_id} or changes.attributes not in (None, present.attributes)
            if others and not caller.has("users:write"):
                raise ScopeMissing("users:write")
        elif present.protected:
            raise AdministratorProtected
        elif present.signs_in and changes.email is not None and changes.email.lower() != present.email.lower():
            raise AccountAddressProtected

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


def _checked_alone(person: UserChanges) -> UserChanges | ServiceError:
    if not person.external_id:
        return InvalidArgument.of("external_id", "is required: it says who is meant")
    try:
        return _check(UserChanges(**{name: value or None for name, value in asdict(person).items()}))
    except ServiceError as error:
        return error


def _check(changes: UserChanges, prefix: str = "") -> UserChanges:
    return UserChanges(
        email=check_email(f"{prefix}email", changes.email) if changes.email else changes.email,
        name=None if changes.name is None else check_name(f"{prefix}name", changes.name),
        locale=None if changes.locale is None else locale_or_default(f"{prefix}locale", changes.locale),
        timezone=None if changes.timezone is None else timezone_or_default(f"{prefix}timezone", changes.timezone),
        external_id=changes.external_id,
        attributes=None if changes.attributes is None else check_attributes(f"{prefix}attributes", changes.attributes),
    )
