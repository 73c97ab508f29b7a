"""The rows that wait for the bus: taking them under a lease, marking those that the bus has, and measuring what waits."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from gateway.notifications.models import Channel, OutboxItem, Priority, Status, Unsent
from mesh.stores.database import Database

_WAITING = f"{Status.SCHEDULED:d}, {Status.PENDING:d}"

# What follows the choice of the rows in `due`: $1 is the lease in seconds. Times are PostgreSQL's, since the rows are shared by gateways
# whose clocks differ. What has expired ends here instead of being published, unless it was on the bus before: then only the workers'
# ledger knows whether it was sent in time. The array keeps the planner, which can't know how few they are, from reading the whole table.
PUT_BACK = "PUT_BACK"
_OVER = f"n.expires_at <= now() AND n.reason <> '{PUT_BACK}'"
_TAKE = f"""
claimed AS (
    UPDATE notifications n SET
        status = CASE WHEN {_OVER} THEN {Status.EXPIRED:d} ELSE {Status.PENDING:d} END,
        reason = CASE WHEN {_OVER} THEN 'EXPIRED_IN_BACKLOG' ELSE n.reason END,
        update_time = CASE WHEN n.status = {Status.SCHEDULED:d} OR {_OVER} THEN now() ELSE n.update_time END,
        dispatch_at = now() + $1 * interval '1 second'
    WHERE n.id = ANY (ARRAY(SELECT id FROM due))
    RETURNING n.id, n.run, n.channel, n.priority, n.status, n.payload, n.caller, n.user_id, n.create_time
),
recorded AS (
    INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason)
    SELECT id, run, 0, status, 0, now(), 'EXPIRED_IN_BACKLOG' FROM claimed WHERE status = {Status.EXPIRED:d}
    ON CONFLICT DO NOTHING
)
"""
_CLAIM_URGENT = f"""
WITH due AS (
    SELECT id, dispatch_at FROM notifications WHERE status IN ({_WAITING}) AND priority = {Priority.HIGH:d} AND dispatch_at <= now()
    ORDER BY dispatch_at LIMIT $2 FOR UPDATE SKIP LOCKED
),
{_TAKE}
SELECT id, channel, priority, payload, status, caller, user_id, create_time,
    (SELECT extract(epoch FROM now() - min(dispatch_at))::float8 FROM due) AS lag_s
FROM claimed
"""

# A walk over the callers in the index, two look-ups each, however many rows they have. Those with something due share the page
# equally. A page visits a bounded number of callers; the next one goes on behind the last of them.
_MINE = f"n.status IN ({_WAITING}) AND n.priority = {Priority.NORMAL:d} AND n.channel = $3"
_CLAIM_IN_TURN = f"""
WITH RECURSIVE walk AS (
    (SELECT n.caller, 1 AS step FROM notifications n WHERE {_MINE} AND n.caller > $4 ORDER BY n.caller LIMIT 1)
    UNION ALL
    SELECT (SELECT n.caller FROM notifications n WHERE {_MINE} AND n.caller > walk.caller ORDER BY n.caller LIMIT 1), walk.step + 1
    FROM walk WHERE walk.caller IS NOT NULL AND walk.step < $5
),
waiting AS MATERIALIZED (
    SELECT walk.caller, one.dispatch_at AS first FROM walk CROSS JOIN LATERAL (
        SELECT n.dispatch_at FROM notifications n WHERE {_MINE} AND n.caller = walk.caller AND n.dispatch_at <= now()
        ORDER BY n.dispatch_at LIMIT 1
    ) one
),
page AS (
    SELECT greatest(1, $2 / greatest(1, (SELECT count(*) FROM waiting))) AS share,
        CASE WHEN count(walk.caller) < $5 THEN '' ELSE max(walk.caller) END AS last,
        (SELECT extract(epoch FROM now() - min(first))::float8 FROM waiting) AS lag_s
    FROM walk
),
due AS (
    SELECT mine.id FROM waiting CROSS JOIN LATERAL (
        SELECT n.id FROM notifications n WHERE {_MINE} AND n.caller = waiting.caller AND n.dispatch_at <= now()
        ORDER BY n.dispatch_at LIMIT (SELECT share FROM page) FOR UPDATE SKIP LOCKED
    ) mine
),
{_TAKE}
SELECT id, channel, priority, payload, status, caller, user_id, create_time, share, last, lag_s FROM page LEFT JOIN claimed ON true
"""
_CALLERS_AT_ONCE = 200

# In order of the id, as settlement locks too, so that the two never wait for each other in a circle. An outcome that was faster keeps
# its status; what it has put back into the database is not queued any more. The range spares the partitions that none of the ids is in.
_MARK = f"""
WITH given AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS t(id, queued_at)),
mine AS (
    SELECT n.id FROM notifications n
    WHERE n.id = ANY($1::uuid[]) AND n.id BETWEEN $3 AND $4 AND n.queued_at IS NULL AND n.status <> {Status.SCHEDULED:d}
    ORDER BY n.id FOR UPDATE
)
UPDATE notifications n SET
    queued_at = given.queued_at,
    status = CASE WHEN n.status = {Status.PENDING:d} THEN {Status.QUEUED:d} ELSE n.status END,
    update_time = CASE WHEN n.status = {Status.PENDING:d} THEN given.queued_at ELSE n.update_time END
FROM mine JOIN given USING (id)
WHERE n.id = mine.id AND n.id BETWEEN $3 AND $4
RETURNING n.id
"""

# A row that is locked is being marked, or taken by a sweeper that was faster.
_RENEW = f"""
UPDATE notifications n SET dispatch_at = now() + $2 * interval '1 second'
FROM (
    SELECT id FROM notifications WHERE id = ANY($1::uuid[]) AND id BETWEEN $3 AND $4 AND status = {Status.PENDING:d} AND queued_at IS NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
) mine
WHERE n.id = mine.id AND n.id BETWEEN $3 AND $4
"""

# Bounded, so that measuring a backlog costs little however long it is. Ids are in the order of acceptance; an old one that a reviewer
# has requeued is as young as its requeue, which is its update_time.
_MEASURE = f"""
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM notifications WHERE status = {Status.PENDING:d} LIMIT $1) AS pending)
        + (SELECT count(*) FROM (
            SELECT 1 FROM notifications WHERE status = {Status.SCHEDULED:d} AND dispatch_at <= now() LIMIT $1
        ) AS scheduled) AS size,
    least(
        (SELECT min(update_time) FROM
            (SELECT update_time FROM notifications WHERE status = {Status.PENDING:d} ORDER BY id LIMIT 1000) AS first),
        (SELECT min(dispatch_at) FROM notifications WHERE status = {Status.SCHEDULED:d} AND dispatch_at <= now())
    ) AS oldest, now() AS measured
"""
MOST_COUNTED = 100_000

_PUBLISH_AGAIN = f"""
UPDATE notifications SET status = {Status.PENDING:d}, reason = '{PUT_BACK}', queued_at = NULL, dispatch_at = now()
WHERE status IN ({Status.QUEUED:d}, {Status.SENDING:d}, {Status.RETRYING:d}) AND payload IS NOT NULL
"""


class Claimed(NamedTuple):
    """A page of the backlog: what is to be published now, and what had expired. `lag_s` is how long the oldest was overdue.

    `full` when more may wait. `last` is where the next page goes on, empty when it begins anew.
    """

    jobs: tuple[OutboxItem, ...]
    expired: tuple[Unsent, ...]
    full: bool
    lag_s: float = 0.0
    last: str = ""


class Waiting(NamedTuple):
    """How many notifications are accepted or due and not on the bus (`MOST_COUNTED` stands for more), and for how many seconds the oldest
    of them was when they were counted.
    """

    size: int
    oldest_s: float


class Outbox:
    """The backlog in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim_urgent(self, *, most: int, lease_s: float) -> Claimed:
        """Takes up to `most` due rows of high priority that no other replica has, for `lease_s` seconds."""
        rows = await self._database.fetch(_CLAIM_URGENT, lease_s, most)
        return _claimed(rows, full=len(rows) >= most, lag_s=_lag_s(rows))

    async def claim(self, channel: Channel, *, most: int, lease_s: float, after: str = "") -> Claimed:
        """Takes up to `most` due rows of the channel's normal lane for `lease_s` seconds: of each caller an equal share.

        `after` is `last` of the page before. A page is full when one of the callers may have more.
        """
        callers = min(most, _CALLERS_AT_ONCE)
        found = await self._database.fetch(_CLAIM_IN_TURN, lease_s, most, channel, after, callers)
        share, last = found[0]["share"], found[0]["last"]
        rows = [row for row in found if row["id"] is not None]
        full = max(Counter(row["caller"] for row in rows).values(), default=0) >= share
        return _claimed(rows, full=full, last=last, lag_s=_lag_s(found))

    async def renew(self, identifiers: Sequence[UUID], *, lease_s: float) -> None:
        """Keeps rows that are not marked as queued for `lease_s` seconds from now."""
        await self._database.fetch(_RENEW, sorted(identifiers), lease_s, min(identifiers), max(identifiers))

    async def mark(self, queued: Sequence[tuple[UUID, datetime]]) -> Sequence[UUID]:
        """Marks rows as QUEUED since the given times; those that an outcome has moved on keep their status."""
        ids = [identifier for identifier, _ in queued]
        rows = await self._database.fetch(_MARK, ids, [when for _, when in queued], min(ids), max(ids))
        return [row["id"] for row in rows]

    async def publish_again(self) -> None:
        """Makes everything due that was published and has not ended, for a bus that has lost its messages."""
        await self._database.fetch(_PUBLISH_AGAIN)

    async def measure(self) -> Waiting:
        """What waits now, in this and every other process."""
        row = (await self._database.fetch(_MEASURE, MOST_COUNTED))[0]
        oldest_s = 0.0 if row["oldest"] is None else max(0.0, (row["measured"] - row["oldest"]).total_seconds())
        return Waiting(min(row["size"], MOST_COUNTED), oldest_s)


def _claimed(rows: Sequence[Any], *, full: bool, lag_s: float, last: str = "") -> Claimed:
    jobs = tuple(
        OutboxItem(row["id"], Channel(row["channel"]), Priority(row["priority"]), row["payload"], row["caller"])
        for row in rows
        if row["status"] == Status.PENDING
    )
    expired = tuple(
        Unsent(row["id"], row["user_id"], Channel(row["channel"]), row["create_time"]) for row in rows if row["status"] == Status.EXPIRED
    )
    return Claimed(jobs, expired, full, lag_s, last)


def _lag_s(rows: Sequence[Any]) -> float:
    lag_s = rows[0]["lag_s"] if rows else None
    return 0.0 if lag_s is None else max(0.0, lag_s)
