"""Group commit: the notifications that arrive together are stored by one statement, with their idempotency records."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from gateway.accepting.admission import RETENTION_S
from gateway.accepting.models import Record, Row
from gateway.notifications.models import Status
from mesh.errors import ServiceError
from mesh.resilience.batching import Batcher
from mesh.stores.database import Database

log = logging.getLogger(__name__)

# Under load only: a statement costs as much as thirty rows of it, so that a short wait pays for itself many times over.
_LINGER_S = 0.004
_COLUMNS = (
    "id uuid, project text, test boolean, user_id uuid, channel smallint, template text, template_version integer, locale text, "
    "priority smallint, category text, status smallint, metadata text, create_time timestamptz, send_at timestamptz, "
    "expires_at timestamptz, dispatch_at timestamptz, caller text, correlation_id text, payload bytea, resent_from uuid, "
    "digest bytea, fingerprint bytea, response bytea"
)
_DIGEST = Row._fields.index("digest")  # the first of the columns that only a row with a key has
_KINDS = [column.split() for column in _COLUMNS.split(", ")]
_STORED = [name for name, _ in _KINDS[:_DIGEST]]
_ARRAYS = [f"${number}::{kind}[]" for number, (_, kind) in enumerate(_KINDS, 1)]
_INTO = f"INSERT INTO notifications ({', '.join(_STORED)}, update_time)"
# A lease runs by PostgreSQL's clock, which all gateways share; a row's `dispatch_at` says how long it is after its `create_time`.
_SPECIAL = {
    "metadata": "CAST(metadata AS jsonb)",
    "dispatch_at": f"CASE WHEN status = {Status.SCHEDULED:d} THEN dispatch_at ELSE now() + (dispatch_at - create_time) END",
}
_VALUES = ", ".join(_SPECIAL.get(name, name) for name in _STORED) + ", create_time"

_STORE = f"{_INTO} SELECT {_VALUES} FROM unnest({', '.join(_ARRAYS[:_DIGEST])}) AS given({', '.join(_STORED)})"

# The records go in first: a key that is taken keeps its notification out. In order of the digest, so that two batches with the same keys
# wait for each other in one direction only. Answers what was kept out.
_STORE_ONCE = f"""
WITH given AS MATERIALIZED (SELECT * FROM unnest({", ".join(_ARRAYS)}) AS t({", ".join(name for name, _ in _KINDS)})),
claimed AS (
    INSERT INTO idempotency_records (digest, fingerprint, response, notification_id, create_time)
    SELECT digest, fingerprint, response, id, create_time FROM given WHERE digest IS NOT NULL ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
    RETURNING notification_id
),
stored AS ({_INTO} SELECT {_VALUES} FROM given WHERE digest IS NULL OR id IN (SELECT notification_id FROM claimed))
SELECT id FROM given WHERE digest IS NOT NULL AND id NOT IN (SELECT notification_id FROM claimed)
"""

_FIND = "SELECT digest, fingerprint, response, create_time FROM idempotency_records WHERE digest = ANY($1::bytea[])"
_FORGET = "DELETE FROM idempotency_records WHERE digest = ANY($1::bytea[]) AND create_time < $2"
_CLEAN = """
DELETE FROM idempotency_records WHERE digest IN (
    SELECT digest FROM idempotency_records WHERE create_time < $1 ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING 1
"""


class NotificationWriter:
    """Stores notifications. `on_stored` hears, still before the senders do, of each batch that has just been committed."""

    def __init__(self, database: Database, on_stored: Callable[[Sequence[Row]], None], *, max_batch: int = 200) -> None:
        self._database = database
        self._on_stored = on_stored
        self._rows: Batcher[Row, Record | None] = Batcher(
            self._store, max_items=max_batch, max_concurrent=2, linger_s=_LINGER_S, name="accept"
        )
        self._lookups: Batcher[bytes, Record | None] = Batcher(self._find, max_items=max_batch, name="idempotency")

    async def store(self, row: Row) -> Record | None:
        """None when the notification is committed; the record that stands in its way when its key was used before."""
        return await self._rows.submit(row)

    async def find(self, digest: bytes) -> Record | None:
        """The record of an idempotency key."""
        return await self._lookups.submit(digest)

    async def clean(self, *, most: int = 1000) -> int:
        """Deletes up to `most` records past their retention and returns how many they were."""
        return len(await self._database.fetch(_CLEAN, _oldest(), most))

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._rows.close()
        await self._lookups.close()

    async def _store(self, rows: Sequence[Row]) -> Sequence[Record | Exception | None]:
        try:
            return await self._store_together(rows)
        except ServiceError:
            raise
        except Exception:
            if len(rows) == 1:
                raise
        # one row that PostgreSQL refuses must not take its neighbours along
        results: list[Record | Exception | None] = []
        for row in rows:
            try:
                results += await self._store_together([row])
            except Exception as error:  # noqa: BLE001  it is the answer to this row's sender
                results.append(error)
        return results

    async def _store_together(self, rows: Sequence[Row]) -> list[Record | None]:
        refused = await self._insert(rows)
        if not refused:
            self._tell(rows)
            return [None] * len(rows)
        again = [row for row in rows if row.id in refused]
        found = await self._standing(again)
        late = [row for row in again if row.digest not in found]
        if late:  # their keys' records were past retention, and are gone now
            refused_again = await self._insert(late)
            found |= await self._standing([row for row in late if row.id in refused_again])
            refused -= {row.id for row in late if row.id not in refused_again}
        self._tell([row for row in rows if row.id not in refused])
        return [found[row.digest] if row.id in refused and row.digest is not None else None for row in rows]

    def _tell(self, rows: Sequence[Row]) -> None:
        try:
            self._on_stored(rows)
        except Exception:
            # they are committed, so their senders must hear that they were accepted; the sweeper publishes them
            log.exception("what follows a commit failed", extra={"notifications": len(rows)})

    async def _insert(self, rows: Sequence[Row]) -> set[object]:
        columns = list(zip(*rows, strict=True))
        if not any(columns[_DIGEST]):
            await self._database.fetch(_STORE, *columns[:_DIGEST])
            return set()
        return {record["id"] for record in await self._database.fetch(_STORE_ONCE, *columns)}

    async def _standing(self, rows: Sequence[Row]) -> dict[bytes | None, Record]:
        digests = [row.digest for row in rows]
        await self._database.fetch(_FORGET, digests, _oldest())
        found = [Record(*line) for line in await self._database.fetch(_FIND, digests)]
        return {record.digest: record for record in found}

    async def _find(self, digests: Sequence[bytes]) -> Sequence[Record | None]:
        records = [Record(*line) for line in await self._database.fetch(_FIND, list(set(digests)))]
        found = {record.digest: record for record in records}
        oldest = _oldest()
        return [found[digest] if digest in found and found[digest].create_time > oldest else None for digest in digests]


def _oldest() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=RETENTION_S)
