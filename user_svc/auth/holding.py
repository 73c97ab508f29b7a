"""What people may do outside of a session: by their roles, and by what issuers said of them at their last sign-in there. In PostgreSQL."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh import ids
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.errors import MakerGone
from user_svc.auth.models import SCOPES_OF_ROLE, Grant
from user_svc.auth.revocation_repository import revoke_keys, revoke_keys_made_by
from user_svc.tables import api_keys, identities, refresh_tokens, roles, users
from user_svc.users.models import Role

_OF_ROLES = text("""
    SELECT r.scopes FROM users u JOIN roles r ON r.project = u.project AND r.id = u.assigned_role WHERE u.id = CAST(:user_id AS uuid)
    UNION ALL
    SELECT r.scopes FROM identities i JOIN roles r ON r.project = i.project AND r.id = ANY(i.roles) WHERE i.user_id = CAST(:user_id AS uuid)
""")


def is_assigned() -> ColumnElement[bool]:
    """Of a row of `users` and one of `roles`: whether the person has the role."""
    return (roles.c.project == users.c.project) & (roles.c.id == users.c.assigned_role)


def works(now: datetime) -> ColumnElement[bool]:
    """Of a row of `api_keys`: whether the key is neither revoked nor past its end."""
    return api_keys.c.revoke_time.is_(None) & or_(api_keys.c.expire_time.is_(None), api_keys.c.expire_time > now)


async def scopes_of_roles(connection: AsyncConnection, project: str, names: Collection[str]) -> frozenset[str]:
    """What roles of a project let people do together; one that does not exist lets them do nothing."""
    if not names:
        return frozenset()
    found = select(roles.c.scopes).where(roles.c.project == project, roles.c.id.in_(names))
    return frozenset().union(*(await connection.execute(found)).scalars())


async def scopes_of_person(connection: AsyncConnection, user_id: str, role: Role) -> frozenset[str]:
    """By their roles, and by their groups at issuers as these last said; where that was not kept yet, by their sessions."""
    held = select(identities.c.scopes).where(identities.c.user_id == user_id)
    granted = list((await connection.execute(held)).scalars())
    if None in granted:
        sessions = select(refresh_tokens.c.scopes).where(refresh_tokens.c.user_id == user_id, refresh_tokens.c.expire_time > func.now())
        granted += (await connection.execute(sessions.where(refresh_tokens.c.scopes.is_not(None)))).scalars()
    granted += (await connection.execute(_OF_ROLES, {"user_id": user_id})).scalars()
    return SCOPES_OF_ROLE[role].union(*(scopes for scopes in granted if scopes is not None))


async def lock_maker(connection: AsyncConnection, maker: str, now: datetime) -> tuple[frozenset[str], datetime | None]:
    """What a key or person may do and until when; their row stays locked. Raises MakerGone for what works no more."""
    if ids.canonical(maker) is None:
        raise MakerGone
    key = (await connection.execute(select(api_keys).where(api_keys.c.id == maker, works(now)).with_for_update(read=True))).one_or_none()
    if key is not None:
        return frozenset(key.scopes), key.expire_time
    locked = select(users.c.role).where(users.c.id == maker).with_for_update(read=True)
    role = (await connection.execute(locked)).scalar_one_or_none()
    if role is None:
        raise MakerGone
    return await scopes_of_person(connection, maker, Role(role)), None


async def note_grant(connection: AsyncConnection, project: str, user_id: str, identity: ColumnElement[bool], grant: Grant) -> None:
    """Keeps what an issuer lets a person do from now on, and ends those of their keys that may do more, with all made by these.

    The person's row is locked, as for making a key: one that is being made is seen here, or looks at what is kept here.
    """
    locked = select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True)
    if (await connection.execute(locked)).one_or_none() is None:
        return  # erased in this very moment
    values: dict[str, Any] = {"scopes": sorted(grant.scopes), "roles": sorted(grant.roles)}
    await connection.execute(update(identities).where(identity).values(**values))
    await end_keys_beyond(connection, project, user_id, actor=person(user_id))


async def end_keys_beyond(connection: AsyncConnection, project: str, user_id: str, *, actor: str | None = None) -> None:
    """Ends keys of a person that may do more than they may by now, with all made by these. Their row must be locked."""
    role = (await connection.execute(select(users.c.role).where(users.c.id == user_id))).scalar_one()
    held = await scopes_of_person(connection, user_id, Role(role))
    within = api_keys.c.scopes.contained_by(sorted(held))
    keys = await revoke_keys(connection, (api_keys.c.created_by == user_id) & ~within)
    await revoke_keys_made_by(connection, keys)
    for key_id in keys:
        await record(connection, NewEvent(project, AuditKind.API_KEY_REVOKED, f"api_key:{key_id}", actor, {"why": "scopes_lost"}))
