"""The limit on processor time, under both event loops."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from template_svc.processes.cpu_limit import CpuLimit, LimitExceeded


def spin() -> None:
    """Works for ever, and catches whatever a template's surroundings might catch."""
    while True:
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001  refused, reset, half-answered: that is what the drill is about
            pass


class Stubborn:
    """Swallows the exception that reaches its finaliser, as Python does."""

    def __del__(self) -> None:
        while True:
            pass


def spin_in_finaliser() -> None:
    Stubborn()
    spin()


def test_work_within_the_limit_returns_its_result() -> None:
    with CpuLimit() as limit:
        assert limit.run(1, lambda a, b: a + b, 1, 2) == 3


def test_an_error_of_the_work_passes_unchanged() -> None:
    with CpuLimit() as limit, pytest.raises(ZeroDivisionError):
        limit.run(1, lambda: 1 / 0)


def test_endless_work_is_stopped_and_the_next_runs_as_if_nothing_had_been() -> None:
    with CpuLimit() as limit:
        for _ in range(3):
            with pytest.raises(LimitExceeded):
                limit.run(0.05, spin)
            assert limit.run(0.05, lambda: "fine") == "fine"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_python_swallows_is_raised_again() -> None:
    """The first tick is lost in a finaliser; a later one arrives."""
    with CpuLimit() as limit, pytest.raises(LimitExceeded):
        limit.run(0.05, spin_in_finaliser)


def test_after_the_work_no_tick_arrives() -> None:
    """The timer is off: using more than the limit outside harms nobody."""
    with CpuLimit() as limit:
        limit.run(0.02, lambda: None)
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_the_previous_handler_returns_with_the_end_of_the_block() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with CpuLimit():
        assert signal.getsignal(signal.SIGVTALRM) != before
    assert signal.getsignal(signal.SIGVTALRM) == before


async def stop_work_between_other_tasks() -> list[str]:
    """Three endless works while another task goes on; returns what happened."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    happened = []
    with CpuLimit() as limit:
        for _ in range(3):
            before = ticks
            try:
                limit.run(0.05, spin)
            except LimitExceeded:
                happened.append("stopped")
            assert ticks == before, "the work holds the loop"
            for _ in range(3):
                await asyncio.sleep(0)
            assert ticks > before, "the loop goes on"
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    return happened


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_limit_holds_inside_an_event_loop_which_survives_it(run: Callable[[Awaitable[list[str]]], list[str]]) -> None:
    """Also in uvloop, which waits for signals in C."""
    assert run(stop_work_between_other_tasks()) == ["stopped"] * 3
