"""Sagas: whatever fails and whenever a process dies, each ends complete or fully compensated, or suspended for a person."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import context
from mesh.context import CallContext
from mesh.deadline import Deadline
from mesh.errors import FailedPrecondition, Internal, Unauthenticated, Unavailable, Unimplemented
from mesh.sagas.orchestrator import Orchestrator
from mesh.sagas.state import Definition, Fault, RetryPolicy, Saga, SagaState, Step, StepState
from tests.mesh.saga_fakes import Clock, Crash, MemorySagas, World

LEASE_S = 30.0
POLICY = RetryPolicy(first_s=1.0, most_s=60.0, faults=3)


def orchestrator(definition: Definition, store: MemorySagas, clock: Clock) -> Orchestrator:
    return Orchestrator([definition], store, lease_s=LEASE_S, policy=POLICY, now=clock)


def trip(world: World, *, pivot: str | None = "book") -> Definition:
    """Reserve, pay, book (the pivot), tell. Paying is not worth undoing."""
    steps = (
        Step("reserve", world.action("reserve"), world.compensation("reserve")),
        Step("look", world.action("look")),
        Step("book", world.action("book"), world.compensation("book"), pivot=pivot == "book"),
        Step("tell", world.action("tell")),
    )
    return Definition("trip", steps)


async def settle(definition: Definition, store: MemorySagas, clock: Clock, *, most: int = 200) -> Saga:
    """Opens a saga and lets replica after replica run it, each from where the last one died, until it needs nobody any more."""
    saga = await Orchestrator([definition], store, now=clock, lease_s=LEASE_S).start("trip", "k", {"user": "u"}, delay_s=0.001)
    for _ in range(most):
        saga = store.sagas[saga.id]
        if not saga.is_active:
            return saga
        clock.advance(max(0.0, (saga.due_at - clock.now).total_seconds()) + 0.001)
        claimed = await store.claim(["trip"], now=clock.now, until=clock.now + timedelta(seconds=LEASE_S), most=1)
        try:
            await orchestrator(definition, store, clock).run(claimed[0])
        except Crash:
            continue
    raise AssertionError("the saga never ends")


def states(saga: Saga) -> list[StepState]:
    return [step.state for step in saga.steps]


async def test_every_step_is_done_once_and_in_order() -> None:
    world, store = World(), MemorySagas()
    saga = await settle(trip(world), store, Clock())
    assert (saga.state, states(saga)) == (SagaState.COMPLETED, [StepState.DONE] * 4)
    assert world.calls == ["reserve", "look", "book", "tell"]
    assert saga.data == {"user": "u", "reserve": 1, "look": 2, "book": 3, "tell": 4}
    assert all(step.start_time and step.end_time for step in saga.steps)


async def test_each_transition_is_committed_before_the_next_step() -> None:
    world, store = World(), MemorySagas()
    await settle(trip(world), store, Clock())
    assert [saved.position for saved in store.history] == [1, 2, 3, 4]


@pytest.mark.parametrize("point", range(8))
async def test_a_crash_at_any_boundary_is_made_good(point: int) -> None:
    """Before each commit and after it; a step whose commit was lost runs again and has its effect once."""
    world = World()
    saga = await settle(trip(world), MemorySagas({point}), Clock())
    assert (saga.state, world.effects) == (SagaState.COMPLETED, {"reserve", "look", "book", "tell"})


async def test_a_refused_step_before_the_pivot_takes_everything_back_in_reverse() -> None:
    world, store = World(failing={"book": [FailedPrecondition("sold out", reason="SOLD_OUT")]}), MemorySagas()
    saga = await settle(trip(world), store, Clock())
    assert (saga.state, saga.reason) == (SagaState.COMPENSATED, "SOLD_OUT")
    assert states(saga) == [StepState.COMPENSATED, StepState.DONE, StepState.COMPENSATED, StepState.PENDING]
    assert world.calls == ["reserve", "look", "book", "-book", "-reserve"]
    assert world.effects == {"look"}, "a step without compensation needs none"


async def test_what_is_away_is_waited_for_without_end() -> None:
    """Waits double up to a minute, and Retry-After is never undercut."""
    errors: list[Exception] = [*(Unavailable("down") for _ in range(8)), Unavailable("down", retry_after_s=90)]
    world, store, clock = World(failing={"look": errors}), MemorySagas(), Clock()
    saga = await settle(trip(world), store, clock)
    assert saga.state is SagaState.COMPLETED
    waits = [(saved.due_at - saved.update_time).total_seconds() for saved in store.history if saved.attempts]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 90]


@pytest.mark.parametrize("error", [Internal("bug"), Unauthenticated("clock skew"), RuntimeError("boom ada@example.com")])
async def test_what_is_broken_gets_some_tries_and_then_turns_the_saga_back(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world, store = World(failing={"look": [error] * 3}), MemorySagas()
    with caplog.at_level(logging.CRITICAL):
        saga = await settle(trip(world), store, Clock())
    assert (saga.state, world.calls.count("look"), world.effects) == (SagaState.COMPENSATED, 3, set())
    assert "@" not in saga.reason


@pytest.mark.parametrize("error", [Internal("bug"), FailedPrecondition("no"), Unimplemented("old release")])
async def test_past_the_pivot_there_is_no_way_back(error: Exception) -> None:
    """Steps are tried again until they are done, or a person is needed."""
    world, store, clock = World(failing={"tell": [error] * 2}), MemorySagas(), Clock()
    assert (await settle(trip(world), store, clock)).state is SagaState.COMPLETED
    world, store = World(failing={"tell": [error] * 3}), MemorySagas()
    saga = await settle(trip(world), store, clock)
    assert (saga.state, saga.position, saga.goes_back) == (SagaState.SUSPENDED, 3, False)
    assert world.effects == {"reserve", "look", "book"}


async def test_a_parked_saga_goes_on_where_it_stood_when_a_person_says_so() -> None:
    world, store, clock = World(failing={"tell": [Internal("bug")] * 3}), MemorySagas(), Clock()
    definition = trip(world)
    suspended = await settle(definition, store, clock)
    replica = orchestrator(definition, store, clock)
    assert (await replica.resume(suspended)).state is SagaState.RUNNING
    await replica.idle()
    assert store.sagas[suspended.id].state is SagaState.COMPLETED
    assert world.calls.count("reserve") == 1
    assert (await replica.resume(suspended)).state is SagaState.COMPLETED, "the second of two reviewers changes nothing"


async def test_a_compensation_that_stays_broken_is_parked_and_can_go_on() -> None:
    world = World(failing={"look": [FailedPrecondition("no")], "-reserve": [Internal("bug")] * 3})
    store, clock, definition = MemorySagas(), Clock(), trip(world)
    suspended = await settle(definition, store, clock)
    assert (suspended.state, suspended.goes_back) == (SagaState.SUSPENDED, True)
    replica = orchestrator(definition, store, clock)
    await replica.resume(suspended)
    await replica.idle()
    assert (store.sagas[suspended.id].state, world.effects) == (SagaState.COMPENSATED, set())


async def test_of_one_kind_and_key_one_is_open() -> None:
    world, store = World(), MemorySagas()
    replica = orchestrator(trip(world), store, Clock())
    first, second = [await replica.start("trip", "k", {}) for _ in range(2)]
    await replica.idle()
    third = await replica.start("trip", "k", {})
    await replica.idle()
    assert first.id == second.id != third.id
    assert world.calls == ["reserve", "look", "book", "tell"] * 2


async def test_a_saga_that_another_process_has_moved_is_left_alone() -> None:
    """Two processes at one saga can happen when one of them freezes for longer than its lease: only one of them writes."""
    world, store, clock = World(), MemorySagas(), Clock()
    definition = trip(world)
    saga = await orchestrator(definition, store, clock).start("trip", "k", {}, delay_s=1.0)
    clock.advance(2)
    (other,) = await store.claim(["trip"], now=clock.now, until=clock.now + timedelta(seconds=LEASE_S), most=1)
    assert (await orchestrator(definition, store, clock).run(saga)) == saga
    assert store.history == []
    assert (await orchestrator(definition, store, clock).run(other)).state is SagaState.COMPLETED


async def test_a_replica_that_stops_hands_its_saga_on_at_once() -> None:
    world, store, clock = World(), MemorySagas(), Clock()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(saga: Saga) -> None:
        begun.set()
        await go_on.wait()

    definition = Definition("trip", (Step("slow", slow), Step("tell", world.action("tell"))))
    replica = orchestrator(definition, store, clock)
    saga = await replica.start("trip", "k", {})
    await begun.wait()
    closing = asyncio.create_task(replica.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    left = store.sagas[saga.id]
    assert (left.position, left.due_at, world.calls) == (1, clock.now, [])
    other = orchestrator(definition, store, clock)
    assert await other.run_due() == 1
    await other.idle()
    assert store.sagas[saga.id].state is SagaState.COMPLETED


async def test_a_saga_does_not_inherit_the_deadline_of_the_call_that_began_it() -> None:
    """But its correlation id."""
    seen: list[CallContext] = []

    async def look(saga: Saga) -> None:
        seen.append(context.current())

    store, clock = MemorySagas(), Clock()
    replica = orchestrator(Definition("trip", (Step("look", look),)), store, clock)
    with context.use(CallContext("m", "c-1", deadline=Deadline.after(0.0))):
        saga = await replica.start("trip", "k", {})
        await replica.idle()
    assert [(call.deadline, call.correlation_id) for call in seen] == [(None, "c-1")]
    assert saga.correlation_id == "c-1"


async def test_a_step_that_hangs_is_ended_and_tried_again() -> None:
    calls: list[str] = []

    async def hang_once(saga: Saga) -> None:
        calls.append("hang")
        if len(calls) == 1:
            await asyncio.Event().wait()

    store, clock = MemorySagas(), Clock()
    replica = Orchestrator([Definition("trip", (Step("hang", hang_once),))], store, lease_s=0.02, now=clock)
    saga = await replica.start("trip", "k", {})
    await replica.idle()
    assert (store.sagas[saga.id].reason, store.sagas[saga.id].faults) == ("STEP_TIMEOUT", 0)
    clock.advance(1)
    await replica.run_due()
    await replica.idle()
    assert store.sagas[saga.id].state is SagaState.COMPLETED


async def test_waiting_ends_with_the_saga_or_with_the_time() -> None:
    world, store, clock = World(failing={"tell": [Unavailable("down")]}), MemorySagas(), Clock()
    replica = Orchestrator([trip(world)], store, poll_s=0.001, now=clock)
    saga = await replica.start("trip", "k", {})
    waited = await replica.wait(saga.id, timeout_s=0.05)
    assert waited is not None
    assert (waited.state, waited.reason) == (SagaState.RUNNING, "UNAVAILABLE")
    clock.advance(1)
    replica.begin()
    waited = await replica.wait(saga.id, timeout_s=10)
    assert waited is not None
    assert waited.state is SagaState.COMPLETED
    await replica.close()


async def test_a_store_that_is_away_stops_the_loop_for_a_moment_only() -> None:
    class Flaky(MemorySagas):
        tries = 0

        async def claim(self, kinds: Collection[str], *, now: object, until: object, most: int) -> Sequence[Saga]:
            self.tries += 1
            if self.tries < 3:
                raise Unavailable("down") if self.tries == 1 else RuntimeError("boom")
            return await super().claim(kinds, now=now, until=until, most=most)  # type: ignore[arg-type]  # handed through

    world, store, clock = World(), Flaky(), Clock()
    replica = Orchestrator([trip(world)], store, poll_s=0.001, now=clock)
    saga = await replica.start("trip", "k", {}, delay_s=0.001)
    clock.advance(1)
    replica.begin()
    waited = await replica.wait(saga.id, timeout_s=10)
    await replica.close()
    assert waited is not None
    assert waited.state is SagaState.COMPLETED


async def test_a_step_of_another_release_is_not_skipped() -> None:
    world, store, clock = World(), MemorySagas(), Clock()
    saga = await orchestrator(trip(world), store, clock).start("trip", "k", {}, delay_s=0.001)
    older = orchestrator(Definition("trip", (Step("reserve", world.action("reserve")),)), store, clock)
    for _ in range(10):
        clock.advance(100)
        await older.run_due()
        await older.idle()
    assert (store.sagas[saga.id].reason, world.effects) == ("STEP_UNKNOWN", {"reserve"})
    assert store.sagas[saga.id].state is SagaState.SUSPENDED


async def test_another_kind_is_left_to_those_who_know_it() -> None:
    world, store, clock = World(), MemorySagas(), Clock()
    await orchestrator(trip(world), store, clock).start("trip", "k", {}, delay_s=0.001)
    clock.advance(100)
    assert await orchestrator(Definition("other", (Step("x", None),)), store, clock).run_due() == 0


def test_a_definition_that_makes_no_sense_is_refused() -> None:
    world = World()
    step, undo = world.action("x"), world.compensation("x")
    for steps in (
        (),
        (Step("a", step), Step("a", step)),
        (Step("a", step, pivot=True), Step("b", step, pivot=True)),
        (Step("a", step, pivot=True), Step("b", step, undo)),
    ):
        with pytest.raises(ValueError, match="trip"):
            Definition("trip", steps)


_ERRORS = {Fault.AWAY: Unavailable, Fault.BROKEN: Internal, Fault.REFUSED: FailedPrecondition}


@given(
    pivot=st.integers(0, 4),
    undoable=st.lists(st.booleans(), min_size=4, max_size=4),
    failing=st.dictionaries(st.integers(0, 3), st.lists(st.sampled_from(list(Fault)), max_size=4)),
    undo_away=st.integers(0, 3),
    crash_points=st.sets(st.integers(0, 40), max_size=12),
)
async def test_whatever_happens_it_ends_complete_or_fully_compensated(
    pivot: int, undoable: list[bool], failing: dict[int, list[Fault]], undo_away: int, crash_points: set[int]
) -> None:
    """Or it is suspended past the pivot, with everything up to there done."""
    names = ["a", "b", "c", "d"]
    world = World(failing={names[place]: [_ERRORS[fault]("x") for fault in faults] for place, faults in failing.items()})
    world.failing |= {f"-{name}": [Unavailable("x") for _ in range(undo_away)] for name in names}
    steps = tuple(
        Step(
            name,
            world.action(name),
            world.compensation(name) if undoable[place] and place <= pivot else None,
            pivot=place == pivot,
        )
        for place, name in enumerate(names)
    )
    saga = await settle(Definition("trip", steps), MemorySagas(crash_points), Clock())
    if saga.state is SagaState.COMPLETED:
        assert world.effects == set(names)
    elif saga.state is SagaState.COMPENSATED:
        assert world.effects.isdisjoint(name for place, name in enumerate(names) if undoable[place] and place <= pivot)
        assert not any(step.state is StepState.DONE for step in saga.steps[pivot : pivot + 1])
    else:
        assert saga.position > pivot
        assert world.effects == set(names[: saga.position])
