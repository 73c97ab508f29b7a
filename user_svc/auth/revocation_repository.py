"""Revocations in PostgreSQL: recorded with what they revoke, in one transaction, and published afterwards."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.rpc.revocations import KEPT_S, key_subject
from mesh.stores.database import Database
from user_svc.tables import api_keys, revocations

_MOST = 1000
# One clock orders them, the database's. A transaction commits well within this time after it has begun.
_OVERLAP = text("now() - interval '60 seconds'")
_KEPT = text(f"now() - interval '{KEPT_S} seconds'")


class RevocationRepository:
    """Implements `auth.revoking.RevocationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_all = False

    async def fetch(self) -> Iterable[str]:
        """The first time all that are kept, then those of the last minute."""
        since = _OVERLAP if self._read_all else _KEPT
        async with self._database.connect() as connection:
            found = list((await connection.execute(select(revocations.c.subject).where(revocations.c.create_time > since))).scalars())
        self._read_all = True
        return found

    async def unpublished(self) -> Sequence[tuple[int, str]]:
        statement = select(revocations.c.id, revocations.c.subject).where(~revocations.c.published).order_by(revocations.c.id).limit(_MOST)
        async with self._database.connect() as connection:
            return [(row.id, row.subject) for row in await connection.execute(statement)]

    async def mark_published(self, ids: Collection[int]) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(revocations).where(revocations.c.id.in_(ids)).values(published=True))

    async def publish_all_again(self) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(revocations).where(revocations.c.create_time > _KEPT).values(published=False))

    async def forget_old(self) -> None:
        async with self._database.begin() as connection:
            await connection.execute(delete(revocations).where(revocations.c.create_time <= _KEPT))


async def record_revocations(connection: AsyncConnection, subjects: Collection[str]) -> None:
    """Within the caller's transaction."""
    if subjects:
        await connection.execute(insert(revocations), [{"subject": subject} for subject in subjects])


async def revoke_keys(connection: AsyncConnection, which: ColumnElement[bool]) -> list[str]:
    """Revokes those of the keys that are not revoked yet, and returns their ids; what they have made stays."""
    wanted = update(api_keys).where(which, api_keys.c.revoke_time.is_(None))
    revoked = await connection.execute(wanted.values(revoke_time=func.now()).returning(api_keys.c.id))
    ids = [str(key_id) for key_id in revoked.scalars()]
    await record_revocations(connection, [key_subject(key_id) for key_id in ids])
    return ids


async def revoke_keys_made_by(connection: AsyncConnection, makers: Collection[str]) -> None:
    """Revokes every key that one of the makers has made, and all that those have made.

    Level by level, each in a statement of its own: a key that is being made holds a lock on its maker, so that the update waits for it and
    the next statement sees it.
    """
    frontier = list(makers)
    while frontier:
        frontier = await revoke_keys(connection, api_keys.c.created_by.in_(frontier))
