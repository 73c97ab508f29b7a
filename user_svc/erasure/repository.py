"""Erasing a person in PostgreSQL."""

from sqlalchemy import Uuid, bindparam, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.rpc.revocations import user_subject
from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.revocation_repository import record_revocations, revoke_keys_made_by
from user_svc.tables import api_keys, category_suppressions, refresh_tokens, suppressions, users
from user_svc.users.protection import is_protected
from user_svc.users.repository import is_user

ERASED = "erased"
# Of the further addresses those that have not proved to be another person's.
_THEIRS_ALONE = text("""
    SELECT a.address_key FROM user_addresses a WHERE a.user_id = :user_id
        AND NOT EXISTS (SELECT 1 FROM users u WHERE u.project = a.project AND lower(u.email) = a.address_key)
        AND NOT EXISTS (
            SELECT 1 FROM user_addresses o
            WHERE o.project = a.project AND o.address_key = a.address_key AND o.verify_time IS NOT NULL AND o.user_id <> a.user_id
        )
""").bindparams(bindparam("user_id", type_=Uuid(as_uuid=False)))


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
        known = select(users.c.project, func.lower(users.c.email).label("address")).where(users.c.id == user_id).with_for_update()
        async with self._database.begin() as connection:
            row = (await connection.execute(known)).one_or_none()
            if row is not None:
                await _unlist(connection, row.project, user_id, [row.address] if row.address else [])
            await _revoke_everything_of(connection, user_id)
            await _unname(connection, user_id)
            await connection.execute(delete(users).where(users.c.id == user_id))
            if row is not None:
                await record(connection, NewEvent(row.project, AuditKind.USER_ERASED, person(user_id), asked_by or None))


async def _unlist(connection: AsyncConnection, project: str, user_id: str, addresses: list[str]) -> None:
    """Takes addresses off the suppression list: these, and the further ones that are no other person's."""
    addresses += (await connection.execute(_THEIRS_ALONE, {"user_id": user_id})).scalars()
    for table in (suppressions, category_suppressions):
        await connection.execute(delete(table).where(table.c.project == project, table.c.address.in_(addresses)))


async def _revoke_everything_of(connection: AsyncConnection, user_id: str) -> None:
    """Access tokens, and the API keys that the person has made and may have kept a copy of."""
    await record_revocations(connection, [user_subject(user_id)])
    await revoke_keys_made_by(connection, [user_id])


async def _unname(connection: AsyncConnection, user_id: str) -> None:
    """The tombstones of the person's keys stay without saying whose they were."""
    await connection.execute(update(api_keys).where(api_keys.c.created_by == user_id).values(created_by=ERASED))
