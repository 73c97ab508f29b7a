"""Facts in PostgreSQL. Each that is recorded is a change of the feed, too, in the same statement."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.facts.models import MAX_UNTRUSTED, Fresh, Report
from gateway.notifications.models import Channel
from mesh.stores.database import Database

_FRESH = f"""
SELECT g.place, n.project, n.user_id
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS g(id, source_key, rationed, place)
JOIN notifications n ON n.id = g.id AND n.channel = {Channel.EMAIL:d}
WHERE NOT EXISTS (
    SELECT 1 FROM delivery_facts f WHERE f.project = n.project AND f.notification_id = n.id AND f.source_key = g.source_key
) AND (g.rationed IS NULL OR {MAX_UNTRUSTED} > (
    SELECT count(*) FROM delivery_facts f WHERE f.project = n.project AND f.notification_id = n.id AND f.provider = g.rationed
))
ORDER BY g.place
"""

# The row is locked, so that the feed has what happened to one notification in that order. One without payload is of an erased person, of
# whom no details are kept.
_RECORD = """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
    AS g(id, source_key, fact, time, provider, reason, detail)
),
mine AS (
    SELECT id, project, status, run, attempt, payload IS NULL AS erased FROM notifications
    WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
),
recorded AS (
    INSERT INTO delivery_facts (project, notification_id, source_key, fact, time, provider, reason, detail)
    SELECT m.project, m.id, g.source_key, g.fact, g.time, g.provider, g.reason, CASE WHEN m.erased THEN '' ELSE g.detail END
    FROM given g JOIN mine m ON m.id = g.id
    ON CONFLICT DO NOTHING
    RETURNING notification_id, fact, time, reason
)
INSERT INTO changes (project, notification_id, status, run, attempt, reason, time, fact)
SELECT m.project, m.id, m.status, m.run, m.attempt, r.reason, r.time, r.fact FROM recorded r JOIN mine m ON m.id = r.notification_id
ORDER BY r.time
RETURNING notification_id
"""

_CLEAN = """
WITH old AS (
    SELECT project, notification_id, source_key FROM delivery_facts
    WHERE create_time < now() - $1 * interval '1 second' ORDER BY create_time LIMIT 500
),
gone AS (
    DELETE FROM delivery_facts f USING old
    WHERE (f.project, f.notification_id, f.source_key) = (old.project, old.notification_id, old.source_key) RETURNING 1
)
SELECT count(*) AS facts FROM gone
"""


async def record(driver: Any, reports: Sequence[Report]) -> int:
    """Records them in the driver's transaction; how many of them were new."""
    columns = [(r.notification_id, r.source_key, r.fact.value, r.time, r.provider, r.reason, r.detail) for r in reports]
    return len(await driver.fetch(_RECORD, *(list(column) for column in zip(*columns, strict=True))))


class FactRepository:
    """Implements `gateway.facts.use_cases.FactStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fresh(self, reports: Sequence[Report]) -> list[Fresh]:
        """Those that are about an e-mail of ours and not recorded yet. Of unsigned bounces a notification has so many."""
        columns = [(one.notification_id, one.source_key, one.provider if one.rationed else None) for one in reports]
        rows = await self._database.fetch(_FRESH, *(list(column) for column in zip(*columns, strict=True)))
        return [Fresh(reports[row["place"] - 1], row["project"], UUID(int=row["user_id"].int)) for row in rows]

    async def record(self, reports: Sequence[Report]) -> int:
        """Records them; how many of them were new."""
        async with self._database.driver() as driver, driver.transaction():
            return await record(driver, reports)

    async def clean(self, *, older_than_s: float) -> int:
        """Forgets some that are older; how many they were."""
        rows = await self._database.fetch(_CLEAN, older_than_s)
        return int(rows[0]["facts"])
