"""Erasing a person in PostgreSQL."""

from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.rpc.revocations import user_subject
from mesh.stores.database import Database
from user_svc.addresses.repository import keys_of
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.revocation_repository import record_revocations, revoke_keys_made_by
from user_svc.tables import api_keys, category_suppressions, refresh_tokens, repeatable_calls, suppressions, users
from user_svc.users.protection import is_protected
from user_svc.users.repository import is_user

ERASED = "erased"


class ErasureRepository:
    """Implements `erasure.use_cases.ErasureStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_protected(self, project: str, user_id: str) -> bool | None:
        async with self._database.connect() as connection:
            return (await connection.execute(select(is_protected()).where(is_user(project, user_id)))).scalar_one_or_none()

    async def revoke(self, user_id: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(delete(refresh_tokens).where(refresh_tokens.c.user_id == user_id))
            await _revoke_everything_of(connection, user_id)

    async def erase(self, user_id: str, asked_by: str) -> None:
        """The row is locked first, so that its address can't change meanwhile. Foreign keys take the rest along."""
        known = select(users.c.project).where(users.c.id == user_id).with_for_update()
        async with self._database.begin() as connection:
            row = (await connection.execute(known)).one_or_none()
            if row is not None:
                await _unlist(connection, row.project, user_id)
            await _revoke_everything_of(connection, user_id)
            await _unname(connection, user_id)
            await connection.execute(delete(users).where(users.c.id == user_id))
            # of a call that still runs the claim stays
            about = (repeatable_calls.c.subject == UUID(user_id)) & repeatable_calls.c.response.is_not(None)
            await connection.execute(delete(repeatable_calls).where(about))
            if row is not None:
                await record(connection, NewEvent(row.project, AuditKind.USER_ERASED, person(user_id), asked_by or None))


async def _unlist(connection: AsyncConnection, project: str, user_id: str) -> None:
    """Takes the person's addresses off the suppression list."""
    addresses = await keys_of(connection, user_id)
    for table in (suppressions, category_suppressions):
        await connection.execute(delete(table).where(table.c.project == project, table.c.address.in_(addresses)))


async def _revoke_everything_of(connection: AsyncConnection, user_id: str) -> None:
    """Access tokens, and the API keys that the person has made and may have kept a copy of."""
    await record_revocations(connection, [user_subject(user_id)])
    await revoke_keys_made_by(connection, [user_id])


async def _unname(connection: AsyncConnection, user_id: str) -> None:
    """The tombstones of the person's keys stay without saying whose they were."""
    await connection.execute(update(api_keys).where(api_keys.c.created_by == user_id).values(created_by=ERASED))
