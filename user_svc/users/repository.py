"""People in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    Row,
    Text,
    Uuid,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh import ids
from mesh.etag import EtagMismatch, check_etag
from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.tables import devices, identities, user_addresses, users
from user_svc.users.attributes import normal, text_of
from user_svc.users.errors import EmailTaken, ExternalIdTaken
from user_svc.users.models import Role, User, UserChanges
from user_svc.users.protection import administers_by_issuer, protected_sql

_COLUMNS = (
    users.c.id, users.c.email, users.c.name, users.c.locale, users.c.timezone, users.c.role, users.c.create_time, users.c.update_time,
    users.c.external_id, users.c.attributes, users.c.email_verify_time.is_not(None).label("email_verified"),
    administers_by_issuer().label("administers_by_issuer"), users.c.assigned_role,
    # Whether the person has an account: a password, or a name at an issuer.
    or_(users.c.password_hash.is_not(None), exists().where(identities.c.user_id == users.c.id)).label("signs_in"),
)  # fmt: skip

_NULLABLE = ("email", "external_id", "attributes")

# Our own id first: what another person's external id looks like never takes it away.
_RESOLVE = text("""
    SELECT id::text FROM users WHERE project = :project AND id = :id
    UNION ALL
    SELECT id::text FROM users WHERE project = :project AND external_id = :reference
    LIMIT 1
""").bindparams(bindparam("id", type_=Uuid(as_uuid=False)))


_OURS = text("SELECT id::text FROM users WHERE project = :project AND id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid(as_uuid=False)))
)

_TEXTS = ARRAY(Text)
_PARTS = [bindparam(name, type_=_TEXTS) for name in ("external_ids", "emails", "names", "locales", "timezones", "attributes")]
_LOCK_MANY = text("""
    SELECT u.id::text AS id, u.email, u.password_hash IS NOT NULL OR EXISTS (SELECT 1 FROM identities i WHERE i.user_id = u.id) AS signs_in
    FROM users u WHERE u.project = :project AND u.external_id = ANY(:external_ids) ORDER BY u.id FOR UPDATE OF u
""").bindparams(bindparam("external_ids", type_=_TEXTS))
_UPDATE_MANY = text(f"""
    UPDATE users u SET
        email = COALESCE(given.email, u.email), name = COALESCE(given.name, u.name), locale = COALESCE(given.locale, u.locale),
        timezone = COALESCE(given.timezone, u.timezone), attributes = COALESCE(given.attributes::jsonb, u.attributes), update_time = :now
    FROM unnest(:external_ids, :emails, :names, :locales, :timezones, :attributes)
        AS given (external_id, email, name, locale, timezone, attributes)
    WHERE u.project = :project AND u.external_id = given.external_id AND (:administrators OR NOT (
        {protected_sql("u")} OR given.email IS NOT NULL AND lower(given.email) <> lower(COALESCE(u.email, '')) AND (
            u.password_hash IS NOT NULL OR EXISTS (SELECT 1 FROM identities i WHERE i.user_id = u.id)
        )
    ))
    RETURNING u.external_id, u.id::text AS id, u.email
""").bindparams(*_PARTS)
_INSERT_MANY = text("""
    INSERT INTO users (id, project, external_id, email, name, locale, timezone, attributes, role, create_time, update_time)
    SELECT given.id, :project, given.external_id, given.email, COALESCE(given.name, ''), COALESCE(given.locale, :locale),
        COALESCE(given.timezone, :timezone), given.attributes::jsonb, :role, :now, :now
    FROM unnest(:external_ids, :emails, :names, :locales, :timezones, :attributes, :ids)
        AS given (external_id, email, name, locale, timezone, attributes, id)
    ORDER BY given.external_id  -- so that two batches with common people never wait for each other in a circle
    ON CONFLICT (project, external_id) DO NOTHING
    RETURNING external_id, id::text AS id
""").bindparams(*_PARTS, bindparam("ids", type_=ARRAY(Uuid(as_uuid=False))))
_HOLDERS = text("""
    WITH given AS (
        SELECT external_id, lower(email) AS key FROM unnest(:external_ids, :emails) AS given (external_id, email) WHERE email IS NOT NULL
    )
    SELECT given.external_id, COALESCE(u.external_id, '') AS holder
        FROM given JOIN users u ON u.project = :project AND lower(u.email) = given.key
        WHERE u.external_id IS DISTINCT FROM given.external_id
    UNION ALL
    SELECT given.external_id, COALESCE(u.external_id, '') FROM given
        JOIN user_addresses a ON a.project = :project AND a.address_key = given.key AND a.verify_time IS NOT NULL
        JOIN users u ON u.id = a.user_id WHERE u.external_id IS DISTINCT FROM given.external_id
""").bindparams(*_PARTS[:2])


class UserRepository:
    """Implements `users.use_cases.UserStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, project: str, user: User, password_hash: str | None) -> None:
        """Raises EmailTaken or ExternalIdTaken."""
        values = {field.name: getattr(user, field.name) for field in fields(user)} | {"project": project, "role": user.role.value}
        for follows in ("email_verified", "administers_by_issuer", "signs_in", "assigned_role"):
            del values[follows]  # from what else is kept, or later
        nullable = {name: getattr(user, name) or None for name in _NULLABLE} | {"password_hash": password_hash}
        statement = insert(users).values(**values | nullable)
        try:
            async with self._database.begin() as connection:
                await connection.execute(statement)
                if user.role is not Role.MEMBER:
                    role = {"role": user.role.value}
                    await record(connection, NewEvent(project, AuditKind.ROLE_CHANGED, person(user.id), details=role))
        except IntegrityError as error:
            raise _taken(error) from None

    async def find(self, project: str, user_id: str) -> User | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(*_COLUMNS).where(is_user(project, user_id)))).one_or_none()
        return None if row is None else _user(row)

    async def find_by_device(self, project: str, token_sha256: bytes) -> User | None:
        owner = select(devices.c.user_id).where(devices.c.project == project, devices.c.token_sha256 == token_sha256)
        async with self._database.connect() as connection:
            row = (await connection.execute(select(*_COLUMNS).where(users.c.id.in_(owner)))).one_or_none()
        return None if row is None else _user(row)

    async def update(self, project: str, user_id: str, changes: UserChanges, now: datetime, *, etag: str = "") -> User | None:
        """The person after the change; None when there is none.

        Raises EmailTaken, ExternalIdTaken, or EtagMismatch when `etag` is given and not theirs.
        """
        values: dict[str, Any] = {name: value for name, value in _items(changes) if value is not None}
        if not values:
            user = await self.find(project, user_id)
            if user is not None:
                check_etag(etag, user.etag)
            return user
        values |= {name: values[name] or None for name in _NULLABLE if name in values}
        statement = update(users).where(is_user(project, user_id)).values(**values, update_time=now).returning(*_COLUMNS)
        try:
            async with self._database.begin() as connection:
                before = await _locked(connection, project, user_id) if etag or "email" in values else None
                if before is not None:
                    user = _user(before)
                    check_etag(etag, user.etag, done=changes.are_made_on(user))
                row = (await connection.execute(statement)).one_or_none()
                if before is not None and row is not None:
                    await _note_address(connection, project, before, row.email)
        except IntegrityError as error:
            raise _taken(error) from None
        return None if row is None else _user(row)

    async def resolve(self, project: str, reference: str) -> str | None:
        async with self._database.connect() as connection:
            given = {"project": project, "reference": reference, "id": ids.canonical(reference)}
            return (await connection.execute(_RESOLVE, given)).scalar_one_or_none()

    async def ours(self, project: str, references: Sequence[str]) -> Collection[str]:
        wanted = {reference: identifier for reference in references if (identifier := ids.canonical(reference)) is not None}
        if not wanted:
            return frozenset()
        async with self._database.connect() as connection:
            found = set((await connection.execute(_OURS, {"project": project, "ids": list(wanted.values())})).scalars())
        return [reference for reference, identifier in wanted.items() if identifier in found]

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
        """In order of the id, so that two batches with common people never wait for each other in a circle."""
        async with self._database.begin() as connection:
            try:
                external_ids = [person.external_id for person in people]
                locked = await connection.execute(_LOCK_MANY, {"project": project, "external_ids": external_ids})
                before = {row.id: row for row in locked}
                stale = await _stale(connection, project, people, etags)
                people = [person for person in people if person.external_id not in stale]
                given = {**_columns(people), "project": project, "now": now}
                changed = (await connection.execute(_UPDATE_MANY, {**given, "administrators": administrators})).all()
                for row in changed:
                    if row.id in before:
                        await _note_address(connection, project, before[row.id], row.email)
                found = {row.external_id: row.id for row in changed}
                rest = [person for person in people if person.external_id not in found]
                made = {**given, **_columns(rest), "ids": [ids.new_id() for _ in rest], "role": Role.MEMBER.value}
                inserted = await connection.execute(_INSERT_MANY, {**made, "locale": defaults.locale, "timezone": defaults.timezone})
                found |= {row.external_id: row.id for row in inserted}
            except IntegrityError as error:
                raise _taken(error) from None
        return {**found, **stale}

    async def holders(self, project: str, people: Sequence[UserChanges]) -> Mapping[str, str]:
        given = {"external_ids": [person.external_id for person in people], "emails": [person.email or None for person in people]}
        async with self._database.connect() as connection:
            rows = await connection.execute(_HOLDERS, {**given, "project": project})
            return {row.external_id: row.holder for row in rows}

    async def delete(self, project: str, user_id: str) -> bool:
        """Foreign keys take devices, preferences and refresh tokens along."""
        async with self._database.begin() as connection:
            return bool((await connection.execute(delete(users).where(is_user(project, user_id)))).rowcount)

    async def list_newest_first(self, project: str, email: str, before_id: str | None, limit: int) -> Sequence[User]:
        """Ids are UUIDv7, so their order is that of creation."""
        statement = select(*_COLUMNS).where(users.c.project == project).order_by(users.c.id.desc()).limit(limit)
        if email:
            statement = statement.where(users.c.id.in_(holders_of(project, email)))
        if before_id is not None:
            statement = statement.where(users.c.id < before_id)
        async with self._database.connect() as connection:
            return [_user(row) for row in await connection.execute(statement)]


def is_user(project: str, user_id: str) -> ColumnElement[bool]:
    """The person with the id, if they are of the project."""
    return (users.c.id == user_id) & (users.c.project == project)


def holders_of(project: str, address_key: str) -> CompoundSelect[str]:
    """Ids of who has the address, which is in lower case, as the primary or as a further one that is verified: of one person at most."""
    primary = select(users.c.id).where(users.c.project == project, func.lower(users.c.email) == address_key)
    further = select(user_addresses.c.user_id).where(
        user_addresses.c.project == project, user_addresses.c.address_key == address_key, user_addresses.c.verify_time.is_not(None)
    )
    return union_all(primary, further)


async def _locked(connection: AsyncConnection, project: str, user_id: str) -> Row[*tuple[Any, ...]] | None:
    """The person, whose row is locked, so that nothing comes between a comparison and the change."""
    statement = select(*_COLUMNS).where(is_user(project, user_id)).with_for_update(of=users)
    return (await connection.execute(statement)).one_or_none()


async def _stale(
    connection: AsyncConnection, project: str, people: Sequence[UserChanges], etags: Mapping[str, str]
) -> dict[str, EtagMismatch]:
    """Of people who are locked, by their external ids: whose state is another one than that of the etag."""
    if not etags:
        return {}
    wanted = select(*_COLUMNS).where(users.c.project == project, users.c.external_id.in_(etags))
    present = {row.external_id: _user(row) for row in await connection.execute(wanted)}
    changes = {person.external_id: person for person in people}
    stale = {}
    for external_id, etag in etags.items():
        user = present.get(external_id)
        try:
            check_etag(etag, user.etag if user else "", done=user is not None and changes[external_id].given.are_made_on(user))
        except EtagMismatch as error:
            stale[external_id] = error
    return stale


async def _note_address(connection: AsyncConnection, project: str, before: Row[*tuple[Any, ...]], address: str | None) -> None:
    """Who changes the address of an account is on record, be it their own or another person's."""
    if before.signs_in and before.email != address:
        await record(connection, NewEvent(project, AuditKind.EMAIL_CHANGED, person(before.id)))


def _columns(people: Sequence[UserChanges]) -> dict[str, Any]:
    """What is given of each; an empty text is not given."""
    return {
        "external_ids": [person.external_id for person in people],
        "emails": [person.email or None for person in people],
        "names": [person.name or None for person in people],
        "locales": [person.locale or None for person in people],
        "timezones": [person.timezone or None for person in people],
        "attributes": [text_of(person.attributes) if person.attributes else None for person in people],
    }


def _taken(error: IntegrityError) -> EmailTaken | ExternalIdTaken:
    """Which of the two unique values another person has: PostgreSQL names the index."""
    return ExternalIdTaken() if "users_external_id" in str(error.orig) else EmailTaken()


def _items(changes: UserChanges) -> list[tuple[str, Any]]:
    return [(field.name, getattr(changes, field.name)) for field in fields(changes)]


def _user(row: Row[*tuple[Any, ...]]) -> User:
    return User(
        id=row.id,
        email=row.email or "",
        name=row.name,
        locale=row.locale,
        timezone=row.timezone,
        role=Role(row.role),
        create_time=row.create_time,
        update_time=row.update_time,
        external_id=row.external_id or "",
        attributes=normal(row.attributes or {}),
        email_verified=row.email_verified,
        administers_by_issuer=row.administers_by_issuer,
        signs_in=row.signs_in,
        assigned_role=row.assigned_role or "",
    )
