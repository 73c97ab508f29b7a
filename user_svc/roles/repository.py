"""Roles in PostgreSQL. The caller's row stays locked while it gives or takes, so that no one gives what they have just lost."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Uuid, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.context import Caller
from mesh.etag import check_etag
from mesh.stores.database import Database
from user_svc.addresses.repository import withdraw_change
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.holding import end_keys_beyond, lock_maker
from user_svc.roles.errors import BeyondOwn, OwnRole, RoleExists, RoleInUse, RoleNotFound, TooManyRoles
from user_svc.roles.models import MOST_ROLES, MOST_SHOWN, OperatorRole, RoleChanges
from user_svc.tables import projects, roles, users
from user_svc.users.errors import AdministratorProtected, UserNotFound
from user_svc.users.models import Role
from user_svc.users.protection import administers_by_issuer
from user_svc.users.repository import is_user

# The caller's person: that of a token, or who has made the key, or the key that made it.
_IS_OF_PERSON = text("""
    WITH RECURSIVE makers AS (
        SELECT CAST(:caller AS text) AS id
        UNION SELECT k.created_by FROM api_keys k JOIN makers m ON k.id::text = m.id
    )
    SELECT EXISTS (SELECT 1 FROM makers WHERE id = CAST(:person AS text))
""")
# Those who have the role, by its being assigned or by what an issuer last said; locked in one order.
_HOLDERS = text("""
    SELECT u.id::text AS id FROM users u
    WHERE u.id IN (
        SELECT id FROM users WHERE project = :project AND assigned_role = :role
        UNION SELECT user_id FROM identities WHERE project = :project AND :role = ANY(roles)
    )
    ORDER BY u.id FOR NO KEY UPDATE OF u
""")
_FORGET_IDENTITIES = text("UPDATE identities SET roles = array_remove(roles, :role) WHERE project = :project AND :role = ANY(roles)")
_FORGET_SESSIONS = text("""
    UPDATE refresh_tokens SET roles = array_remove(roles, :role)
    WHERE user_id IN (SELECT user_id FROM identities WHERE project = :project) AND :role = ANY(roles)
""")
_LOCK_BOTH = text("SELECT id FROM users WHERE id IN (:one, :other) ORDER BY id FOR NO KEY UPDATE").bindparams(
    bindparam("one", type_=Uuid(as_uuid=False)), bindparam("other", type_=Uuid(as_uuid=False))
)


class RoleRepository:
    """Implements `roles.use_cases.RoleStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, caller: Caller, role: OperatorRole) -> None:
        project = caller.project
        values = {"project": project, "id": role.id, "description": role.description, "scopes": list(role.scopes)}
        try:
            async with self._database.begin() as connection:
                # the project's row, so that two at a time are not one too many
                await connection.execute(select(projects.c.id).where(projects.c.id == project).with_for_update(key_share=True))
                await _check_holds(connection, caller, role.scopes, role.create_time)
                present = select(func.count()).select_from(roles).where(roles.c.project == project)
                if (await connection.execute(present)).scalar_one() >= MOST_ROLES:
                    raise TooManyRoles(MOST_ROLES)
                times = {"create_time": role.create_time, "update_time": role.update_time}
                await connection.execute(insert(roles).values(**values, **times))
                # a group of an issuer may have named it before there was one
                for user_id in await _holders(connection, project, role.id):
                    await _refuse_own(connection, caller, user_id)
                await _note(connection, project, AuditKind.ROLE_CREATED, role.id, role.scopes)
        except IntegrityError:
            raise RoleExists(role.id) from None

    async def find(self, project: str, identifier: str) -> OperatorRole | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(_shown().where(_is(project, identifier)))).one_or_none()
        return None if row is None else _role(row)

    async def list_by_id(self, project: str, after: str, limit: int) -> Sequence[OperatorRole]:
        statement = _shown().where(roles.c.project == project, roles.c.id > after).order_by(roles.c.id).limit(limit)
        async with self._database.connect() as connection:
            return [_role(row) for row in await connection.execute(statement)]

    async def change(self, caller: Caller, identifier: str, changes: RoleChanges, now: datetime, *, etag: str = "") -> OperatorRole | None:
        project = caller.project
        values: dict[str, Any] = {name: value for name, value in changes._asdict().items() if value is not None}
        async with self._database.begin() as connection:
            present = await _locked(connection, project, identifier)
            if present is None:
                return None
            check_etag(etag, present.etag, done=bool(values) and all(getattr(present, name) == value for name, value in values.items()))
            scopes = present.scopes if changes.scopes is None else changes.scopes
            await _check_holds(connection, caller, {*present.scopes, *scopes}, now)
            if set(scopes) != set(present.scopes):
                holders = await _holders(connection, project, identifier)
                for user_id in holders if set(scopes) - set(present.scopes) else ():
                    await _refuse_own(connection, caller, user_id)
                await connection.execute(update(roles).where(_is(project, identifier)).values(**values, update_time=now))
                for user_id in holders:
                    await end_keys_beyond(connection, project, user_id)
                await _note(connection, project, AuditKind.ROLE_UPDATED, identifier, scopes)
            elif values:
                await connection.execute(update(roles).where(_is(project, identifier)).values(**values, update_time=now))
            return _role((await connection.execute(_shown().where(_is(project, identifier)))).one())

    async def delete(self, caller: Caller, identifier: str, now: datetime) -> None:
        project = caller.project
        async with self._database.begin() as connection:
            present = await _locked(connection, project, identifier)
            if present is None:
                return
            await _check_holds(connection, caller, present.scopes, now)
            assigned = select(func.count()).select_from(users).where(users.c.project == project, users.c.assigned_role == identifier)
            count = (await connection.execute(assigned)).scalar_one()
            if count:
                raise RoleInUse(f"{count} {'person has' if count == 1 else 'people have'} it; give them another one or none first")
            # by an issuer that gives it no more, but has not named them again since
            holders = await _holders(connection, project, identifier)
            for forget in (_FORGET_IDENTITIES, _FORGET_SESSIONS):
                await connection.execute(forget, {"project": project, "role": identifier})
            await connection.execute(delete(roles).where(_is(project, identifier)))
            for user_id in holders:
                await end_keys_beyond(connection, project, user_id)
            await _note(connection, project, AuditKind.ROLE_DELETED, identifier, present.scopes)

    async def assign(self, caller: Caller, user_id: str, identifier: str, now: datetime) -> None:
        project = caller.project
        async with self._database.begin() as connection:
            wanted = await _locked(connection, project, identifier, shared=True) if identifier else None
            if identifier and wanted is None:
                raise RoleNotFound
            await connection.execute(_LOCK_BOTH, {"one": user_id, "other": caller.user_id or user_id})
            administers = or_(users.c.role == Role.ADMINISTRATOR, administers_by_issuer()).label("administers")
            target = select(administers, users.c.assigned_role).where(is_user(project, user_id)).with_for_update(key_share=True, of=users)
            row = (await connection.execute(target)).one_or_none()
            if row is None:
                raise UserNotFound
            if row.administers and not caller.has("users:admin"):
                raise AdministratorProtected
            before = await _locked(connection, project, row.assigned_role, shared=True) if row.assigned_role else None
            touched = {*(wanted.scopes if wanted else ()), *(before.scopes if before else ())}
            await _check_holds(connection, caller, touched, now)
            if wanted is not None:
                await _refuse_own(connection, caller, user_id)
            if row.assigned_role == (identifier or None):
                return
            await connection.execute(update(users).where(is_user(project, user_id)).values(assigned_role=identifier or None))
            await withdraw_change(connection, user_id)
            await end_keys_beyond(connection, project, user_id)
            await record(connection, NewEvent(project, AuditKind.ROLE_CHANGED, person(user_id), details={"role": identifier}))


async def _check_holds(connection: AsyncConnection, caller: Caller, scopes: Collection[str], now: datetime) -> None:
    """Both by the credential and by what the person or key behind it may at this moment. Raises BeyondOwn or MakerGone."""
    held, _ = await lock_maker(connection, caller.id, now)
    for scope in sorted(scopes):
        if not caller.has(scope) or scope not in held:
            raise BeyondOwn(scope)


async def _refuse_own(connection: AsyncConnection, caller: Caller, user_id: str) -> None:
    if (await connection.execute(_IS_OF_PERSON, {"caller": caller.id, "person": user_id})).scalar_one():
        raise OwnRole


async def _holders(connection: AsyncConnection, project: str, identifier: str) -> list[str]:
    found = await connection.execute(_HOLDERS, {"project": project, "role": identifier})
    return [row.id for row in found]


async def _locked(connection: AsyncConnection, project: str, identifier: str, *, shared: bool = False) -> OperatorRole | None:
    statement = select(roles).where(_is(project, identifier))
    locking = statement.with_for_update(read=True) if shared else statement.with_for_update()
    row = (await connection.execute(locking)).one_or_none()
    return None if row is None else OperatorRole(row.id, row.description, tuple(row.scopes), row.create_time, row.update_time)


async def _note(connection: AsyncConnection, project: str, kind: AuditKind, identifier: str, scopes: Collection[str]) -> None:
    await record(connection, NewEvent(project, kind, f"role:{identifier}", details={"scopes": " ".join(sorted(scopes))}))


def _is(project: str, identifier: str) -> ColumnElement[bool]:
    return (roles.c.project == project) & (roles.c.id == identifier)


def _shown() -> Any:
    """With the first people who have it."""
    of_role = (users.c.project == roles.c.project) & (users.c.assigned_role == roles.c.id)
    first = select(users.c.id).where(of_role).order_by(users.c.id).limit(MOST_SHOWN).correlate(roles).lateral("first_people")
    people = select(func.array_agg(aggregate_order_by(first.c.id, first.c.id))).correlate(roles).scalar_subquery()
    return select(roles, people.label("user_ids"))


def _role(row: Row[*tuple[Any, ...]]) -> OperatorRole:
    people = tuple(str(user_id) for user_id in row.user_ids or ())
    return OperatorRole(row.id, row.description, tuple(row.scopes), row.create_time, row.update_time, people)
