"""What was made at the first start, in PostgreSQL."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mesh.stores.database import Database
from user_svc.tables import bootstraps


class BootstrapRepository:
    """Implements `bootstrap.BootstrapRecord`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def done(self, name: str) -> bool:
        async with self._database.connect() as connection:
            return (await connection.execute(select(bootstraps.c.name).where(bootstraps.c.name == name))).one_or_none() is not None

    async def record(self, name: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(insert(bootstraps).values(name=name).on_conflict_do_nothing())
