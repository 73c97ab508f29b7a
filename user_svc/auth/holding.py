"""What people may do outside of a session: by their role, and by what issuers said of them at their last sign-in there. In PostgreSQL."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.rpc.revocations import key_subject
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.models import SCOPES_OF_ROLE
from user_svc.auth.revocation_repository import record_revocations, revoke_keys_made_by
from user_svc.tables import api_keys, identities, refresh_tokens, users
from user_svc.users.models import Role


async def scopes_of_person(connection: AsyncConnection, user_id: str, role: Role) -> frozenset[str]:
    """By their role, and by their groups at issuers as these last said; where that was not kept yet, by their sessions."""
    held = select(identities.c.scopes).where(identities.c.user_id == user_id)
    granted = list((await connection.execute(held)).scalars())
    if None in granted:
        sessions = select(refresh_tokens.c.scopes).where(refresh_tokens.c.user_id == user_id, refresh_tokens.c.expire_time > func.now())
        granted += (await connection.execute(sessions.where(refresh_tokens.c.scopes.is_not(None)))).scalars()
    return SCOPES_OF_ROLE[role].union(*(scopes for scopes in granted if scopes is not None))


async def note_grant(
    connection: AsyncConnection, project: str, user_id: str, identity: ColumnElement[bool], scopes: Collection[str]
) -> None:
    """Keeps what an issuer lets a person do from now on, and ends those of their keys that may do more, with all made by these.

    The person's row is locked, as for making a key: one that is being made is seen here, or looks at what is kept here.
    """
    locked = select(users.c.role).where(users.c.id == user_id).with_for_update(key_share=True)
    role = (await connection.execute(locked)).scalar_one_or_none()
    if role is None:
        return  # erased in this very moment
    await connection.execute(update(identities).where(identity).values(scopes=sorted(scopes)))
    held = await scopes_of_person(connection, user_id, Role(role))
    within = api_keys.c.scopes.contained_by(sorted(held))
    beyond = (api_keys.c.created_by == user_id) & api_keys.c.revoke_time.is_(None) & ~within
    ended = await connection.execute(update(api_keys).where(beyond).values(revoke_time=func.now()).returning(api_keys.c.id))
    keys = [str(key_id) for key_id in ended.scalars()]
    await record_revocations(connection, [key_subject(key_id) for key_id in keys])
    await revoke_keys_made_by(connection, keys)
    for key_id in keys:
        revoked = NewEvent(project, AuditKind.API_KEY_REVOKED, f"api_key:{key_id}", person(user_id), {"why": "scopes_lost"})
        await record(connection, revoked)
