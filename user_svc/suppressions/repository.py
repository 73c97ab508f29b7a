"""Suppressions in PostgreSQL."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import record
from user_svc.suppressions.models import Suppression
from user_svc.tables import suppressions, users


class SuppressionRepository:
    """Implements `suppressions.use_cases.SuppressionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, project: str, suppression: Suppression) -> Suppression:
        """The reason of a second call is dropped: the first one is why the address is on the list."""
        statement = insert(suppressions).values(
            project=project,
            address=suppression.address,
            reason=suppression.reason,
            create_time=suppression.create_time,
            evidence=suppression.evidence,
        )
        # Setting the reason to itself changes nothing and makes RETURNING answer the row that is there.
        keys = [suppressions.c.project, suppressions.c.address]
        upsert = statement.on_conflict_do_update(index_elements=keys, set_={"reason": suppressions.c.reason}).returning(suppressions)
        async with self._database.begin() as connection:
            row = (await connection.execute(upsert)).one()
        return Suppression(row.address, row.reason, row.create_time, row.evidence)

    async def delete(self, project: str, address: str) -> bool:
        wanted = (suppressions.c.project == project) & (suppressions.c.address == address)
        holder = select(users.c.id).where(users.c.project == project, func.lower(users.c.email) == address)
        async with self._database.begin() as connection:
            reason = (await connection.execute(delete(suppressions).where(wanted).returning(suppressions.c.reason))).scalar_one_or_none()
            if reason is None:
                return False
            person = (await connection.execute(holder)).scalar_one_or_none()
            subject = "" if person is None else f"user:{person}"
            await record(connection, NewEvent(project, AuditKind.SUPPRESSION_REMOVED, subject, details={"reason": reason}))
        return True

    async def find(self, project: str, address: str) -> Suppression | None:
        wanted = (suppressions.c.project == project) & (suppressions.c.address == address)
        async with self._database.connect() as connection:
            row = (await connection.execute(select(suppressions).where(wanted))).one_or_none()
        return Suppression(row.address, row.reason, row.create_time, row.evidence) if row else None

    async def list_by_address(self, project: str, after_address: str, limit: int) -> Sequence[Suppression]:
        wanted = (suppressions.c.project == project) & (suppressions.c.address > after_address)
        statement = select(suppressions).where(wanted).order_by(suppressions.c.address).limit(limit)
        async with self._database.connect() as connection:
            return [Suppression(row.address, row.reason, row.create_time, row.evidence) for row in await connection.execute(statement)]
