"""Variables of notifications in PostgreSQL: read, and forgotten when their time is over."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from clarion.notification.v1.dead_letter_pb2 import DEAD_LETTER_STATE_OPEN
from gateway.notifications.models import Status
from mesh.ids import least_at
from mesh.stores.database import Database

_PAYLOAD = "SELECT payload FROM notifications WHERE id = $1"
# By the key, so that a look costs no index; the next one begins where this one ends. What ended but may be sent again by a reviewer stays.
# An emptied payload is no missing one, which is that of an erased person.
_FORGET = f"""
WITH page AS MATERIALIZED (
    SELECT id, status, update_time, octet_length(payload) > 0 AS kept FROM notifications WHERE id > $1 AND id < $2 ORDER BY id LIMIT $4
), gone AS (
    SELECT p.id, p.status FROM page p
    WHERE p.kept AND p.update_time < $3 AND (
        p.status IN ({Status.SENT:d}, {Status.SKIPPED:d}, {Status.CANCELLED:d}, {Status.EXPIRED:d})
        OR (p.status = {Status.FAILED:d} AND NOT EXISTS (
            SELECT 1 FROM dead_letters d WHERE d.notification_id = p.id AND d.state = {DEAD_LETTER_STATE_OPEN:d}
        ))
    )
), emptied AS (
    UPDATE notifications n SET payload = '' FROM gone g WHERE n.id = g.id AND n.id > $1 AND n.id < $2 AND n.status = g.status
), letters AS (
    UPDATE dead_letters d SET delivery = NULL FROM gone g WHERE d.notification_id = g.id AND d.delivery IS NOT NULL
)
SELECT max(id::text)::uuid AS last, count(*) AS seen FROM page
"""
_AT_ONCE = 2000
_PASS_S = 86_400.0
_FIRST = UUID(int=0)


class PayloadRepository:
    """Implements `use_cases.PayloadStore`, and forgets what was said `kept` after the end of a notification."""

    def __init__(self, database: Database, *, now: Callable[[], datetime], clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._clock = clock
        self._place: UUID = _FIRST
        self._next_pass_at: float = clock()

    async def payload(self, identifier: UUID) -> bytes:
        """The serialized Delivery; empty where it is kept no longer."""
        rows = await self._database.fetch(_PAYLOAD, identifier)
        return bytes(rows[0]["payload"] or b"") if rows else b""

    async def forget(self, kept: timedelta) -> int:
        """One step of a pass through all that is old, of which there is one a day; 0 at its end and until the next one is due."""
        if self._place == _FIRST and self._clock() < self._next_pass_at:
            return 0
        oldest = self._now() - kept
        [row] = await self._database.fetch(_FORGET, self._place, least_at(oldest), oldest, _AT_ONCE)
        if row["seen"] < _AT_ONCE:
            self._place, self._next_pass_at = _FIRST, self._clock() + _PASS_S
            return 0
        self._place = UUID(int=row["last"].int)
        return int(row["seen"])
