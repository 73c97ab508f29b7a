"""Counts in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.activity.models import BOUNDS_S, NO_BUCKET, ActivityFilters, Count, Span, TemplateCount, TimedCount, VersionCount, Waiting
from gateway.activity.queues import Lane
from gateway.dead_letters.models import Cause, State
from gateway.notifications.models import TERMINAL, Channel, Priority, Status
from mesh.stores.database import Database

_LANDED = ", ".join(f"{status:d}" for status in sorted(TERMINAL))
_MINUTE_S, _HOUR_S = 60, 3600
_KEPT_BY_MINUTE = "2 days"

# An acceptance is the change that was written with the row. How long it took is counted of what was neither sent again by a reviewer nor
# put off as its person wanted; the timeline is asked only about what took so long that it may have been.
_TALLY = f"""
WITH happened AS (
    SELECT n.project, n.test, date_trunc('minute', c.time) AS time, n.channel, n.template, n.template_version, c.fact,
        CASE WHEN c.fact = 0 AND c.status NOT IN ({_LANDED}) THEN {Status.PENDING:d} ELSE c.status END AS status,
        CASE WHEN c.fact = 0 AND c.status = {Status.SENT:d} AND c.run = 0
            THEN extract(epoch FROM c.time - GREATEST(n.create_time, n.send_at))::float8 END AS took_s,
        n.id
    FROM changes c JOIN notifications n ON n.id = c.notification_id
    WHERE c.seq = ANY($1::bigint[]) AND (
        c.fact <> 0 OR c.status IN ({_LANDED})
        OR (c.status IN ({Status.SCHEDULED:d}, {Status.PENDING:d}) AND c.run = 0 AND c.attempt = 0 AND c.time = n.create_time)
    )
),
measured AS (
    SELECT project, test, time, channel, template, template_version, status, fact, CASE
        WHEN took_s IS NULL OR (took_s > 60 AND EXISTS (
            SELECT 1 FROM timeline t WHERE t.notification_id = happened.id AND t.status = {Status.SCHEDULED:d}
        )) THEN {NO_BUCKET}
        ELSE width_bucket(took_s, $2::float8[])
    END AS bucket
    FROM happened
)
INSERT INTO activity AS a (project, test, span_s, time, channel, template, template_version, status, fact, bucket, count)
SELECT project, test, {_MINUTE_S}, time, channel, template, template_version, status, fact, bucket, count(*) FROM measured
GROUP BY project, test, time, channel, template, template_version, status, fact, bucket
ON CONFLICT (project, test, time, span_s, channel, template, template_version, status, fact, bucket)
DO UPDATE SET count = a.count + excluded.count
"""

_WHERE = """
WHERE project = $1 AND test = $2 AND time >= $3 AND time < $4
    AND ($5::smallint IS NULL OR channel = $5) AND ($6::text IS NULL OR template = $6)
"""
_POINTS = f"""
SELECT floor(extract(epoch FROM time - $3) / $7::float8)::int AS point, status, fact, bucket, sum(count)::bigint AS count FROM activity
{_WHERE} GROUP BY 1, 2, 3, 4
"""
_VERSIONS = f"""
SELECT template_version, status, fact, bucket, sum(count)::bigint AS count FROM activity
{_WHERE} AND template_version <> 0 GROUP BY 1, 2, 3, 4
"""
_TEMPLATES = f"SELECT template, channel, status, fact, sum(count)::bigint AS count FROM activity {_WHERE} GROUP BY 1, 2, 3, 4"

# Deleting and counting anew are one statement, so that a count is in one place or the other.
_THIN = f"""
WITH old AS (
    DELETE FROM activity WHERE ctid IN (
        SELECT ctid FROM activity WHERE span_s = {_MINUTE_S} AND time < date_trunc('hour', now()) - interval '{_KEPT_BY_MINUTE}' LIMIT $1
    )
    RETURNING project, test, date_trunc('hour', time) AS time, channel, template, template_version, status, fact, bucket, count
),
kept AS (
    INSERT INTO activity AS a (project, test, span_s, time, channel, template, template_version, status, fact, bucket, count)
    SELECT project, test, {_HOUR_S}, time, channel, template, template_version, status, fact, bucket, sum(count) FROM old
    GROUP BY project, test, time, channel, template, template_version, status, fact, bucket
    ON CONFLICT (project, test, time, span_s, channel, template, template_version, status, fact, bucket)
    DO UPDATE SET count = a.count + excluded.count
)
SELECT count(*) AS thinned FROM old
"""
_FORGET = f"""
DELETE FROM activity WHERE ctid IN (
    SELECT ctid FROM activity WHERE span_s = {_HOUR_S} AND time < now() - $1 * interval '1 second' LIMIT $2
) RETURNING 1
"""

# Beyond so many it does not matter how many there are.
_DUE = f"""
SELECT count(*) AS due, COALESCE(extract(epoch FROM now() - min(dispatch_at)), 0)::float8 AS oldest_s FROM (
    SELECT dispatch_at FROM notifications
    WHERE project = $1 AND status IN ({Status.SCHEDULED:d}, {Status.PENDING:d}) AND dispatch_at < now() ORDER BY dispatch_at LIMIT 100000
) AS waiting
"""
# Of the oldest of all projects, so that the look costs as little while a million of another project's wait. The row's reason is of the
# first try that a worker has put off; what has a time of its own, such as the end of quiet hours, is SCHEDULED.
_QUEUED = f"""
SELECT count(*) AS queued, COALESCE(extract(epoch FROM now() - min(since)), 0)::float8 AS oldest_s,
    COALESCE(array_agg(DISTINCT reason) FILTER (WHERE reason <> ''), ARRAY[]::text[]) AS reasons
FROM (
    SELECT project, reason, COALESCE(queued_at, update_time) AS since
    FROM notifications WHERE status = {Status.QUEUED:d} ORDER BY id LIMIT 100000
) AS first WHERE project = $1 AND since < now() - interval '1 minute'
"""
_LETTERS = f"""
SELECT cause, count(*) AS letters FROM (
    SELECT d.cause FROM dead_letters d JOIN notifications n ON n.id = d.notification_id
    WHERE d.project = $1 AND d.state = {State.OPEN:d} AND NOT n.test LIMIT 100000
) AS open GROUP BY cause ORDER BY 2 DESC, 1
"""


async def count_changes(driver: Any, seqs: Sequence[int]) -> None:
    """Counts changes within the transaction that puts them in order, which no two processes are in at a time."""
    await driver.fetch(_TALLY, seqs, _bounds())


# Bounded, so that looking costs little however much is on the bus. Ids are in the order of acceptance.
_ON_THE_BUS = f"""
SELECT channel, priority, extract(epoch FROM now() - min(queued_at))::float8 AS oldest_s FROM (
    SELECT channel, priority, queued_at FROM notifications WHERE status = {Status.QUEUED:d} ORDER BY id LIMIT 1000
) AS first
WHERE queued_at IS NOT NULL GROUP BY channel, priority
"""


class ActivityRepository:
    """Reads the counts, and keeps them small."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def over_time(self, filters: ActivityFilters, span: Span) -> Sequence[TimedCount]:
        """The counts of each point of the span; points without any are missing."""
        rows = await self._database.fetch(_POINTS, *_given(filters, span), span.step.total_seconds())
        return [TimedCount(row["point"], Count(row["status"], row["fact"], row["bucket"], row["count"])) for row in rows]

    async def by_template(self, filters: ActivityFilters, span: Span) -> Sequence[TemplateCount]:
        """The counts of each template."""
        rows = await self._database.fetch(_TEMPLATES, *_given(filters, span))
        return [
            TemplateCount(row["template"], Channel(row["channel"]), Count(row["status"], row["fact"], NO_BUCKET, row["count"]))
            for row in rows
        ]

    async def by_version(self, filters: ActivityFilters, span: Span) -> Sequence[VersionCount]:
        """The counts of each version of the filter's template."""
        rows = await self._database.fetch(_VERSIONS, *_given(filters, span))
        return [VersionCount(row["template_version"], Count(row["status"], row["fact"], row["bucket"], row["count"])) for row in rows]

    async def waiting(self, project: str) -> Waiting:
        """What waits of a project; 100,000 stand for more."""
        due = (await self._database.fetch(_DUE, project))[0]
        queued = (await self._database.fetch(_QUEUED, project))[0]
        letters = [(Cause(row["cause"]).name.lower(), row["letters"]) for row in await self._database.fetch(_LETTERS, project)]
        return Waiting(due["due"], due["oldest_s"], letters, queued["queued"], queued["oldest_s"], queued["reasons"])

    async def on_the_bus(self) -> Mapping[Lane, float]:
        """Seconds since the oldest of each lane was put on the bus, of those of which no worker has reported."""
        rows = await self._database.fetch(_ON_THE_BUS)
        return {Lane(Channel(row["channel"]), row["priority"] == Priority.HIGH): row["oldest_s"] for row in rows}

    async def clean(self, *, older_than_s: float, most: int = 5000) -> int:
        """Makes hours of old minutes and forgets old hours, up to `most` of each; how many they were."""
        thinned = (await self._database.fetch(_THIN, most))[0]["thinned"]
        return int(thinned) + len(await self._database.fetch(_FORGET, older_than_s, most))


def _given(filters: ActivityFilters, span: Span) -> tuple[object, ...]:
    return filters.project, filters.test, span.start, span.end, filters.channel, filters.template


def _bounds() -> list[float]:
    """`width_bucket` puts a value at a bound into the range above, and numbers ranges from 0: a value of exactly 2 s is within 2 s."""
    return [bound * (1 + 1e-9) for bound in BOUNDS_S]
