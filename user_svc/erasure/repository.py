"""Erasing a person in PostgreSQL."""

from sqlalchemy import delete, func, select

from mesh.stores.database import Database
from user_svc.tables import refresh_tokens, suppressions, users


class ErasureRepository:
    """Implements `erasure.use_cases.ErasureStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revoke(self, user_id: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(delete(refresh_tokens).where(refresh_tokens.c.user_id == user_id))

    async def erase(self, user_id: str) -> None:
        """The row is locked first, so that its address can't change meanwhile. Foreign keys take the rest along."""
        known = select(func.lower(users.c.email)).where(users.c.id == user_id).with_for_update()
        async with self._database.begin() as connection:
            address = (await connection.execute(known)).scalar_one_or_none()
            if address is not None:
                await connection.execute(delete(suppressions).where(suppressions.c.address == address))
            await connection.execute(delete(users).where(users.c.id == user_id))
