"""Periodic work outlives its failures, wakes early and stops cleanly."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from mesh.errors import Unavailable
from mesh.resilience.periodic import Periodic


class Work:
    """Runs that can be awaited one by one; each raises what was put into `errors`."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.runs: asyncio.Queue[int] = asyncio.Queue()
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1
        self.runs.put_nowait(self.count)
        if self.errors:
            raise self.errors.pop(0)


@asynccontextmanager
async def running(work: Callable[[], Awaitable[object]], *, interval_s: float, at_once: bool = True) -> AsyncIterator[Periodic]:
    periodic = Periodic("test-work", work, interval_s=interval_s, retry_s=0.001, at_once=at_once)
    periodic.start()
    try:
        yield periodic
    finally:
        await periodic.close()


async def test_a_failure_of_any_kind_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """Also the cancellation of something that the work waited for, which looks like the end of the loop itself."""
    work = Work()
    work.errors = [Unavailable("away", reason="AWAY"), ValueError("broken"), asyncio.CancelledError()]
    with caplog.at_level(logging.INFO):
        async with running(work, interval_s=60.0) as periodic:
            for expected in (1, 2, 3, 4):
                assert await work.runs.get() == expected
            assert periodic.running
            await asyncio.sleep(0)
            assert periodic.failures == 0
    lines = [(record.getMessage(), record.__dict__["failures"]) for record in caplog.records if record.name == "mesh.resilience.periodic"]
    failed, well = "periodic work failed; trying again", "periodic work goes well again"
    assert lines == [(failed, 1), (failed, 2), (well, 3)]
    assert "broken" not in [record.__dict__.get("reason") for record in caplog.records]


async def test_an_event_brings_the_next_run_forward() -> None:
    """Also one that happens during a run: what it is about may have been looked at already."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    runs: asyncio.Queue[None] = asyncio.Queue()

    async def work() -> None:
        runs.put_nowait(None)
        begun.set()
        await go_on.wait()

    async with running(work, interval_s=3600.0) as periodic:
        await runs.get()
        periodic.wake()
        go_on.set()
        await runs.get()


async def test_the_first_run_can_wait() -> None:
    """For what was done once before the start."""
    work = Work()
    async with running(work, interval_s=3600.0, at_once=False) as periodic:
        await asyncio.sleep(0)
        assert work.count == 0
        periodic.wake()
        assert await work.runs.get() == 1


async def test_close_ends_a_run_that_hangs_and_starts_no_other() -> None:
    """And it may be closed twice, or without having been started."""
    hangs = asyncio.Event()
    ended: list[bool] = []

    async def work() -> None:
        hangs.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with running(work, interval_s=0.0) as periodic:
        await hangs.wait()
        await periodic.close()
        assert (ended, periodic.running) == ([True], False)
    await Periodic("never", work, interval_s=1.0).close()


async def test_pauses_vary_so_that_replicas_spread() -> None:
    """By the part that was asked for, in either direction."""
    asked: list[tuple[float, float]] = []
    work = Work()

    def source(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    periodic = Periodic("test-work", work, interval_s=3600.0, jitter=0.25, jitter_source=source)
    periodic.start()
    await work.runs.get()
    await work.runs.get()
    await periodic.close()
    assert asked[0] == (0.75, 1.25)
