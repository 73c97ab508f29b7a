"""Endpoints and deliveries in PostgreSQL, as the process that posts works on them: under a lease, by PostgreSQL's clock."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from gateway.webhooks.models import Delivery, DeliveryState, EndpointState, Selection
from gateway.webhooks.rows import DELIVERY, LAST, attempts_text, delivery_of, selection_of
from mesh.stores.database import Database

_WORK = """
e.id, e.project, e.url, e.statuses, e.channel, e.template, e.category, e.metadata, e.user_id, e.position, e.failures, e.sealed_secret,
CASE WHEN e.old_secret_until > now() THEN e.old_secret END AS old_secret, e.state,
COALESCE(extract(epoch FROM now() - e.failing_since), 0)::float8 AS failing_s
"""
_CLAIM = f"""
WITH free AS (
    SELECT e.id FROM webhook_endpoints e
    WHERE e.state = {EndpointState.ENABLED:d} AND (e.lease_until IS NULL OR e.lease_until <= now())
        AND (e.hold_until IS NULL OR e.hold_until <= now())
        AND (e.position < {LAST} OR EXISTS (
            SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.state = {DeliveryState.WAITING:d} AND d.due_at <= now()
        ))
    ORDER BY e.lease_until NULLS FIRST, e.id LIMIT $3 FOR UPDATE OF e SKIP LOCKED
)
UPDATE webhook_endpoints e SET lease_by = $1, lease_until = now() + $2 * interval '1 second'
FROM free WHERE e.id = free.id RETURNING {_WORK}
"""
_RENEW = "UPDATE webhook_endpoints SET lease_until = now() + $3 * interval '1 second' WHERE id = $1 AND lease_by = $2"
# It stays behind the others that wait, as one whose lease is over.
_RELEASE = "UPDATE webhook_endpoints SET lease_by = NULL, lease_until = now() WHERE id = $1 AND lease_by = $2"
_DUE = f"""
SELECT {DELIVERY} FROM webhook_deliveries WHERE endpoint_id = $1 AND state = {DeliveryState.WAITING:d} AND due_at <= now()
ORDER BY due_at, position LIMIT $2
"""
# A test first: its owner is waiting for it.
_OLDEST = f"""
SELECT {DELIVERY} FROM webhook_deliveries WHERE endpoint_id = $1 AND state = {DeliveryState.WAITING:d}
ORDER BY position IS NOT NULL, create_time, position LIMIT 1
"""
_RECORD = """
INSERT INTO webhook_deliveries AS d (endpoint_id, id, type, position, notification_id, state, due_at, create_time, attempts, tries)
SELECT
    $1, g.id, g.type, g.position, g.notification_id, g.state, now() + g.wait_s * interval '1 second', now(), CAST(g.attempts AS jsonb),
    g.tries
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::uuid[], $6::smallint[], $7::float8[], $8::text[], $9::smallint[])
    AS g(id, type, position, notification_id, state, wait_s, attempts, tries)
ON CONFLICT (endpoint_id, id) DO UPDATE SET
    state = excluded.state, due_at = excluded.due_at, attempts = excluded.attempts, tries = excluded.tries
"""
_MOVE_ON = f"""
UPDATE webhook_endpoints e SET
    position = greatest(e.position, $3), failures = $4,
    failing_since = CASE WHEN $4 = 0 THEN NULL ELSE COALESCE(e.failing_since, now()) END,
    hold_until = CASE WHEN $5 > 0 THEN now() + $5 * interval '1 second' END,
    state = CASE WHEN e.state = {EndpointState.ENABLED:d} THEN $6 ELSE e.state END,
    state_reason = CASE WHEN e.state = {EndpointState.ENABLED:d} THEN $7 ELSE e.state_reason END
WHERE e.id = $1 AND e.lease_by = $2
RETURNING {_WORK}
"""


class Work(NamedTuple):
    """An endpoint in hand. `failures` counts those in a row, for `failing_s` seconds by now; secrets are sealed."""

    id: UUID
    project: str
    url: str
    selection: Selection
    state: EndpointState
    position: int
    failures: int
    failing_s: float
    sealed_secrets: tuple[bytes, ...]


class Tried(NamedTuple):
    """A delivery after a try; `wait_s` until the next one, where it waits for one. The next process has what was not `posted`."""

    delivery: Delivery
    wait_s: float | None
    posted: bool = True


class Standing(NamedTuple):
    """Where an endpoint stands after a batch."""

    position: int
    failures: int
    hold_s: float = 0.0
    state: EndpointState = EndpointState.ENABLED
    reason: str = ""


class WorkRepository:
    """Implements `webhooks.posting.WorkStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, token: bytes, *, lease_s: float, most: int) -> list[Work]:
        """Endpoints that have something to do and that no process works for."""
        return [_work(row) for row in await self._database.fetch(_CLAIM, token, lease_s, most)]

    async def renew(self, endpoint: UUID, token: bytes, *, lease_s: float) -> None:
        await self._database.fetch(_RENEW, endpoint, token, lease_s)

    async def release(self, endpoint: UUID, token: bytes) -> None:
        await self._database.fetch(_RELEASE, endpoint, token)

    async def due(self, endpoint: UUID, most: int) -> list[Delivery]:
        """What is to be tried again now."""
        return [delivery_of(row) for row in await self._database.fetch(_DUE, endpoint, most)]

    async def oldest(self, endpoint: UUID) -> list[Delivery]:
        """The one that has waited for longest, due or not."""
        return [delivery_of(row) for row in await self._database.fetch(_OLDEST, endpoint)]

    async def record(self, endpoint: UUID, token: bytes, tried: Sequence[Tried], standing: Standing) -> Work | None:
        """Writes what came of a batch, in one transaction; None, and nothing is written, where the lease was lost meanwhile."""
        async with self._database.driver() as driver, driver.transaction():
            rows = await driver.fetch(_MOVE_ON, endpoint, token, *standing)
            if rows and tried:
                await driver.fetch(_RECORD, endpoint, *_columns_of(tried))
        return _work(rows[0]) if rows else None


def _columns_of(tried: Sequence[Tried]) -> list[list[Any]]:
    deliveries = [one.delivery for one in tried]
    return [
        [one.id for one in deliveries],
        [one.type for one in deliveries],
        [one.position for one in deliveries],
        [one.notification_id for one in deliveries],
        [one.state.value for one in deliveries],
        [one.wait_s for one in tried],
        [attempts_text(one.attempts) for one in deliveries],
        [one.tries for one in deliveries],
    ]


def _work(row: Any) -> Work:
    return Work(
        id=UUID(int=row["id"].int),
        project=row["project"],
        url=row["url"],
        selection=selection_of(row),
        state=EndpointState(row["state"]),
        position=row["position"],
        failures=row["failures"],
        failing_s=row["failing_s"],
        sealed_secrets=tuple(secret for secret in (row["sealed_secret"], row["old_secret"]) if secret is not None),
    )
