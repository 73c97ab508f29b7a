"""Sagas in PostgreSQL."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from gateway.sagas.models import SagaFilters
from gateway.tables import sagas
from mesh.rpc.paging import Cursor, Page
from mesh.sagas.state import Saga, SagaState, StepRecord, StepState
from mesh.stores.database import Database

_CURSOR = Cursor("sagas", UUID)

_COLUMNS = (
    "id, kind, key, state, position, steps, data, attempts, faults, reason, correlation_id, version, create_time, update_time, due_at"
)

# As the partial unique index of the migrations says it.
_IS_OPEN = f"state IN ({SagaState.RUNNING:d}, {SagaState.COMPENSATING:d}, {SagaState.SUSPENDED:d})"

_OPEN = f"""
INSERT INTO sagas ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, CAST($6::text AS jsonb), CAST($7::text AS jsonb), $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (kind, key) WHERE {_IS_OPEN} DO NOTHING
RETURNING id
"""
_FIND_OPEN = f"SELECT {_COLUMNS} FROM sagas WHERE kind = $1 AND key = $2 AND {_IS_OPEN}"
_FIND = f"SELECT {_COLUMNS} FROM sagas WHERE id = $1"
_SAVE = """
UPDATE sagas SET
    state = $3, position = $4, steps = CAST($5::text AS jsonb), data = CAST($6::text AS jsonb), attempts = $7, faults = $8, reason = $9,
    update_time = $10, due_at = $11, version = $2
WHERE id = $1 AND version = $2 - 1
RETURNING id
"""
_CLAIM = f"""
WITH due AS (
    SELECT id FROM sagas WHERE state IN ({SagaState.RUNNING:d}, {SagaState.COMPENSATING:d}) AND due_at <= $1 AND kind = ANY($2::text[])
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE sagas s SET due_at = $4, version = version + 1 FROM due WHERE s.id = due.id
RETURNING {", ".join(f"s.{name}" for name in _COLUMNS.split(", "))}
"""


class SagaRepository:
    """Implements `mesh.sagas.orchestrator.SagaStore`, and reads pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, saga: Saga) -> Saga:
        """Asks again when the one in its way has just ended."""
        while True:
            if await self._database.fetch(_OPEN, *_values(saga)):
                return saga
            found = await self.find_open(saga.kind, saga.key)
            if found is not None:
                return found

    async def find_open(self, kind: str, key: str) -> Saga | None:
        """The saga of this kind and key that is not over."""
        rows = await self._database.fetch(_FIND_OPEN, kind, key)
        return _saga(rows[0]) if rows else None

    async def find(self, identifier: UUID) -> Saga | None:
        rows = await self._database.fetch(_FIND, identifier)
        return _saga(rows[0]) if rows else None

    async def find_of(self, project: str, identifier: UUID) -> Saga | None:
        """The project's saga."""
        rows = await self._database.fetch(f"{_FIND} AND project = $2", identifier, project)
        return _saga(rows[0]) if rows else None

    async def save(self, saga: Saga) -> bool:
        """False when another replica has moved it."""
        saved = await self._database.fetch(
            _SAVE,
            saga.id,
            saga.version,
            saga.state.value,
            saga.position,
            _steps_text(saga),
            json.dumps(dict(saga.data)),
            saga.attempts,
            saga.faults,
            saga.reason,
            saga.update_time,
            saga.due_at,
        )
        return bool(saved)

    async def claim(self, kinds: Collection[str], *, now: datetime, until: datetime, most: int) -> Sequence[Saga]:
        """Under a lease until `until`."""
        return [_saga(row) for row in await self._database.fetch(_CLAIM, now, list(kinds), most, until)]

    async def list_page(self, filters: SagaFilters, *, size: int, token: str) -> Page[Saga]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""
        bound = filters.as_mapping()
        position = _CURSOR.position(token, bound)
        query = page_query(filters, after=position[0] if position else None).limit(size + 1)  # type: ignore[arg-type]  # the cursor's kind
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return _CURSOR.page([((UUID(int=row["id"].int),), _saga(row)) for row in rows], size, bound)


def page_query(filters: SagaFilters, *, after: UUID | None) -> Select[Any]:
    """Newest first."""
    query = select(sagas).where(sagas.c.project == filters.project).order_by(sagas.c.id.desc())
    if after is not None:
        query = query.where(sagas.c.id < after)
    if filters.kind is not None:
        query = query.where(sagas.c.kind == filters.kind)
    if filters.state is not None:
        query = query.where(sagas.c.state == filters.state.value)
    return query


def _values(saga: Saga) -> tuple[object, ...]:
    return (
        saga.id,
        saga.kind,
        saga.key,
        saga.state.value,
        saga.position,
        _steps_text(saga),
        json.dumps(dict(saga.data)),
        saga.attempts,
        saga.faults,
        saga.reason,
        saga.correlation_id,
        saga.version,
        saga.create_time,
        saga.update_time,
        saga.due_at,
    )


def _saga(row: Any) -> Saga:
    return Saga(
        id=UUID(int=row["id"].int),
        kind=row["kind"],
        key=row["key"],
        state=SagaState(row["state"]),
        position=row["position"],
        steps=tuple(_step(*step) for step in _parsed(row["steps"])),
        data=_parsed(row["data"]),
        attempts=row["attempts"],
        faults=row["faults"],
        reason=row["reason"],
        correlation_id=row["correlation_id"],
        version=row["version"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        due_at=row["due_at"],
    )


def _parsed(value: Any) -> Any:
    """JSON arrives parsed through SQLAlchemy, and as text past it."""
    return json.loads(value) if isinstance(value, str) else value


def _step(name: str, state: int, start: str | None, end: str | None) -> StepRecord:
    return StepRecord(name, StepState(state), _moment(start), _moment(end))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _steps_text(saga: Saga) -> str:
    return json.dumps([[step.name, step.state.value, _iso(step.start_time), _iso(step.end_time)] for step in saga.steps])


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
