"""Whose turn it is, and how much capacity a queue has."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from delivery.envelopes import ENVELOPE_ITEMS
from gateway.dispatch.lanes import Lane
from gateway.dispatch.turns import Capacity, Turns
from gateway.notifications.models import Channel, OutboxItem, Priority
from mesh.ids import new_uuid

CALLERS = st.sampled_from("abcdef")


def job(caller: str, *, size: int = 10) -> OutboxItem:
    return OutboxItem(new_uuid(), Channel.EMAIL, Priority.NORMAL, b"x" * size, caller)


@given(st.lists(CALLERS | st.none(), max_size=200))
def test_nobody_is_passed_twice_by_anybody(steps: list[str | None]) -> None:
    """While a caller waits each other one goes at most once before it; a caller's own jobs keep their order. None is a take."""
    turns = Turns()
    waiting: dict[str, list[OutboxItem]] = defaultdict(list)
    passed: dict[str, Counter[str]] = defaultdict(Counter)
    for caller in [*steps, *[None] * len(steps)]:
        if caller is not None:
            made = job(caller)
            if not waiting[caller]:
                passed[caller].clear()
            waiting[caller].append(made)
            turns.add(made, 1.0)
            continue
        taken = turns.take(0.0)
        if taken is None:
            assert not any(waiting.values())
            continue
        assert taken is waiting[taken.caller].pop(0)
        passed[taken.caller].clear()
        for other, jobs in waiting.items():
            if jobs and other != taken.caller:
                passed[other][taken.caller] += 1
                assert passed[other][taken.caller] <= 1
        assert turns.count == sum(map(len, waiting.values()))
    assert (turns.count, turns.take(0.0)) == (0, None)


@given(st.lists(st.tuples(CALLERS, st.booleans(), st.integers(0, 3)), max_size=100), st.integers(0, 3))
def test_what_is_not_ours_any_longer_is_dropped(added: list[tuple[str, bool, int]], now: int) -> None:
    """By pruning or on the way, with the same result."""
    pruned, taken_from = Turns(), Turns()
    for caller, backlog, until in sorted(added, key=lambda one: one[2]):
        made = job(caller)
        for turns in (pruned, taken_from):
            turns.add(made, float(until), backlog=backlog)
    pruned.prune(float(now))
    ours = sum(until > now for _, _, until in added)
    assert (pruned.count, pruned.backlog) == (ours, sum(until > now and backlog for _, backlog, until in added))
    taken = [turns.take(float(now)) for turns in (pruned, taken_from) for _ in range(ours)]
    assert None not in taken
    assert (pruned.count, pruned.backlog, taken_from.take(float(now))) == (0, 0, None)


def test_a_callers_backlog_goes_before_its_new_jobs() -> None:
    turns = Turns()
    new, old, other = job("a"), job("a"), job("b")
    turns.add(new, 1.0)
    turns.add(old, 1.0, backlog=True)
    turns.add(other, 1.0)
    assert [turns.take(0.0) for _ in range(3)] == [old, other, new]


def make_lane() -> Lane:
    """Without tasks: nothing is published."""

    async def nothing(*_: object) -> int:
        return 0

    return Lane(Channel.EMAIL, urgent=False, depth=20, publish=nothing, measure=nothing, wake=lambda: None)  # type: ignore[arg-type]  # never called


def test_an_envelope_is_full_at_fifty_jobs_or_half_a_megabyte() -> None:
    lane = make_lane()
    for _ in range(ENVELOPE_ITEMS + 1):
        lane.turns.add(job("a"), 1.0)
    for _ in range(3):
        lane.turns.add(job("b", size=300_000), 1.0)
    assert [len(lane.take(0.0)) for _ in range(4)] == [4, 50, 0, 0]


def test_room_is_what_the_queue_lacks_of_its_depth() -> None:
    capacity = Capacity(20)
    assert (capacity.left, capacity.low) == (20, False)
    capacity.update(17, in_flight=1, now=0.0)
    assert (capacity.left, capacity.low) == (2, True)
    capacity.update(50, in_flight=0, now=5.0)
    assert capacity.left == 0
    capacity.unknown(6.0)
    assert capacity.left == 20


def test_a_queue_that_is_emptied_fast_gets_more() -> None:
    """It had 5, got 40 and has 10: it has lost 35 since the last look. An older look tells nothing."""
    capacity = Capacity(20)
    for now, left in ((10.2, 20 - 10 + 35), (20.0, 20 - 10)):
        capacity.update(5, in_flight=0, now=10.0)
        for _ in range(40):
            capacity.confirmed()
        capacity.update(10, in_flight=0, now=now)
        assert capacity.left == left


def test_the_backlog_is_claimed_where_there_is_room_or_movement() -> None:
    """A queue that is full and does not move gets none; one that new jobs keep full gives the backlog its turn all the same."""
    lane = make_lane()
    assert lane.wants() == 10 * ENVELOPE_ITEMS
    lane.capacity.update(20, in_flight=0, now=0.0)
    assert lane.wants() == 0
    lane.confirmed()
    assert lane.wants() == 2 * ENVELOPE_ITEMS
    for _ in range(ENVELOPE_ITEMS):
        lane.turns.add(job("a"), 1.0, backlog=True)
    assert lane.wants() == 0


def test_a_round_over_many_callers_ends_with_the_page_that_begins_anew() -> None:
    lane = make_lane()
    told = []
    for full, last in ((True, "m"), (False, ""), (False, "m"), (False, "")):
        lane.claimed(full=full, last=last)
        told.append((lane.after, lane.has_more))
    assert told == [("m", True), ("", True), ("m", True), ("", False)]
