"""Notifications in PostgreSQL: single reads with their timeline, lists by keyset, and cancelling."""

import json
from collections.abc import Collection, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, SmallInteger, Text, Uuid, bindparam, cast, literal, literal_column, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.notifications.models import (
    Channel,
    DeviceResult,
    Entry,
    Fact,
    Filters,
    Notification,
    Priority,
    Progress,
    Reach,
    Status,
    Unsent,
    expand,
)
from gateway.tables import notifications, timeline
from mesh.ids import least_at
from mesh.rpc.paging import Cursor, Page
from mesh.stores.database import Database

_CURSOR = Cursor("notifications", UUID)
# An id holds the time of its gateway's own clock, and the row the time that all gateways share (`mesh/stores/clock.py`).
_SLACK_S = 120.0

# The wait was computed by the clocks of two processes, which may differ by that much.
_PAST_THE_END = timedelta(minutes=1)

# The payload holds the variables, which readers never get.
_COLUMNS = [column for column in notifications.c if column.name not in {"project", "dispatch_at", "caller", "payload"}]

_FACTS = literal_column("""(
    SELECT jsonb_agg(jsonb_build_array(extract(epoch FROM f.time), f.fact, f.reason, f.detail, f.provider) ORDER BY f.time)
    FROM delivery_facts f WHERE f.project = notifications.project AND f.notification_id = notifications.id
)""", JSONB).label("facts")  # fmt: skip

_ENTRY = [column.label(f"entry_{column.name}") for column in timeline.c]

# `attempt` is the one that will not be made; the caller may know of later ones than the row.
_CANCEL = text(f"""
UPDATE notifications SET
    status = {Status.CANCELLED:d}, reason = '', update_time = :now,
    attempt = GREATEST(:attempt, CASE WHEN status = {Status.RETRYING:d} THEN attempt + 1 ELSE attempt END)
WHERE id = :id AND run = :run AND status = ANY(:before)
RETURNING id, user_id, channel, create_time
""").bindparams(bindparam("before", type_=ARRAY(SmallInteger)), bindparam("attempt", type_=SmallInteger))
_RECORD = text(f"""
INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason) VALUES (:id, :run, 0, {Status.CANCELLED:d}, 0, :now, '')
ON CONFLICT DO NOTHING
""")


_WAITING = text(f"""
SELECT payload, dispatch_at FROM notifications
WHERE id = :id AND test AND status = {Status.SCHEDULED:d} AND payload IS NOT NULL AND dispatch_at > now() FOR UPDATE
""")
_DUE = text("UPDATE notifications SET dispatch_at = now(), payload = :payload WHERE id = :id")
# Timelines only grow, so their length says whether one has changed.
_REVISIONS = text("""
SELECT n.id, n.status, n.run, n.attempt, n.reason, n.update_time, n.queued_at,
    (SELECT count(*) FROM timeline t WHERE t.notification_id = n.id) AS entries
FROM notifications n WHERE n.id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


class NotificationRepository:
    """Reads and cancels. What is beyond a caller's reach is as if it did not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, identifier: UUID, reach: Reach) -> Notification | None:
        """The notification with its timeline."""
        async with self._database.connect() as connection:
            return await _find(connection, identifier, reach)

    async def revisions(self, identifiers: Sequence[UUID]) -> Mapping[UUID, Hashable]:
        """A value for each that exists, which differs after each change of its row or its timeline."""
        async with self._database.connect() as connection:
            rows = (await connection.execute(_REVISIONS, {"ids": list(identifiers)})).all()
        return {row.id: tuple(row) for row in rows}

    async def list_page(self, filters: Filters, *, size: int, token: str) -> Page[Notification]:
        """A page without timelines, newest first. Raises InvalidArgument for a token of another list or other filters."""
        bound = filters.as_mapping()
        position = _CURSOR.position(token, bound)
        query = page_query(filters, after=position[0] if position else None).limit(size + 1)  # type: ignore[arg-type]  # the cursor's kind
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        return _CURSOR.page([((UUID(int=row.id.int),), _notification(row)) for row in rows], size, bound)

    async def cancel(self, identifier: UUID, *, run: int, attempt: int, before: Collection[Status]) -> Unsent | None:
        """Cancels the run before that attempt if its status is still one of `before`; None when it is not."""
        now = datetime.now(UTC)
        given = {"id": identifier, "run": run, "attempt": attempt, "before": [status.value for status in before], "now": now}
        async with self._database.begin() as connection:
            row = (await connection.execute(_CANCEL, given)).one_or_none()
            if row is None:
                return None
            await connection.execute(_RECORD, {"id": identifier, "run": run, "now": now})
            return Unsent(row.id, row.user_id, Channel(row.channel), row.create_time)

    async def skip_wait(self, identifier: UUID) -> bool:
        """Makes a test's notification due that waits in the database for its time; False when it does not (any more)."""
        async with self._database.begin() as connection:
            row = (await connection.execute(_WAITING, {"id": identifier})).one_or_none()
            if row is None:
                return False
            delivery = Delivery.FromString(row.payload)
            delivery.decide_time.FromDatetime(row.dispatch_at + _PAST_THE_END)
            # how long the hand-over takes after a time that has not come says nothing
            delivery.ClearField("due_time")
            await connection.execute(_DUE, {"id": identifier, "payload": delivery.SerializeToString()})
            return True


def page_query(filters: Filters, *, after: UUID | None) -> Select[Any]:
    """Newest first. The times narrow the ids as well, which spares the partitions of other months."""
    table = notifications.c
    query = select(*_COLUMNS).where(table.project == filters.project).order_by(table.id.desc())
    if after is not None:
        query = query.where(table.id < after)
    for column, value in (
        (table.user_id, filters.user_id),
        (table.channel, filters.channel),
        (table.template, filters.template),
        (table.correlation_id, filters.correlation_id),
        (table.test, filters.test),
    ):
        if value is not None:
            query = query.where(column == value)
    if filters.status is not None:
        query = query.where(_has_status(filters.status))
    if filters.metadata is not None:
        query = query.where(table.metadata.op("@>")(cast(literal(json.dumps(dict(filters.metadata)), Text), JSONB)))
    if filters.updated_after is not None:
        query = query.where(table.update_time >= filters.updated_after)
    if filters.updated_before is not None:  # made before, too
        query = query.where(table.id < least_at(filters.updated_before, slack_s=_SLACK_S), table.update_time < filters.updated_before)
    if filters.created_after is not None:
        query = query.where(table.id >= least_at(filters.created_after, slack_s=-_SLACK_S), table.create_time >= filters.created_after)
    if filters.created_before is not None:
        query = query.where(table.id < least_at(filters.created_before, slack_s=_SLACK_S), table.create_time < filters.created_before)
    return query


def _has_status(status: Status) -> ColumnElement[bool]:
    """As callers see it: see `Notification.shown_status`."""
    table = notifications.c
    if status is Status.SCHEDULED:
        return (table.status == status) & (table.attempt <= 1)
    if status is Status.RETRYING:
        return (table.status == status) | ((table.status == Status.SCHEDULED) & (table.attempt > 1))
    return table.status == status


async def _find(connection: AsyncConnection, identifier: UUID, reach: Reach) -> Notification | None:
    """One statement, so that row and timeline are those of one moment."""
    joined = notifications.outerjoin(timeline, timeline.c.notification_id == notifications.c.id)
    query = select(*_COLUMNS, _FACTS, *_ENTRY).select_from(joined)
    query = query.where(notifications.c.id == identifier, notifications.c.project == reach.project)
    if reach.user_id is not None:
        query = query.where(notifications.c.user_id == reach.user_id)
    if reach.caller is not None:
        query = query.where(notifications.c.caller == reach.caller)
    rows = (await connection.execute(query)).all()
    return _notification(rows[0], [_entry(row) for row in rows if row.entry_status is not None]) if rows else None


def _notification(row: Any, entries: Sequence[Entry] | None = None) -> Notification:
    progress = Progress(Status(row.status), row.run, row.attempt)
    return Notification(
        id=row.id,
        user_id=row.user_id,
        channel=Channel(row.channel),
        template=row.template,
        template_version=row.template_version,
        locale=row.locale,
        priority=Priority(row.priority),
        category=row.category,
        progress=progress,
        reason=row.reason,
        metadata=row.metadata or {},
        create_time=row.create_time,
        update_time=row.update_time,
        send_at=row.send_at,
        expires_at=row.expires_at,
        queued_at=row.queued_at,
        correlation_id=row.correlation_id,
        test=row.test,
        resent_from=row.resent_from,
        timeline=() if entries is None else _timeline(row, entries),
    )


def _timeline(row: Any, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """What is stored, the two entries that columns stand for (accepted, and, of the current run, queued), and what became known later."""
    scheduled = row.send_at is not None and row.send_at > row.create_time
    derived = [Entry(row.create_time, Status.SCHEDULED if scheduled else Status.PENDING)]
    if row.queued_at is not None:
        postponed = (entry.attempt for entry in entries if entry.status is Status.SCHEDULED and entry.run == row.run)
        derived.append(Entry(row.queued_at, Status.QUEUED, row.run, max(postponed, default=0)))
    return (*expand([*derived, *entries]), *(_fact(row, fact) for fact in row.facts or ()))


def _fact(row: Any, values: Sequence[Any]) -> Entry:
    unix_s, fact, reason, detail, provider = values
    time = datetime.fromtimestamp(unix_s, UTC)
    return Entry(time, Status(row.status), row.run, row.attempt, reason, detail, provider=provider, fact=Fact(fact))


def _entry(row: Any) -> Entry:
    return Entry(
        time=row.entry_time,
        status=Status(row.entry_status),
        run=row.entry_run,
        attempt=row.entry_attempt,
        reason=row.entry_reason,
        detail=row.entry_detail,
        next_attempt_time=row.entry_next_attempt_time,
        start_time=row.entry_start_time,
        devices=tuple(DeviceResult(*device) for device in row.entry_devices or ()),
        provider=row.entry_provider,
    )
