"""Erasing a person, on real PostgreSQLs and a real user_svc: complete or fully compensated, whenever the gateway dies, and nothing left."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from gateway.notifications.models import Status
from gateway.sagas.clients import PeopleClient
from gateway.sagas.erasure import Erasure, Erasures
from gateway.sagas.errors import ErasureTurnedBack, UserNotFound
from gateway.sagas.models import Kind
from gateway.sagas.redaction import PersonalRows
from gateway.sagas.repository import SagaRepository
from mesh.errors import FailedPrecondition, Internal, PermissionDenied, ServiceError, Unavailable
from mesh.ids import new_id
from mesh.sagas.orchestrator import Orchestrator
from mesh.sagas.state import RetryPolicy, Saga, SagaState, StepState
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import caller
from tests.fixtures_postgres import NewDatabase
from tests.gateway.erasure_stage import STEPS, TRACES, Rows, UserSvc
from tests.gateway.fakes import FakeAttachments, FakeCaptures, FakeRecords
from tests.mesh.saga_fakes import Clock, Crash
from tests.rows import rows_that_hold
from tests.waiting import GUARD_S


class CrashingStore(SagaRepository):
    """Dies at one point: an even one before a commit, an odd one after it."""

    def __init__(self, database: Database, point: int) -> None:
        super().__init__(database)
        self.point = point
        self.at = -1

    async def save(self, saga: Saga) -> bool:
        self._pass()
        saved = await super().save(saga)
        self._pass()
        return saved

    def _pass(self) -> None:
        self.at += 1
        if self.at == self.point:
            raise Crash


class Refusing:
    """user_svc, which refuses to remove anybody (as one of an older release would)."""

    def __init__(self, people: PeopleClient, error: ServiceError) -> None:
        self._people = people
        self._error = error
        self.check_erasable = people.check_erasable
        self.find = people.find
        self.revoke_credentials = people.revoke_credentials

    async def erase(self, user_id: str, asked_by: str) -> None:
        raise self._error


class Leaving:
    """user_svc, which goes away once it has said that the person may be erased."""

    def __init__(self, people: PeopleClient, user_svc: UserSvc) -> None:
        self._people = people
        self._user_svc = user_svc
        self.revoke_credentials = people.revoke_credentials
        self.erase = people.erase
        self.find = people.find

    async def check_erasable(self, project: str, user_id: str, *, administrators: bool) -> None:
        await self._people.check_erasable(project, user_id, administrators=administrators)
        await self._user_svc.stop()


@dataclass
class Stage:
    """Both databases, the person, and one gateway replica after the other."""

    gateway: Database
    users: Database
    user_svc: UserSvc
    people: Any
    user_id: UUID
    rows: Rows
    clock: Clock = field(default_factory=Clock)
    told: list[UUID] = field(default_factory=list)
    captures: FakeCaptures = field(default_factory=FakeCaptures)
    records: FakeRecords = field(default_factory=FakeRecords)
    files: FakeAttachments = field(default_factory=FakeAttachments)

    def replica(self, store: SagaRepository | None = None, *, lease_s: float = 30.0) -> Orchestrator:
        async def sweep(saga: Saga) -> None:
            await orchestrator.start(Kind.ERASURE_SWEEP, saga.key, saga.data, delay_s=660)

        rows = PersonalRows(self.gateway)
        erasure = Erasure(rows, self.people, self.captures, self.records, attachments=self.files, notify=self.notify, sweep=sweep)
        policy = RetryPolicy(faults=3)
        orchestrator = Orchestrator(
            erasure.definitions(), store or SagaRepository(self.gateway), lease_s=lease_s, poll_s=0.01, policy=policy, now=self.clock
        )
        return orchestrator

    def notify(self, identifiers: Iterable[UUID]) -> None:
        self.told += identifiers

    def erasures(self, orchestrator: Orchestrator | None = None) -> Erasures:
        return Erasures(orchestrator or self.replica(), SagaRepository(self.gateway), self.people)

    async def erase(self) -> Saga:
        return await self.erasures().erase(caller("users:write"), str(self.user_id), timeout_s=GUARD_S)

    async def erase_once(self) -> Saga:
        """The saga when its first run is over: it has ended, or a step waits to be tried again."""
        orchestrator = self.replica()
        begun = await self.erasures(orchestrator).erase(caller("users:write"), str(self.user_id), timeout_s=0)
        await orchestrator.idle()
        saga = await SagaRepository(self.gateway).find(begun.id)
        assert saga is not None
        return saga

    async def settle(self, saga: Saga, store: SagaRepository) -> Saga:
        """Runs the saga, each time in a new replica that finds what the one before has left."""
        for _ in range(30):
            found = await store.find(saga.id)
            assert found is not None
            if not found.is_active:
                return found
            self.clock.advance(max(0.0, (found.due_at - self.clock.now).total_seconds()) + 0.001)
            until = self.clock.now + timedelta(seconds=30)
            (claimed,) = await store.claim([Kind.ERASURE], now=self.clock.now, until=until, most=1)
            try:
                await self.replica(store).run(claimed)
            except Crash:
                continue
        raise AssertionError("the saga never ends")

    async def traces(self) -> list[tuple[str, str]]:
        return await rows_that_hold(self.gateway, TRACES) + await rows_that_hold(self.users, TRACES)


@pytest.fixture
async def stage(postgres_url: NewDatabase) -> AsyncIterator[Stage]:
    users_url = await postgres_url("user_svc")
    user_svc = UserSvc(users_url)
    await user_svc.start()
    async with (
        open_database(DatabaseSettings(await postgres_url("gateway"))) as gateway,
        open_database(DatabaseSettings(users_url)) as users,
        user_svc.people() as people,
    ):
        user_id = await user_svc.make_ada()
        rows = Rows(gateway, user_id)
        await rows.fill()
        yield Stage(gateway, users, user_svc, people, user_id, rows)
    await user_svc.stop()


def states(saga: Saga) -> list[StepState]:
    return [step.state for step in saga.steps]


async def dispatch_times(database: Database) -> Sequence[Any]:
    async with database.connect() as connection:
        return (await connection.execute(text("SELECT id, dispatch_at = 'infinity' AS held FROM notifications ORDER BY id"))).all()


async def test_nothing_personal_is_left_anywhere(stage: Stage) -> None:
    """The address, the name, the device's token and the variables are found in many tables before, and in none after."""
    assert {table for table, _ in await stage.traces()} > {"users", "devices", "suppressions", "dead_letters", "dead_letter_audit"}
    saga = await stage.erase()
    assert (saga.state, [step.name for step in saga.steps]) == (SagaState.COMPLETED, STEPS)
    assert await stage.traces() == []
    assert await stage.rows.states() == {
        "scheduled": Status.CANCELLED,
        "waiting": Status.CANCELLED,
        "queued": Status.QUEUED,
        "retrying": Status.RETRYING,
        "sent": Status.SENT,
        "failed": Status.FAILED,
    }
    assert set(stage.told) == {stage.rows.by_name[name].id for name in ("scheduled", "waiting")}
    cancelled = await stage.rows.get("scheduled")
    assert [entry.status for entry in cancelled.timeline][-1] is Status.CANCELLED
    assert cancelled.reason == "PERSON_ERASED"


async def test_others_are_left_alone(stage: Stage) -> None:
    other = Rows(stage.gateway, UUID(new_id()))
    await other.fill()
    before = await other.states()
    await stage.erase()
    assert await other.states() == before
    assert (await other.get("sent")).metadata


async def test_what_is_heard_later_is_kept_without_what_it_says(stage: Stage) -> None:
    """Deliveries on the bus end as nobody is found; their dead letters are filed as decided, and without content."""
    await stage.erase()
    await stage.rows.settle("queued", Status.RETRYING)
    await stage.rows.fail("retrying")
    assert (await stage.rows.states())["retrying"] is Status.FAILED
    assert await stage.traces() == []
    async with stage.gateway.connect() as connection:
        letters = (await connection.execute(text("SELECT state, resolved_by, delivery FROM dead_letters"))).all()
    assert [tuple(letter) for letter in letters] == [(3, "PERSON_ERASED", None)] * 2


async def test_what_was_accepted_meanwhile_is_swept_up_later(stage: Stage) -> None:
    """Another gateway may believe in the person for some minutes more."""
    await stage.erase()
    now = datetime.now(UTC)
    await stage.rows.add("late", dispatch_at=now)
    await stage.rows.add("later", status=Status.SCHEDULED, send_at=now + timedelta(days=30), dispatch_at=now + timedelta(days=30))
    assert await stage.traces() != []
    replica = stage.replica()
    assert await replica.run_due() == 0
    stage.clock.advance(661)
    assert await replica.run_due() == 1
    await replica.idle()
    assert await stage.traces() == []
    assert (await stage.rows.states())["later"] is Status.CANCELLED


@pytest.mark.parametrize("point", range(-1, 2 * len(STEPS)))
async def test_a_crash_at_any_boundary_ends_complete(stage: Stage, point: int) -> None:
    """Before and after each commit, and right after the saga was opened (-1)."""
    store = CrashingStore(stage.gateway, point)
    saga = await stage.replica().start(Kind.ERASURE, str(stage.user_id), {}, delay_s=0.001)
    ended = await stage.settle(saga, store)
    assert (ended.state, states(ended)) == (SagaState.COMPLETED, [StepState.DONE] * len(STEPS))
    assert store.at == 2 * len(STEPS) - 1 + (point % 2 == 0), "every boundary was passed, and the one before a crash twice"
    assert await stage.traces() == []


@pytest.mark.parametrize("point", range(-1, 12))
async def test_a_crash_at_any_boundary_of_the_way_back_ends_fully_compensated(stage: Stage, point: int) -> None:
    """user_svc refuses: the person is as before, and so is what waits to be sent to them."""
    stage.people = Refusing(stage.people, FailedPrecondition("not now", reason="NOT_NOW"))
    before, waiting, found = await stage.rows.states(), await dispatch_times(stage.gateway), await stage.traces()
    store = CrashingStore(stage.gateway, point)
    saga = await stage.replica().start(Kind.ERASURE, str(stage.user_id), {}, delay_s=0.001)
    ended = await stage.settle(saga, store)
    assert (ended.state, ended.reason) == (SagaState.COMPENSATED, "NOT_NOW")
    assert states(ended) == [StepState.COMPENSATED, StepState.DONE, StepState.FAILED, *[StepState.PENDING] * 3]
    saves = 6
    assert store.at == 2 * saves - 1 + (point % 2 == 0), "every boundary was passed, and the one before a crash twice"
    assert (await stage.rows.states(), await dispatch_times(stage.gateway), await stage.traces()) == (before, waiting, found)


async def test_while_it_is_under_way_nothing_more_is_sent(stage: Stage) -> None:
    stage.people = Refusing(stage.people, Unavailable("down"))
    saga = await stage.erase_once()
    assert (saga.state, saga.step.name) == (SagaState.RUNNING, "delete_user")
    held = {row.id for row in await dispatch_times(stage.gateway) if row.held}
    assert held == {stage.rows.by_name[name].id for name in ("scheduled", "waiting")}


async def test_it_waits_for_user_svc_and_completes_when_that_returns(stage: Stage) -> None:
    stage.people = Leaving(stage.people, stage.user_svc)
    saga = await stage.erase_once()
    assert (saga.state, saga.step.name, saga.faults) == (SagaState.RUNNING, "revoke_credentials", 0)
    await stage.user_svc.start()
    assert (await stage.settle(saga, SagaRepository(stage.gateway))).state is SagaState.COMPLETED
    assert await stage.traces() == []


async def test_what_is_being_published_is_waited_for(stage: Stage) -> None:
    """It is on the bus a moment later, or its lease is over and it is cancelled: never both, never neither."""
    await stage.rows.add("leased")
    saga = await stage.erase_once()
    assert (saga.step.name, saga.reason) == ("cancel_notifications", "STILL_PUBLISHING")
    await stage.gateway.fetch("UPDATE notifications SET dispatch_at = now() WHERE id = $1", stage.rows.by_name["leased"].id)
    assert (await stage.settle(saga, SagaRepository(stage.gateway))).state is SagaState.COMPLETED
    assert ((await stage.rows.states())["leased"], await stage.traces()) == (Status.CANCELLED, [])


async def test_nobody_is_erased_who_is_not_there(stage: Stage) -> None:
    """And no saga begins."""
    for unknown in (new_id(), "x"):
        with pytest.raises(UserNotFound):
            await stage.erasures().erase(caller("users:write"), unknown, timeout_s=1)
    async with stage.gateway.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM sagas"))).scalar_one() == 0


async def test_an_administrator_is_erased_by_administrators_only(stage: Stage) -> None:
    """With `users:write` alone anybody could get rid of those who watch them. No saga begins."""
    async with stage.users.begin() as connection:
        await connection.execute(text("UPDATE users SET role = 'administrator'"))
    with pytest.raises(PermissionDenied) as refused:
        await stage.erase()
    assert refused.value.metadata == {"scope": "users:admin"}
    async with stage.gateway.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM sagas"))).scalar_one() == 0
    saga = await stage.erasures().erase(caller("users:write", "users:admin"), str(stage.user_id), timeout_s=GUARD_S)
    assert saga.state is SagaState.COMPLETED


async def test_asking_again_while_it_runs_tells_of_the_same_saga(stage: Stage) -> None:
    stage.people = Refusing(stage.people, Unavailable("down"))
    first, second = [await stage.erase_once() for _ in range(2)]
    assert first.id == second.id


async def test_asking_again_when_it_is_over_finds_nobody(stage: Stage) -> None:
    await stage.erase()
    with pytest.raises(UserNotFound):
        await stage.erase()


async def test_who_asked_is_told_when_it_turned_back(stage: Stage) -> None:
    stage.people = Refusing(stage.people, FailedPrecondition("not now"))
    with pytest.raises(ErasureTurnedBack) as told:
        await stage.erase()
    assert UUID(told.value.metadata["saga_id"]).version == 7


async def test_asking_again_sets_a_parked_one_going(stage: Stage) -> None:
    """One that is suspended holds notifications back, so nobody should have to look for it first."""

    class Broken(PersonalRows):
        async def redact(self, user_id: UUID) -> None:
            raise Internal("bug")

    store = SagaRepository(stage.gateway)
    rows = Broken(stage.gateway)
    erasure = Erasure(rows, stage.people, stage.captures, stage.records, attachments=stage.files, notify=stage.notify, sweep=_no_sweep)
    broken = Orchestrator(erasure.definitions(), store, policy=RetryPolicy(faults=1), now=stage.clock)
    suspended = await stage.erasures(broken).erase(caller("users:write"), str(stage.user_id), timeout_s=GUARD_S)
    assert (suspended.state, suspended.step.name) == (SagaState.SUSPENDED, "redact_notifications")
    ended = await stage.erase()
    assert (ended.id, ended.state, await stage.traces()) == (suspended.id, SagaState.COMPLETED, [])


async def _no_sweep(erasure: Saga) -> None:
    return None
