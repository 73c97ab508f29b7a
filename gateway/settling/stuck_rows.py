"""The rows of notifications that are on the bus and of which nothing has been heard for longer than any legal wait.

"Heard of" is the last of the row's own change, its timeline's entries and the next try that a worker has announced. All of it is compared
with PostgreSQL's clock; workers' clocks differ from it by much less than what is asked for (`gateway/settling/stuck.py`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from gateway.dispatch.outbox import PUT_BACK
from gateway.notifications.models import Channel, Priority, Status
from mesh.ids import least_at
from mesh.stores.database import Database

# In turn through `notifications_by_status`, from the oldest on, so that accepting and marking pay for no other index; the range also spares
# the partitions of later months. What waits for a try that a worker has announced is not silent, however long that is.
_PAGE = """
SELECT n.id, n.channel, n.priority, n.payload IS NULL AS erased, heard.put_backs,
    extract(epoch FROM now() - greatest(n.update_time, n.queued_at, heard.last))::float8 AS silent_s
FROM (
    SELECT * FROM notifications WHERE status = $1 AND id > $3 AND id < $4 AND update_time < now() - $2 * interval '1 second'
    ORDER BY id LIMIT $5
) n CROSS JOIN LATERAL (
    SELECT max(greatest(t.time, t.next_attempt_time)) AS last, count(*) FILTER (WHERE t.run = n.run AND t.reason = $6) AS put_backs
    FROM timeline t WHERE t.notification_id = n.id
) heard
ORDER BY n.id
"""

# The moment at which it was queued, a column so far, moves to the timeline. What moved on or is locked meanwhile is left alone.
_PUT_BACK = f"""
WITH mine AS (
    SELECT id, run, queued_at FROM notifications
    WHERE id = ANY($1::uuid[]) AND id BETWEEN $3 AND $4 AND status = ANY($2::smallint[])
        AND update_time < now() - $5 * interval '1 second' AND payload IS NOT NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
),
changed AS (
    UPDATE notifications n SET
        status = {Status.PENDING:d}, reason = $6, queued_at = NULL, dispatch_at = now(), update_time = now()
    FROM mine WHERE n.id = mine.id AND n.id BETWEEN $3 AND $4
    RETURNING n.id
),
recorded AS (
    INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason)
    SELECT id, run, 0, {Status.QUEUED:d}, (extract(epoch FROM queued_at) * 1000000)::bigint, queued_at, ''
    FROM mine WHERE queued_at IS NOT NULL
    UNION ALL
    SELECT id, run, 0, {Status.QUEUED:d}, (extract(epoch FROM now()) * 1000000)::bigint, now(), $6 FROM mine
    ON CONFLICT DO NOTHING
)
SELECT id FROM changed
"""

IN_FLIGHT = (Status.QUEUED, Status.SENDING, Status.RETRYING)
FIRST = UUID(int=0)
_SLACK_S = 120.0  # between the clock that an id was made by and PostgreSQL's


class Suspect(NamedTuple):
    """A row that has not changed for long, and the seconds since anything was heard of it: negative while an announced try lies ahead."""

    id: UUID
    channel: Channel
    priority: Priority
    erased: bool
    put_backs: int
    silent_s: float


class StuckRows:
    """Finds them page by page, and puts them back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, status: Status, *, after_s: float, after: UUID, most: int) -> list[Suspect]:
        """Up to `most` rows of the status that have not changed for `after_s` seconds, in order of the id, from behind `after` on."""
        before = least_at(datetime.now(UTC) - timedelta(seconds=after_s), slack_s=_SLACK_S)
        rows = await self._database.fetch(_PAGE, status.value, after_s, after, before, most, PUT_BACK)
        return [
            Suspect(row["id"], Channel(row["channel"]), Priority(row["priority"]), row["erased"], row["put_backs"], row["silent_s"])
            for row in rows
        ]

    async def put_back(self, identifiers: Sequence[UUID], *, after_s: float) -> list[UUID]:
        """Makes those due for the bus again that still have not changed for `after_s` seconds; which ones those are."""
        if not identifiers:
            return []
        ids, statuses = sorted(identifiers), [status.value for status in IN_FLIGHT]
        rows = await self._database.fetch(_PUT_BACK, ids, statuses, ids[0], ids[-1], after_s, PUT_BACK)
        return [row["id"] for row in rows]
