"""Sagas in PostgreSQL, the sending saga over a real Valkey, and how operators see them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from clarion.notification.v1 import saga_pb2
from devstack.broker import MemoryBroker
from gateway.admission import Admission
from gateway.changes import Changes
from gateway.limits import Answer, Ask, RateLimit
from gateway.notifications.models import Entry, Outcome, Status
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.use_cases import Notifications
from gateway.outbox import Outbox
from gateway.outcomes import Outcomes
from gateway.relay import Relay
from gateway.sagas.budget import RecipientBudget, RedisUnavailable
from gateway.sagas.convert import saga_message
from gateway.sagas.errors import SagaNotFound
from gateway.sagas.models import Kind, SagaFilters
from gateway.sagas.repository import SagaRepository, page_query
from gateway.sagas.sending import sending
from gateway.sagas.use_cases import SagaDesk
from gateway.sending.journal import Journal
from gateway.sending.models import Row
from mesh.cache import open_cache
from mesh.cancellation import Cancellation
from mesh.database import Database
from mesh.errors import InvalidArgument
from mesh.ids import new_uuid
from mesh.saga import Orchestrator
from mesh.saga_state import Definition, Saga, SagaState, Step, StepRecord, StepState
from mesh.settings import CacheSettings
from mesh.testing import caller, free_port
from tests.gateway.factories import make_row
from tests.mesh.saga_fakes import Crash

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OPERATOR = caller("notifications:send")
CALLER = RateLimit("caller", 1000, 60)
RECIPIENT = RateLimit("recipient", 2, 600)


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


@pytest.fixture
def store(database: Database) -> SagaRepository:
    return SagaRepository(database)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(redis_url, 1.0)) as client:
        yield client


@pytest.fixture
async def admission(redis: Redis) -> AsyncIterator[Admission]:
    opened = Admission(redis, caller=CALLER, recipient=RECIPIENT)
    yield opened
    await opened.close()


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
    """Parked ones, those of other kinds, and those that are not due are left alone."""
    due = [await store.open(make_saga()) for _ in range(10)]
    for other in (make_saga(kind="other"), make_saga(due_at=NOW + timedelta(seconds=1)), make_saga(state=SagaState.PARKED)):
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
        page = await desk.list_sagas(SagaFilters(kind="trip", state=SagaState.RUNNING), 2, token)
        seen += [saga.id for saga in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == [saga.id for saga in reversed(sagas)]
    assert (await desk.list_sagas(SagaFilters(state=SagaState.PARKED), 0, "")).items == ()
    first = await desk.list_sagas(SagaFilters(), 2, "")
    with pytest.raises(InvalidArgument):
        await desk.list_sagas(SagaFilters(kind="trip"), 2, first.next_token)


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (SagaFilters(), "sagas_pkey"),
        (SagaFilters(kind="x"), "sagas_by_kind"),
        (SagaFilters(state=SagaState.PARKED), "sagas_by_state"),
    ],
)
async def test_a_listed_page_is_read_from_an_index(database: Database, filters: SagaFilters, index: str) -> None:
    statement = page_query(filters, after=new_uuid()).limit(3).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}")).scalars())
    assert index in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("identifier", ["x", str(new_uuid())])
async def test_an_unknown_saga_is_not_found(store: SagaRepository, identifier: str) -> None:
    desk = SagaDesk(store, Orchestrator([], store))
    with pytest.raises(SagaNotFound):
        await desk.get(identifier)
    with pytest.raises(SagaNotFound):
        await desk.resume(identifier)


async def test_only_a_parked_saga_can_be_resumed(store: SagaRepository) -> None:
    done: list[UUID] = []

    async def note(saga: Saga) -> None:
        done.append(saga.id)

    replica = Orchestrator([Definition("trip", (Step("a", note), Step("b", note)))], store)
    desk = SagaDesk(store, replica)
    waiting = await store.open(make_saga(position=1))
    assert await desk.resume(str(waiting.id)) == waiting
    parked = await store.open(make_saga(position=1, state=SagaState.PARKED, attempts=8, faults=8, reason="INTERNAL"))
    assert (await desk.resume(str(parked.id))).attempts == 0
    await replica.idle()
    assert ((await desk.get(str(parked.id))).state, done) == (SagaState.COMPLETED, [parked.id])


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


class Sent:
    """A person with a budget of two, which is all taken."""

    def __init__(self, database: Database, admission: Admission, redis: Redis) -> None:
        self.database = database
        self.admission = admission
        self.redis = redis
        self.budget = RecipientBudget(redis, RECIPIENT)
        self.store = SagaRepository(database)
        self.user_id = new_uuid()
        self.row: Row = make_row(user_id=self.user_id)

    async def accept(self, **changes: Any) -> None:
        for _ in range(2):
            assert await self.is_admitted()
        self.row = make_row(user_id=self.user_id, **changes)
        journal = Journal(self.database, lambda _: None)
        await journal.store(self.row)
        await journal.close()

    async def is_admitted(self) -> bool:
        return (await self.admission.admit(Ask("c", f"{self.user_id}:email"))).answer is Answer.ADMITTED

    async def cancel(self) -> None:
        bus = Cancellation(self.redis)
        notifications = Notifications(NotificationRepository(self.database, reserved_s=RECIPIENT.window_s), bus, Changes())
        await notifications.cancel(OPERATOR, str(self.row.id))
        await bus.close()

    async def run(self, store: SagaRepository | None = None, *, now: datetime | None = None) -> Saga:
        """The notification's saga, after a replica has taken it up."""
        replica = Orchestrator([sending(self.budget)], store or self.store, now=lambda: now or datetime.now(UTC))
        claimed = await self.store.claim([Kind.SENDING], now=now or datetime.now(UTC), until=datetime.now(UTC), most=1)
        return await replica.run(claimed[0])


@pytest.fixture
def sent(database: Database, admission: Admission, redis: Redis) -> Sent:
    return Sent(database, admission, redis)


def tomorrow() -> dict[str, Any]:
    later = datetime.now(UTC) + timedelta(days=1)
    return {"status": Status.SCHEDULED, "send_at": later, "dispatch_at": later}


async def test_cancelling_gives_the_recipients_budget_back(sent: Sent) -> None:
    await sent.accept(**tomorrow())
    assert not await sent.is_admitted()
    await sent.cancel()
    saga = await sent.run()
    assert (saga.state, saga.id, saga.key) == (SagaState.COMPENSATED, sent.row.id, str(sent.row.id))
    assert [step.state for step in saga.steps] == [StepState.COMPENSATED, StepState.COMPENSATED, StepState.PENDING]
    assert await sent.is_admitted()
    assert not await sent.is_admitted()


async def test_what_expires_in_the_backlog_gives_back_as_well(sent: Sent) -> None:
    now = datetime.now(UTC)
    await sent.accept(dispatch_at=now - timedelta(seconds=1), expires_at=now)
    broker = MemoryBroker()
    relay = Relay(broker, Outbox(sent.database, reserved_s=RECIPIENT.window_s), Changes(), lease_s=3)
    await relay.sweep()
    await relay.close()
    await broker.close()
    assert ((await sent.run()).reason, await sent.is_admitted()) == ("EXPIRED_IN_BACKLOG", True)


async def test_what_expires_on_the_bus_gives_back_as_well(sent: Sent) -> None:
    """Once, however often the outcome is told; one that was sent gives back nothing."""
    await sent.accept()
    outcomes = Outcomes(sent.database, reserved_s=RECIPIENT.window_s)
    for status in (Status.RETRYING, Status.EXPIRED, Status.EXPIRED):
        await outcomes.apply([Outcome(sent.row.id, Entry(datetime.now(UTC), status, 0, 1, reason="EXPIRED"))])
    assert ((await sent.run()).state, await sent.is_admitted()) == (SagaState.COMPENSATED, True)
    assert await sent.store.claim([Kind.SENDING], now=datetime.now(UTC), until=NOW, most=1) == []


async def test_accepting_and_sending_open_no_saga(sent: Sent) -> None:
    await sent.accept()
    await Outcomes(sent.database, reserved_s=60).apply([Outcome(sent.row.id, Entry(datetime.now(UTC), Status.SENT, 0, 1))])
    assert (await sent.store.list_page(SagaFilters(), size=1, token="")).items == ()


async def test_what_was_accepted_a_window_ago_has_nothing_left_to_give_back(sent: Sent) -> None:
    created = datetime.now(UTC) - timedelta(seconds=RECIPIENT.window_s + 1)
    await sent.accept(**tomorrow(), create_time=created)
    await sent.cancel()
    assert (await sent.store.list_page(SagaFilters(), size=1, token="")).items == ()


class CrashingStore(SagaRepository):
    """Dies before a commit (0) or after it (1)."""

    def __init__(self, database: Database, point: int) -> None:
        super().__init__(database)
        self._point = point

    async def save(self, saga: Saga) -> bool:
        if self._point == 0:
            self._point = -1
            raise Crash
        saved = await super().save(saga)
        if self._point == 1:
            self._point = -1
            raise Crash
        return saved


@pytest.mark.parametrize("point", [-1, 0, 1])
async def test_a_crash_at_any_boundary_gives_back_once(sent: Sent, point: int) -> None:
    """Before anything (-1), before the commit of the only compensation, and after it."""
    await sent.accept(**tomorrow())
    await sent.cancel()
    store = CrashingStore(sent.database, point)
    for _ in range(2):
        found = await sent.store.find(sent.row.id)
        assert found is not None
        if found.is_active:
            try:
                await sent.run(store)
            except Crash:
                continue
    ended = await sent.store.find(sent.row.id)
    assert ended is not None
    assert ended.state is SagaState.COMPENSATED
    assert [await sent.is_admitted(), await sent.is_admitted()] == [True, False]


async def test_half_a_window_later_half_of_it_is_given_back(redis: Redis) -> None:
    """The other half is there again by itself."""
    limit = RateLimit("recipient", 10, 600)
    budget = RecipientBudget(redis, limit, now_s=lambda: 1300.0)
    seconds, micros = await redis.time()
    await redis.set("clarion:rate:r:p", (seconds + 400) * 1_000_000 + micros)
    await budget.give_back("p", taken_at_s=1000.0, token="t")
    left = int(await redis.get("clarion:rate:r:p") or 0) - (seconds * 1_000_000 + micros)
    assert left == 400_000_000 - limit.interval_us // 2
    await budget.give_back("p", taken_at_s=1000.0, token="t")
    assert int(await redis.get("clarion:rate:r:p") or 0) - (seconds * 1_000_000 + micros) == left


async def test_a_budget_never_goes_below_empty(redis: Redis) -> None:
    budget = RecipientBudget(redis, RECIPIENT)
    now_s = datetime.now(UTC).timestamp()
    await budget.give_back("p", taken_at_s=now_s, token="t")
    assert await redis.get("clarion:rate:r:p") is None


async def test_while_redis_is_away_the_saga_waits(sent: Sent) -> None:
    await sent.accept(**tomorrow())
    await sent.cancel()
    async with open_cache(CacheSettings(f"redis://127.0.0.1:{free_port()}", 0.5)) as away:
        working, sent.budget = sent.budget, RecipientBudget(away, RECIPIENT)
        with pytest.raises(RedisUnavailable):
            await sent.budget.give_back("p", taken_at_s=datetime.now(UTC).timestamp(), token="t")
        waiting = await sent.run()
    assert (waiting.state, waiting.reason, waiting.faults) == (SagaState.COMPENSATING, "REDIS_UNAVAILABLE", 0)
    sent.budget = working
    assert (await sent.run(now=waiting.due_at)).state is SagaState.COMPENSATED


def _fields(saga: Saga) -> dict[str, Any]:
    return {name: getattr(saga, name) for name in Saga.__dataclass_fields__}
