"""Dead letters in PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.dead_letters.errors import NotRequeuable
from gateway.dead_letters.models import DeadLetter, DeadLetterFilters, Decision, State
from gateway.notifications.convert import next_run
from gateway.notifications.models import Channel, Job, Priority, Progress, Status
from gateway.tables import dead_letters
from mesh.database import Database
from mesh.paging import Cursor, Page

_CURSOR = Cursor("dead_letters", datetime, UUID)

_COLUMNS = [column for column in dead_letters.c if column.name != "delivery"]

_LOCK = text("""
SELECT d.state, d.run AS dead_run, d.delivery, n.id, n.channel, n.priority, n.status, n.run, n.attempt, n.expires_at, n.queued_at, n.payload
FROM dead_letters d LEFT JOIN notifications n ON n.id = d.notification_id
WHERE d.notification_id = :id FOR UPDATE OF d
""")
_DECIDE = text("""
UPDATE dead_letters SET state = :state, resolve_time = :now, resolved_by = :resolved_by, note = :note
WHERE notification_id = :id AND state = 1
""")
_RESTART = text("""
UPDATE notifications SET
    status = 2, run = :run, attempt = 0, reason = '', update_time = :now, dispatch_at = :until, queued_at = NULL, payload = :payload
WHERE id = :id AND status = 7 AND run = :run - 1
RETURNING id
""")
# The run that ends keeps the moment it was queued, which was a column so far; 3 is QUEUED, 2 PENDING.
_TELL = text("""
INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason)
SELECT id, run, 0, status, 0, time, reason FROM (VALUES
    (CAST(:id AS uuid), CAST(:run AS smallint) - 1, 3, CAST(:queued_at AS timestamptz), ''),
    (CAST(:id AS uuid), CAST(:run AS smallint), 2, CAST(:now AS timestamptz), 'REQUEUED')
) AS given(id, run, status, time, reason) WHERE time IS NOT NULL
ON CONFLICT DO NOTHING
""")
# Before the dead letter, as settlement does, so that the two never wait for each other in a circle.
_LOCK_FIRST = text("SELECT id FROM notifications WHERE id = :id FOR UPDATE")


class DeadLetterRepository:
    """Reads and decides."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, notification_id: UUID) -> DeadLetter | None:
        """The dead letter of a notification."""
        async with self._database.connect() as connection:
            return await _find(connection, notification_id)

    async def list_page(self, filters: DeadLetterFilters, *, size: int, token: str) -> Page[DeadLetter]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""
        bound = filters.as_mapping()
        query = page_query(filters, _CURSOR.position(token, bound)).limit(size + 1)
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        placed = [((row.create_time, UUID(int=row.notification_id.int)), _dead_letter(row)) for row in rows]
        return _CURSOR.page(placed, size, bound)

    async def discard(self, notification_id: UUID, decision: Decision) -> DeadLetter | None:
        """Decides an open one; the dead letter as it is now."""
        async with self._database.begin() as connection:
            await _decide(connection, notification_id, decision, datetime.now(UTC))
            return await _find(connection, notification_id)

    async def requeue(self, notification_id: UUID, decision: Decision, *, lease_s: float) -> tuple[DeadLetter | None, Job | None]:
        """Decides an open one and starts its notification's next run, or does neither. Raises NotRequeuable."""
        now = datetime.now(UTC)
        async with self._database.begin() as connection:
            await connection.execute(_LOCK_FIRST, {"id": notification_id})
            row = (await connection.execute(_LOCK, {"id": notification_id})).one_or_none()
            if row is None or row.state != State.OPEN:
                return await _find(connection, notification_id), None
            job, run = _restart(row, now)
            until = now + timedelta(seconds=lease_s)
            restart = {"id": notification_id, "run": run, "now": now, "until": until, "payload": job.payload}
            if (await connection.execute(_RESTART, restart)).one_or_none() is None:
                raise NotRequeuable("it has changed meanwhile")
            await connection.execute(_TELL, {"id": notification_id, "run": run, "queued_at": row.queued_at, "now": now})
            await _decide(connection, notification_id, decision, now)
            return await _find(connection, notification_id), job


def page_query(filters: DeadLetterFilters, position: tuple[Any, ...] | None) -> Select[Any]:
    """Newest first."""
    table = dead_letters.c
    query = select(*_COLUMNS).where(table.state == filters.state).order_by(table.create_time.desc(), table.notification_id.desc())
    if position is not None:
        query = query.where(tuple_(table.create_time, table.notification_id) < tuple_(*position))
    for column, value in ((table.channel, filters.channel), (table.template, filters.template), (table.reason, filters.reason)):
        if value is not None:
            query = query.where(column == value)
    return query


def _restart(row: Any, now: datetime) -> tuple[Job, int]:
    if row.id is None:
        raise NotRequeuable("it is past its retention")
    progress = Progress(Status(row.status), row.run, row.attempt)
    if progress.status is not Status.FAILED:
        raise NotRequeuable(f"it is {progress.status.name.lower()}")
    if row.expires_at is not None and row.expires_at <= now:
        raise NotRequeuable("it has expired")
    payload = row.delivery or row.payload
    if payload is None:
        raise NotRequeuable("its content was erased")
    run = progress.requeued().run
    return Job(row.id, Channel(row.channel), Priority(row.priority), next_run(payload, run)), run


async def _decide(connection: AsyncConnection, notification_id: UUID, decision: Decision, now: datetime) -> None:
    decided = {"state": decision.state.value, "resolved_by": decision.resolved_by, "note": decision.note}
    await connection.execute(_DECIDE, {"id": notification_id, "now": now, **decided})


async def _find(connection: AsyncConnection, notification_id: UUID) -> DeadLetter | None:
    row = (await connection.execute(select(*_COLUMNS).where(dead_letters.c.notification_id == notification_id))).one_or_none()
    return None if row is None else _dead_letter(row)


def _dead_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        notification_id=row.notification_id,
        user_id=row.user_id,
        channel=Channel(row.channel),
        template=row.template,
        state=State(row.state),
        run=row.run,
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        create_time=row.create_time,
        resolve_time=row.resolve_time,
        resolved_by=row.resolved_by,
        note=row.note,
        correlation_id=row.correlation_id,
    )
