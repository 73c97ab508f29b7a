"""Dead letters and their audit trail in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, text, tuple_

from gateway.dead_letters.decisions import decide, note
from gateway.dead_letters.models import Action, Actor, Audit, Cause, DeadLetter, DeadLetterFilters, Decided, Decision, Edit, State
from gateway.notifications.models import Channel
from gateway.tables import dead_letters
from mesh.rpc.paging import Cursor, Page
from mesh.stores.database import Database

_CURSOR = Cursor("dead_letters", datetime, UUID)

_COLUMNS = [column for column in dead_letters.c if column.name not in {"project", "delivery"}]
_AUDITS = """
SELECT time, action, actor_kind, actor_id, note, run, job_id, changed, former_user_id, redirected_to
FROM dead_letter_audit WHERE notification_id = $1 ORDER BY id
"""
# The last thing that the bus had of it, or what it would have got first.
_DELIVERY = """
SELECT COALESCE(d.delivery, n.payload) AS delivery FROM dead_letters d LEFT JOIN notifications n ON n.id = d.notification_id
WHERE d.notification_id = $1
"""
_PAYLOAD = "SELECT payload FROM notifications WHERE id = $1"
# 1 is OPEN.
_OPEN = text(f"""
SELECT channel, cause, count(*) AS letters, min(create_time) AS oldest FROM dead_letters WHERE state = {State.OPEN:d} GROUP BY 1, 2
""")


class DeadLetterRepository:
    """Reads and decides."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, project: str, notification_id: UUID) -> DeadLetter | None:
        """The dead letter of a project's notification, with its audit trail."""
        query = select(*_COLUMNS).where(dead_letters.c.notification_id == notification_id, dead_letters.c.project == project)
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        audit = tuple(map(_audit, await self._database.fetch(_AUDITS, notification_id)))
        return replace(_dead_letter(row), audit=audit)

    async def find_delivery(self, notification_id: UUID) -> bytes | None:
        """The serialized Delivery that a requeue would continue from; None when it was erased or is past its retention."""
        rows = await self._database.fetch(_DELIVERY, notification_id)
        return rows[0]["delivery"] if rows else None

    async def find_payload(self, notification_id: UUID) -> bytes | None:
        """The serialized Delivery of the notification's run."""
        rows = await self._database.fetch(_PAYLOAD, notification_id)
        return rows[0]["payload"] if rows else None

    async def list_page(self, filters: DeadLetterFilters, *, size: int, token: str) -> Page[DeadLetter]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""
        bound = filters.as_mapping()
        query = page_query(filters, _CURSOR.position(token, bound)).limit(size + 1)
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        placed = [((row.create_time, UUID(int=row.notification_id.int)), _dead_letter(row)) for row in rows]
        return _CURSOR.page(placed, size, bound)

    async def decide(self, notification_id: UUID, decision: Decision, *, lease_s: float, edit: Edit) -> Decided:
        """Decides an open one, and starts its notification's next run where that is the decision; or does neither and says why."""
        async with self._database.driver() as driver, driver.transaction():
            return (await decide(driver, [notification_id], decision, lease_s=lease_s, edit=edit))[notification_id]

    async def note(self, letter: DeadLetter, action: Action, actor: Actor, words: str) -> None:
        """Writes an entry of the audit trail that decides nothing."""
        async with self._database.driver() as driver, driver.transaction():
            await note(driver, letter, action, actor, words)

    async def count_open(self) -> Sequence[tuple[Channel, Cause, int, datetime]]:
        """How many wait for a decision, by channel and cause, and since when the oldest does."""
        async with self._database.connect() as connection:
            rows = (await connection.execute(_OPEN)).all()
        return [(Channel(row.channel), Cause(row.cause), row.letters, row.oldest) for row in rows]


def page_query(filters: DeadLetterFilters, position: tuple[Any, ...] | None) -> Select[Any]:
    """Newest first."""
    table = dead_letters.c
    query = select(*_COLUMNS).where(*conditions(filters)).order_by(table.create_time.desc(), table.notification_id.desc())
    if position is not None:
        query = query.where(tuple_(table.create_time, table.notification_id) < tuple_(*position))
    return query


def conditions(filters: DeadLetterFilters) -> list[ColumnElement[bool]]:
    """What the filters ask of a row."""
    table = dead_letters.c
    wanted = [table.project == filters.project, table.state == filters.state]
    exact = ((table.channel, filters.channel), (table.template, filters.template), (table.reason, filters.reason))
    wanted += [column == value for column, value in (*exact, (table.cause, filters.cause)) if value is not None]
    if filters.created_after is not None:
        wanted.append(table.create_time >= filters.created_after)
    if filters.created_before is not None:
        wanted.append(table.create_time < filters.created_before)
    return wanted


def _dead_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        notification_id=row.notification_id,
        user_id=row.user_id,
        channel=Channel(row.channel),
        template=row.template,
        state=State(row.state),
        run=row.run,
        cause=Cause(row.cause),
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        create_time=row.create_time,
        resolve_time=row.resolve_time,
        resolved_by=row.resolved_by,
        note=row.note,
        correlation_id=row.correlation_id,
    )


def _audit(row: Any) -> Audit:
    return Audit(
        time=row["time"],
        action=Action(row["action"]),
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"],
        note=row["note"],
        run=row["run"],
        job_id=row["job_id"],
        changed=tuple(row["changed"]),
        former_user_id=row["former_user_id"],
        redirected_to=row["redirected_to"],
    )
