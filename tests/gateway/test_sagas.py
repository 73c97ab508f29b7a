"""Sagas in PostgreSQL, and how operators see them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from clarion.notification.v1 import saga_pb2
from gateway.sagas.convert import saga_message
from gateway.sagas.errors import SagaNotFound
from gateway.sagas.models import SagaFilters
from gateway.sagas.repository import SagaRepository, page_query
from gateway.sagas.use_cases import SagaDesk
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.ids import new_uuid
from mesh.sagas.orchestrator import Orchestrator
from mesh.sagas.state import Definition, Saga, SagaState, Step, StepRecord, StepState
from mesh.stores.database import Database
from mesh.testing import caller

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def make_saga(**changes: Any) -> Saga:
    values: dict[str, Any] = {
        "id": new_uuid(),
        "kind": "trip",
        "key": str(new_uuid()),
        "steps": (StepRecord("a", StepState.DONE, NOW, NOW + timedelta(microseconds=1)), StepRecord("b")),
        "data": {"n": 1, "text": "\u00e4"},
        "create_time": NOW,
        "update_time": NOW,
        "due_at": NOW,
    }
    return Saga(**values | changes)


OPERATOR = caller("sagas:read")


@pytest.fixture
def store(database: Database) -> SagaRepository:
    return SagaRepository(database)


async def test_a_saga_is_found_as_it_was_saved(store: SagaRepository) -> None:
    saga = make_saga(correlation_id="c-1")
    assert await store.open(saga) == saga
    moved = saga.done(NOW, NOW + timedelta(seconds=1), lease_s=30, found={"m": [1, 2]})
    assert await store.save(moved)
    assert await store.find(saga.id) == moved
    assert await store.find(new_uuid()) is None


async def test_only_one_of_two_writers_moves_a_saga(store: SagaRepository) -> None:
    saga = await store.open(make_saga())
    moved = saga.released(NOW)
    assert [await store.save(moved), await store.save(moved)] == [True, False]


async def test_of_one_kind_and_key_one_is_open_however_many_ask_at_once(store: SagaRepository) -> None:
    sagas = [make_saga(key="k") for _ in range(8)]
    opened = await asyncio.gather(*(store.open(saga) for saga in sagas))
    assert len({saga.id for saga in opened}) == 1
    assert await store.save(Saga(**{**_fields(opened[0]), "state": SagaState.COMPLETED, "version": 1}))
    again = make_saga(key="k")
    assert await store.open(again) == again
    assert await store.find_open("trip", "k") == again


async def test_each_due_saga_is_claimed_by_one_replica(store: SagaRepository) -> None:
    """Suspended ones, those of other kinds, and those that are not due are left alone."""
    due = [await store.open(make_saga()) for _ in range(10)]
    for other in (make_saga(kind="other"), make_saga(due_at=NOW + timedelta(seconds=1)), make_saga(state=SagaState.SUSPENDED)):
        await store.open(other)
    until = NOW + timedelta(seconds=30)
    pages = await asyncio.gather(*(store.claim(["trip"], now=NOW, until=until, most=5) for _ in range(4)))
    claimed = [saga.id for page in pages for saga in page]
    claimed += [saga.id for saga in await store.claim(["trip"], now=NOW, until=until, most=20)]
    assert sorted(claimed) == sorted(saga.id for saga in due)
    assert await store.claim(["trip"], now=NOW, until=until, most=20) == []


async def test_pages_follow_each_other_newest_first(store: SagaRepository) -> None:
    sagas = [await store.open(make_saga()) for _ in range(5)]
    await store.open(make_saga(kind="other"))
    desk = SagaDesk(store, Orchestrator([], store))
    seen: list[UUID] = []
    token = ""
    while True:
        page = await desk.list_sagas(SagaFilters(FIRST_PROJECT, kind="trip", state=SagaState.RUNNING), 2, token)
        seen += [saga.id for saga in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == [saga.id for saga in reversed(sagas)]
    assert (await desk.list_sagas(SagaFilters(FIRST_PROJECT, state=SagaState.SUSPENDED), 0, "")).items == ()
    first = await desk.list_sagas(SagaFilters(FIRST_PROJECT), 2, "")
    with pytest.raises(InvalidArgument):
        await desk.list_sagas(SagaFilters(FIRST_PROJECT, kind="trip"), 2, first.next_token)


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (SagaFilters(FIRST_PROJECT), "sagas_by_project"),
        (SagaFilters(FIRST_PROJECT, kind="x"), "sagas_by_kind"),
        (SagaFilters(FIRST_PROJECT, state=SagaState.SUSPENDED), "sagas_by_state"),
    ],
)
async def test_a_listed_page_is_read_from_an_index(database: Database, filters: SagaFilters, index: str) -> None:
    """What is asked for is rare, as it is where an index matters."""
    store = SagaRepository(database)
    common = {"project": "another"} if filters == SagaFilters(FIRST_PROJECT) else {}
    for _ in range(200):
        await store.open(make_saga(data=common))
    statement = page_query(filters, after=new_uuid()).limit(3).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE sagas"))
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}")).scalars())
    assert index in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("identifier", ["x", "01890000-0000-7000-8000-000000000000"])
async def test_an_unknown_saga_is_not_found(store: SagaRepository, identifier: str) -> None:
    desk = SagaDesk(store, Orchestrator([], store))
    with pytest.raises(SagaNotFound):
        await desk.get(OPERATOR, identifier)
    with pytest.raises(SagaNotFound):
        await desk.resume(OPERATOR, identifier)


async def test_only_a_parked_saga_can_be_resumed(store: SagaRepository) -> None:
    done: list[UUID] = []

    async def note(saga: Saga) -> None:
        done.append(saga.id)

    replica = Orchestrator([Definition("trip", (Step("a", note), Step("b", note)))], store)
    desk = SagaDesk(store, replica)
    waiting = await store.open(make_saga(position=1))
    assert await desk.resume(OPERATOR, str(waiting.id)) == waiting
    suspended = await store.open(make_saga(position=1, state=SagaState.SUSPENDED, attempts=8, faults=8, reason="INTERNAL"))
    assert (await desk.resume(OPERATOR, str(suspended.id))).attempts == 0
    await replica.idle()
    assert ((await desk.get(OPERATOR, str(suspended.id))).state, done) == (SagaState.COMPLETED, [suspended.id])


def test_numbers_are_those_of_the_schema() -> None:
    states = {f"SAGA_STATE_{state.name}": state.value for state in SagaState}
    assert states | {"SAGA_STATE_UNSPECIFIED": 0} == dict(saga_pb2.SagaState.items())
    steps = {f"SAGA_STEP_STATE_{state.name}": state.value for state in StepState}
    assert steps | {"SAGA_STEP_STATE_UNSPECIFIED": 0} == dict(saga_pb2.SagaStepState.items())


def test_a_message_tells_the_steps_and_keeps_the_data() -> None:
    message = saga_message(make_saga(attempts=2, reason="UNAVAILABLE", version=3))
    assert [(step.name, step.state, step.HasField("end_time")) for step in message.steps] == [("a", 2, True), ("b", 1, False)]
    assert (message.attempts, message.reason, message.HasField("next_attempt_time")) == (2, "UNAVAILABLE", True)
    assert not saga_message(make_saga(version=3)).HasField("next_attempt_time"), "a lease is no promise to people"
    assert "text" not in str(message)


def _fields(saga: Saga) -> dict[str, Any]:
    return {name: getattr(saga, name) for name in Saga.__dataclass_fields__}
