"""The feed in PostgreSQL.

A trigger writes rows of `changes` within the transactions that make them, so the order of their `seq` is not that in which they become
visible: a reader that trusted the greatest `seq` would skip what commits later. Therefore one process at a time puts what has become
visible since the last time into a batch. PostgreSQL's snapshots say exactly what that is (xid8 and pg_snapshot, "Transaction ID and
Snapshot Information Functions" in its documentation): a row belongs to the batch if this statement sees it and the last one's snapshot
did not. A position is a place in the batches of a project, which are never changed.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.activity.repository import count_changes
from gateway.changes.models import Change, ChangeFilters, Ends, Window
from gateway.notifications.models import Channel, Fact, Status
from mesh.stores.database import Database

# any number that all replicas share
_LOCK = "SELECT pg_try_advisory_xact_lock(7161823411) AS mine"
# After a restore into another cluster transaction ids begin anew: then what is newer than the last batch's greatest `seq` is what is fresh.
_SEQUENCE = """
WITH horizon AS (
    SELECT snapshot, seq, pg_snapshot_xmax(snapshot) > pg_snapshot_xmax(pg_current_snapshot()) AS foreign_cluster FROM change_horizon
),
fresh AS MATERIALIZED (
    SELECT c.seq, c.project FROM horizon h CROSS JOIN LATERAL (
        SELECT seq, project FROM changes
        WHERE NOT h.foreign_cluster AND xid >= pg_snapshot_xmin(h.snapshot) AND NOT pg_visible_in_snapshot(xid, h.snapshot)
        UNION ALL
        SELECT seq, project FROM changes WHERE h.foreign_cluster AND seq > h.seq
    ) c
),
batches AS (SELECT project, array_agg(seq ORDER BY seq) AS seqs FROM fresh GROUP BY project),
stored AS (
    INSERT INTO change_batches (project, first_position, seqs)
    SELECT n.project, COALESCE((
        SELECT b.first_position + cardinality(b.seqs) FROM change_batches b
        WHERE b.project = n.project ORDER BY b.first_position DESC LIMIT 1
    ), 1), n.seqs
    FROM batches n
    RETURNING 1
)
UPDATE change_horizon SET snapshot = pg_current_snapshot(), seq = GREATEST(seq, (SELECT max(seq) FROM fresh))
WHERE EXISTS (SELECT 1 FROM fresh)
RETURNING (SELECT array_agg(seq) FROM fresh) AS seqs
"""

_ENDS = """
SELECT
    (SELECT first_position FROM change_batches WHERE project = p.name ORDER BY first_position LIMIT 1) AS first,
    (SELECT first_position + cardinality(seqs) - 1 FROM change_batches WHERE project = p.name ORDER BY first_position DESC LIMIT 1) AS last
FROM unnest($1::text[]) WITH ORDINALITY AS p(name, place) ORDER BY p.place
"""

# The batch that holds the next position, and those behind it; then the filters. A batch has at least one change, so that as many batches as
# positions are enough.
_READ = """
WITH looked_at AS MATERIALIZED (
    SELECT b.first_position + s.place - 1 AS position, s.seq FROM (
        SELECT first_position, seqs FROM change_batches
        WHERE project = $1 AND first_position >= COALESCE((
            SELECT max(first_position) FROM change_batches WHERE project = $1 AND first_position <= $2 + 1
        ), 0)
        ORDER BY first_position LIMIT $3 + 1
    ) b CROSS JOIN LATERAL unnest(b.seqs) WITH ORDINALITY AS s(seq, place)
    WHERE b.first_position + s.place - 1 > $2
    ORDER BY 1 LIMIT $3
)
SELECT seen.last, seen.positions, found.* FROM (SELECT max(position) AS last, count(*) AS positions FROM looked_at) seen LEFT JOIN (
    SELECT l.position, c.notification_id, c.status, c.run, c.attempt, c.reason, c.time, c.fact,
        n.user_id, n.channel, n.template, n.category, n.metadata, n.correlation_id, n.test
    FROM looked_at l JOIN changes c ON c.seq = l.seq JOIN notifications n ON n.id = c.notification_id
    WHERE ($4::smallint[] IS NULL OR (c.status = ANY($4) AND c.fact = 0)) AND ($5::smallint IS NULL OR n.channel = $5)
        AND ($6::text IS NULL OR n.template = $6) AND ($7::text IS NULL OR n.category = $7)
        AND ($8::uuid IS NULL OR n.user_id = $8) AND ($9::text IS NULL OR n.metadata @> CAST($9 AS jsonb))
) found ON true
ORDER BY found.position
"""

# The last batch of a project stays: the next one is counted from it.
_CLEAN = """
WITH old AS (
    SELECT b.project, b.first_position FROM change_batches b
    WHERE b.create_time < now() - $1 * interval '1 second'
        AND EXISTS (SELECT 1 FROM change_batches l WHERE l.project = b.project AND l.first_position > b.first_position)
    ORDER BY b.create_time LIMIT $2
),
gone AS (
    DELETE FROM change_batches b USING old WHERE (b.project, b.first_position) = (old.project, old.first_position) RETURNING b.seqs
),
forgotten AS (DELETE FROM changes WHERE seq IN (SELECT unnest(seqs) FROM gone))
SELECT count(*) AS batches FROM gone
"""


class ChangeRepository:
    """Puts changes in order, and reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sequence(self) -> int:
        """Makes what has become visible readable, and counts it; how many changes that were. 0 where another process is at it."""
        async with self._database.driver() as driver, driver.transaction():
            if not (await driver.fetch(_LOCK))[0]["mine"]:
                return 0
            rows = await driver.fetch(_SEQUENCE)
            if not rows:
                return 0
            await count_changes(driver, rows[0]["seqs"])
            return len(rows[0]["seqs"])

    async def ends(self, projects: Sequence[str]) -> list[Ends]:
        """The ends of each project's feed."""
        rows = await self._database.fetch(_ENDS, list(projects))
        return [Ends(row["first"] or 0, row["last"] or 0) for row in rows]

    async def read(self, filters: ChangeFilters, *, after: int, positions: int) -> Window:
        """Looks at up to `positions` positions behind `after`."""
        rows = await self._database.fetch(
            _READ,
            filters.project,
            after,
            positions,
            [status.value for status in filters.statuses] or None,
            filters.channel,
            filters.template,
            filters.category,
            filters.user_id,
            json.dumps(dict(filters.metadata)) if filters.metadata else None,
        )
        last, seen = rows[0]["last"], rows[0]["positions"]
        changes = tuple(_change(row) for row in rows if row["position"] is not None)
        return Window(changes, after if last is None else last, full=seen == positions)

    async def clean(self, *, older_than_s: float, most: int = 500) -> int:
        """Forgets up to `most` batches that are older; how many they were."""
        rows = await self._database.fetch(_CLEAN, older_than_s, most)
        return int(rows[0]["batches"])


def _change(row: Any) -> Change:
    metadata = row["metadata"]
    return Change(
        position=row["position"],
        notification_id=UUID(int=row["notification_id"].int),
        status=Status(row["status"]),
        run=row["run"],
        attempt=row["attempt"],
        reason=row["reason"],
        time=row["time"],
        user_id=UUID(int=row["user_id"].int),
        channel=Channel(row["channel"]),
        template=row["template"],
        category=row["category"],
        metadata=json.loads(metadata) if isinstance(metadata, str) else metadata or {},
        correlation_id=row["correlation_id"],
        test=row["test"],
        fact=Fact(row["fact"]) if row["fact"] else None,
    )
