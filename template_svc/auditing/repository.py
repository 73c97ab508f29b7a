"""Entries in PostgreSQL, written in the transaction of what they are about: neither is there without the other."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.context import current_or_none
from mesh.stores.database import Database
from template_svc.auditing.models import Entry, Kind, WaitingEntry
from template_svc.tables import audit_outbox

_ROW = audit_outbox.c


class OutboxRepository:
    """Implements `auditing.use_cases.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, limit: int) -> Sequence[WaitingEntry]:
        async with self._database.connect() as connection:
            rows = await connection.execute(select(audit_outbox).order_by(_ROW.seq).limit(limit))
            return [
                WaitingEntry(
                    row.seq,
                    row.id,
                    Entry(row.project, Kind(row.kind), row.subject, row.details, row.actor),
                    row.correlation_id,
                    row.create_time,
                )
                for row in rows
            ]

    async def forget(self, entries: Sequence[WaitingEntry]) -> None:
        async with self._database.begin() as connection:
            await connection.execute(delete(audit_outbox).where(_ROW.seq.in_([each.seq for each in entries])))


async def note(connection: AsyncConnection, entry: Entry) -> None:
    """Has the entry handed over once the transaction is committed."""
    call = current_or_none()
    actor = entry.actor if entry.actor is not None else "" if call is None else call.caller.label
    values = {
        "project": entry.project,
        "kind": entry.kind.value,
        "actor": actor,
        "subject": entry.subject,
        "details": dict(entry.details),
        "correlation_id": "" if call is None else call.correlation_id,
    }
    await connection.execute(insert(audit_outbox).values(values))
