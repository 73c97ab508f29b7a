"""Endpoints and their deliveries in PostgreSQL, as their owners see them."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.webhooks.models import MAX_ENDPOINTS, Changes, Delivery, DeliveryState, Endpoint, EndpointState, Selection
from gateway.webhooks.rows import DELIVERY, LAST, delivery_of, selection_of
from mesh.stores.database import Database

_COLUMNS = f"""
e.id, e.project, e.url, e.description, e.statuses, e.channel, e.template, e.category, e.metadata, e.user_id, e.state, e.state_reason,
e.failing_since, e.position, e.create_time, e.update_time, {LAST} AS last
"""
_ADD = f"""
INSERT INTO webhook_endpoints (
    id, project, url, description, statuses, channel, template, category, metadata, user_id, state, sealed_secret, position, create_time,
    update_time
)
SELECT e.id, e.project, $3, $4, $5, $6, $7, $8, CAST($9 AS jsonb), $10, $11, $12, {LAST}, now(), now()
FROM (SELECT $1::uuid AS id, $2::text AS project) e
WHERE (SELECT count(*) FROM webhook_endpoints WHERE project = $2) < {MAX_ENDPOINTS}
RETURNING id
"""
# One at a time of a project: two that count at once would each see room for themselves.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints ' || $1, 0))"
_FIND = f"SELECT {_COLUMNS} FROM webhook_endpoints e WHERE e.id = $1 AND e.project = $2"
_LIST = f"SELECT {_COLUMNS} FROM webhook_endpoints e WHERE e.project = $1 AND e.id > $2 ORDER BY e.id LIMIT $3"
# What a paused or gone endpoint has missed comes to it when it is taken up again; what its owner did not want does not.
_UPDATE = f"""
UPDATE webhook_endpoints e SET
    url = COALESCE($3::text, e.url), description = COALESCE($4::text, e.description), statuses = COALESCE($5::smallint[], e.statuses),
    channel = CASE WHEN $7::boolean THEN $6::smallint ELSE e.channel END, template = COALESCE($8::text, e.template),
    category = COALESCE($9::text, e.category),
    metadata = COALESCE(CAST($10 AS jsonb), e.metadata), user_id = CASE WHEN $13::boolean THEN $12::uuid ELSE e.user_id END,
    update_time = now(),
    state = CASE
        WHEN $11::boolean IS NULL OR (NOT $11::boolean AND e.state = {EndpointState.ENABLED:d}) THEN e.state
        WHEN $11::boolean THEN {EndpointState.DISABLED:d} ELSE {EndpointState.ENABLED:d}
    END,
    state_reason = CASE WHEN $11::boolean IS NULL THEN e.state_reason ELSE '' END,
    failures = CASE WHEN NOT $11::boolean AND e.state <> {EndpointState.ENABLED:d} THEN 0 ELSE e.failures END,
    failing_since = CASE WHEN NOT $11::boolean AND e.state <> {EndpointState.ENABLED:d} THEN NULL ELSE e.failing_since END,
    hold_until = CASE WHEN NOT $11::boolean OR $3::text <> e.url THEN NULL ELSE e.hold_until END,
    position = CASE WHEN NOT $11::boolean AND e.state = {EndpointState.DISABLED:d} THEN {LAST} ELSE e.position END
WHERE e.id = $1 AND e.project = $2
RETURNING {_COLUMNS}
"""
_DELETE = "DELETE FROM webhook_endpoints WHERE id = $1 AND project = $2"
# what was posted to them goes along
_DELETE_ALL = "DELETE FROM webhook_endpoints WHERE project = $1"
_ROTATE = """
UPDATE webhook_endpoints SET old_secret = sealed_secret, old_secret_until = now() + $4 * interval '1 second', sealed_secret = $3
WHERE id = $1 AND project = $2 RETURNING old_secret_until
"""
_ADD_TEST = f"""
WITH free AS (UPDATE webhook_endpoints SET hold_until = NULL WHERE id = $1)
INSERT INTO webhook_deliveries (endpoint_id, id, type, state, due_at, create_time, attempts, tries)
VALUES ($1, $2, $3, {DeliveryState.WAITING:d}, now(), now(), '[]', 0)
"""
_FIND_DELIVERY = f"SELECT {DELIVERY} FROM webhook_deliveries WHERE endpoint_id = $1 AND id = $2"
_LIST_DELIVERIES = f"""
SELECT {DELIVERY} FROM webhook_deliveries
WHERE endpoint_id = $1 AND ($2::smallint IS NULL OR state = $2) AND ($3::uuid IS NULL OR notification_id = $3)
    AND ($4::timestamptz IS NULL OR (create_time, COALESCE(position, 0), id) < ($4, $5, $6))
ORDER BY create_time DESC, COALESCE(position, 0) DESC, id DESC LIMIT $7
"""
_REPLAY = f"""
WITH free AS (UPDATE webhook_endpoints SET hold_until = NULL WHERE id = $1),
again AS (
    UPDATE webhook_deliveries SET state = {DeliveryState.WAITING:d}, due_at = now(), tries = 0
    WHERE endpoint_id = $1 AND position IS NOT NULL AND ($2::text[] IS NULL OR id = ANY($2))
        AND ($3::timestamptz IS NULL OR create_time >= $3) AND ($4::timestamptz IS NULL OR create_time < $4)
        AND ($5::smallint IS NULL OR state = $5)
    RETURNING 1
)
SELECT count(*) AS replayed FROM again
"""
_CLEAN = """
WITH old AS (
    SELECT endpoint_id, id FROM webhook_deliveries WHERE create_time < now() - $1 * interval '1 second' ORDER BY create_time LIMIT $2
)
DELETE FROM webhook_deliveries d USING old WHERE (d.endpoint_id, d.id) = (old.endpoint_id, old.id) RETURNING 1
"""


class EndpointRepository:
    """Implements `webhooks.use_cases.EndpointStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        identifier: UUID,
        project: str,
        url: str,
        *,
        description: str,
        selection: Selection,
        sealed_secret: bytes,
        disabled: bool = False,
    ) -> bool:
        state = EndpointState.DISABLED if disabled else EndpointState.ENABLED
        values = [description, *_columns_of(selection), state.value, sealed_secret]
        async with self._database.driver() as driver, driver.transaction():
            await driver.execute(_LOCK, project)
            return bool(await driver.fetch(_ADD, identifier, project, url, *values))

    async def find(self, project: str, identifier: UUID) -> Endpoint | None:
        rows = await self._database.fetch(_FIND, identifier, project)
        return _endpoint(rows[0]) if rows else None

    async def list_by_id(self, project: str, after: UUID, limit: int) -> Sequence[Endpoint]:
        return [_endpoint(row) for row in await self._database.fetch(_LIST, project, after, limit)]

    async def update(self, project: str, identifier: UUID, changes: Changes) -> Endpoint | None:
        rows = await self._database.fetch(
            _UPDATE,
            identifier,
            project,
            changes.url,
            changes.description,
            None if changes.statuses is None else [status.value for status in changes.statuses],
            changes.channel,
            changes.channel is not None or changes.any_channel,
            changes.template,
            changes.category,
            None if changes.metadata is None else json.dumps(dict(changes.metadata)),
            changes.disabled,
            changes.user_id,
            changes.user_id is not None or changes.any_user,
        )
        return _endpoint(rows[0]) if rows else None

    async def delete(self, project: str, identifier: UUID) -> None:
        await self._database.fetch(_DELETE, identifier, project)

    async def delete_all(self, project: str) -> None:
        """Implements `gateway.sagas.project_erasure.OwnRows`."""
        await self._database.fetch(_DELETE_ALL, project)

    async def rotate(self, project: str, identifier: UUID, sealed_secret: bytes, *, overlap_s: float) -> Any:
        rows = await self._database.fetch(_ROTATE, identifier, project, sealed_secret, overlap_s)
        return rows[0]["old_secret_until"] if rows else None

    async def add_test(self, endpoint: UUID, identifier: str, kind: str) -> None:
        await self._database.fetch(_ADD_TEST, endpoint, identifier, kind)

    async def find_delivery(self, endpoint: UUID, identifier: str) -> Delivery | None:
        rows = await self._database.fetch(_FIND_DELIVERY, endpoint, identifier)
        return delivery_of(rows[0]) if rows else None

    async def list_deliveries(
        self, endpoint: UUID, state: DeliveryState | None, notification_id: UUID | None, before: tuple[Any, ...] | None, limit: int
    ) -> Sequence[Delivery]:
        rows = await self._database.fetch(_LIST_DELIVERIES, endpoint, state, notification_id, *(before or (None, 0, "")), limit)
        return [delivery_of(row) for row in rows]

    async def replay(self, endpoint: UUID, identifiers: Sequence[str], since: Any, until: Any, state: DeliveryState | None) -> int:
        rows = await self._database.fetch(_REPLAY, endpoint, list(identifiers) or None, since, until, state)
        return int(rows[0]["replayed"])

    async def clean(self, *, older_than_s: float, most: int = 2000) -> int:
        """Forgets up to `most` deliveries that are older; how many they were."""
        return len(await self._database.fetch(_CLEAN, older_than_s, most))


def _columns_of(selection: Selection) -> list[Any]:
    statuses = [status.value for status in selection.statuses]
    return [statuses, selection.channel, selection.template, selection.category, json.dumps(dict(selection.metadata)), selection.user_id]


def _endpoint(row: Any) -> Endpoint:
    return Endpoint(
        id=UUID(int=row["id"].int),
        project=row["project"],
        url=row["url"],
        description=row["description"],
        selection=selection_of(row),
        state=EndpointState(row["state"]),
        state_reason=row["state_reason"],
        failing_since=row["failing_since"],
        position=row["position"],
        last=row["last"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )
