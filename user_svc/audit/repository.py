"""The audit log in PostgreSQL. A trigger of the table refuses to change an entry, and to remove one before its time."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Delete, delete, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.context import current_or_none
from mesh.stores.database import Database
from user_svc.audit.models import AuditEvent, Filters, HandedOver, NewEvent
from user_svc.tables import audit_events

# A project that does not exist, which a stranger may name, gets no entries.
_INSERT = text("""
    INSERT INTO audit_events (project, kind, actor, subject, details, correlation_id)
    SELECT id, :kind, :actor, :subject, CAST(:details AS jsonb), :correlation_id FROM projects WHERE id = :project
""")
_INSERT_ONCE = text("""
    INSERT INTO audit_events (project, kind, actor, subject, details, correlation_id, origin)
    SELECT id, :kind, :actor, :subject, CAST(:details AS jsonb), :correlation_id, CAST(:origin AS uuid) FROM projects WHERE id = :project
    ON CONFLICT (origin) WHERE origin IS NOT NULL DO NOTHING
""")
_BACKGROUND = "environment"
_AT_ONCE = 10_000


class AuditRepository:
    """Implements `audit.use_cases.AuditStore`. Forgets `at_once` entries in one transaction."""

    def __init__(self, database: Database, *, at_once: int = _AT_ONCE) -> None:
        self._database = database
        self._at_once = at_once

    async def add(self, event: NewEvent) -> None:
        """For what is no change of this database."""
        async with self._database.begin() as connection:
            await record(connection, event)

    async def add_once(self, entries: Sequence[HandedOver]) -> None:
        """In their order, those that were not added before."""
        async with self._database.begin() as connection:
            for entry in entries:
                values = _values(entry.event, entry.event.actor or "", entry.correlation_id)
                await connection.execute(_INSERT_ONCE, {**values, "origin": entry.id})

    async def list_newest_first(self, filters: Filters, before: tuple[datetime, int] | None, limit: int) -> Sequence[AuditEvent]:
        column = audit_events.c
        statement = select(audit_events).where(column.project == filters.project).order_by(column.time.desc(), column.id.desc())
        if filters.kinds:
            statement = statement.where(column.kind.in_(filters.kinds))
        if filters.actor:
            statement = statement.where(column.actor == filters.actor)
        if filters.subject:
            statement = statement.where(column.subject == filters.subject)
        if filters.start_time is not None:
            statement = statement.where(column.time >= filters.start_time)
        if filters.end_time is not None:
            statement = statement.where(column.time < filters.end_time)
        if before is not None:
            statement = statement.where(tuple_(column.time, column.id) < before)
        async with self._database.connect() as connection:
            rows = await connection.execute(statement.limit(limit))
            return [AuditEvent(row.id, row.time, row.kind, row.actor, row.subject, row.details, row.correlation_id) for row in rows]

    async def forget(self, older_than: timedelta) -> None:
        """By the database's clock, which has stamped the entries too."""
        old = select(audit_events.c.id).where(audit_events.c.time < func.now() - older_than).limit(self._at_once)
        forgotten = delete(audit_events).where(audit_events.c.id.in_(old))
        while await self._delete(forgotten):
            pass

    async def _delete(self, statement: Delete) -> int:
        """In a transaction of its own, since there may be many."""
        async with self._database.begin() as connection:
            return (await connection.execute(statement)).rowcount


async def record(connection: AsyncConnection, event: NewEvent) -> None:
    """Within the transaction of what it is about: neither is there without the other."""
    call = current_or_none()
    actor = event.actor if event.actor is not None else _BACKGROUND if call is None else call.caller.label
    values = _values(event, actor, "" if call is None else call.correlation_id)
    if event.origin is None:
        await connection.execute(_INSERT, values)
    else:
        await connection.execute(_INSERT_ONCE, {**values, "origin": event.origin})


def _values(event: NewEvent, actor: str, correlation_id: str) -> dict[str, str]:
    return {
        "project": event.project,
        "kind": event.kind.value,
        "actor": actor,
        "subject": event.subject,
        "details": json.dumps(dict(event.details)),
        "correlation_id": correlation_id,
    }
