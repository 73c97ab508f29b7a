"""The rows that wait for the bus: taking them under a lease, and marking those that the bus has."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from gateway.notifications.models import Channel, Job, Priority, Status
from gateway.sagas.sending import opening
from mesh.database import Database

# 1 SCHEDULED, 2 PENDING, 3 QUEUED, 10 EXPIRED. What has expired is told so instead of published.
_CLAIM = """
WITH due AS (
    SELECT id FROM notifications WHERE status IN (1, 2) AND dispatch_at <= :now {urgent}
    ORDER BY dispatch_at LIMIT :most FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE notifications n SET
        status = CASE WHEN n.expires_at <= :now THEN 10 ELSE 2 END,
        reason = CASE WHEN n.expires_at <= :now THEN 'EXPIRED_IN_BACKLOG' ELSE n.reason END,
        update_time = CASE WHEN n.status = 1 OR n.expires_at <= :now THEN :now ELSE n.update_time END,
        dispatch_at = :until
    FROM due WHERE n.id = due.id
    RETURNING n.id, n.run, n.channel, n.priority, n.status, n.payload, n.user_id, n.reason, n.create_time, n.correlation_id
),
told AS (
    INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason)
    SELECT id, run, 0, status, 0, :now, 'EXPIRED_IN_BACKLOG' FROM claimed WHERE status = 10
    ON CONFLICT DO NOTHING
),
unsent AS (SELECT * FROM claimed WHERE status = 10),
compensated AS ({compensation})
SELECT id, channel, priority, payload, status FROM claimed
"""
_COMPENSATION = opening("unsent", ":now", ":since")
_CLAIM_ANY = text(_CLAIM.format(urgent="", compensation=_COMPENSATION))
_CLAIM_URGENT = text(_CLAIM.format(urgent="AND priority = 2", compensation=_COMPENSATION))

# In order of the id, as settlement locks too, so that the two never wait for each other in a circle. An outcome that was faster keeps
# its status. The range spares the partitions that none of the ids is in.
_MARK = """
WITH given AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS t(id, queued_at)),
mine AS (
    SELECT n.id FROM notifications n
    WHERE n.id = ANY($1::uuid[]) AND n.id BETWEEN $3 AND $4 AND n.queued_at IS NULL
    ORDER BY n.id FOR UPDATE
)
UPDATE notifications n SET
    queued_at = given.queued_at,
    status = CASE WHEN n.status = 2 THEN 3 ELSE n.status END,
    update_time = CASE WHEN n.status = 2 THEN given.queued_at ELSE n.update_time END
FROM mine JOIN given USING (id)
WHERE n.id = mine.id AND n.id BETWEEN $3 AND $4
RETURNING n.id
"""


class Claimed(NamedTuple):
    """A page of the backlog: what is to be published now, and what had expired. `full` when more may wait."""

    jobs: tuple[Job, ...]
    expired: tuple[UUID, ...]
    full: bool


class Outbox:
    """The backlog in PostgreSQL. What expires in it gives back what it reserved in the last `reserved_s` seconds."""

    def __init__(self, database: Database, *, reserved_s: float = 0.0) -> None:
        self._database = database
        self._reserved_s = reserved_s

    async def claim(self, *, most: int, lease_s: float, urgent: bool = False) -> Claimed:
        """Takes up to `most` due rows that nobody else has, for `lease_s` seconds. `urgent` takes those of high priority only."""
        now = datetime.now(UTC)
        since = now - timedelta(seconds=self._reserved_s)
        parameters = {"now": now, "until": now + timedelta(seconds=lease_s), "most": most, "since": since}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_CLAIM_URGENT if urgent else _CLAIM_ANY, parameters)).all()
        jobs = tuple(Job(row.id, Channel(row.channel), Priority(row.priority), row.payload) for row in rows if row.status == Status.PENDING)
        return Claimed(jobs, tuple(row.id for row in rows if row.status == Status.EXPIRED), len(rows) >= most)

    async def mark(self, queued: Sequence[tuple[UUID, datetime]]) -> Sequence[UUID]:
        """Marks rows as QUEUED since the given times; those that an outcome has moved on keep their status."""
        ids = [identifier for identifier, _ in queued]
        rows = await self._database.fetch(_MARK, ids, [when for _, when in queued], min(ids), max(ids))
        return [row["id"] for row in rows]
