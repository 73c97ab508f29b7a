"""The breaker: when it opens, what it lets through, what it ignores."""

import asyncio

import pytest

from mesh.errors import Code
from mesh.resilience.breaker import Breaker, BreakerChange, BreakerOpen, BreakerState


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[BreakerChange]:
    return []


@pytest.fixture
def breaker(clock: Clock, changes: list[BreakerChange]) -> Breaker:
    return Breaker("smtp", clock=clock, on_change=changes.append)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.record_failure(breaker.check())


def test_five_failures_in_a_row_open_it(breaker: Breaker, changes: list[BreakerChange]) -> None:
    fail(breaker, 4)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert changes == [BreakerChange("smtp", BreakerState.CLOSED, BreakerState.OPEN, 5)]


def test_a_success_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 4)
    breaker.record_success(breaker.check())
    fail(breaker, 4)
    assert breaker.state is BreakerState.CLOSED


def test_open_it_rejects_at_once_and_says_for_how_long(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 20
    with pytest.raises(BreakerOpen) as caught:
        breaker.check()
    assert caught.value.retry_after_s == 40
    assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "BREAKER_OPEN")


def test_half_open_it_lets_exactly_one_probe_through(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 60
    probe = breaker.check()
    assert breaker.state is BreakerState.HALF_OPEN
    for _ in range(3):
        with pytest.raises(BreakerOpen):
            breaker.check()
    breaker.record_success(probe)
    assert breaker.state is BreakerState.CLOSED
    breaker.check()
    breaker.check()


def test_a_failed_probe_opens_it_for_the_whole_time_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 60
    fail(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert breaker.retry_after_s == 60


def test_a_cancelled_probe_leaves_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 60
    breaker.release_probe(breaker.check())
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.record_success(breaker.check())
    assert breaker.state is BreakerState.CLOSED


def test_a_straggler_from_before_it_opened_changes_nothing(breaker: Breaker, clock: Clock) -> None:
    straggler = breaker.check()
    fail(breaker, 5)
    breaker.record_success(straggler)
    assert breaker.state is BreakerState.OPEN
    clock.now_s += 60
    probe = breaker.check()
    breaker.record_failure(straggler)
    breaker.record_success(straggler)
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.record_success(probe)
    assert breaker.state is BreakerState.CLOSED


async def test_the_guard_counts_failures_and_not_the_callers_mistakes(breaker: Breaker) -> None:
    for _ in range(10):
        with pytest.raises(ValueError, match="mine"):
            async with breaker.guard(is_failure=lambda error: not isinstance(error, ValueError)):
                raise ValueError("mine")
    assert breaker.state is BreakerState.CLOSED
    for _ in range(5):
        with pytest.raises(OSError, match="theirs"):
            async with breaker.guard():
                raise OSError("theirs")
    assert breaker.state is BreakerState.OPEN


async def test_the_guard_gives_a_cancelled_probe_back(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now_s += 60
    inside = asyncio.Event()

    async def probe() -> None:
        async with breaker.guard():
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(probe())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with breaker.guard():
        pass
    assert breaker.state is BreakerState.CLOSED
