"""Batching: many callers, one call."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.resilience.batching import Batcher


class Recorder:
    """Doubles numbers, remembers the batches, and waits for `gate` before it answers."""

    def __init__(self, *, closed: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.running = 0
        self.most_running = 0
        if not closed:
            self.gate.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Negative numbers are refused, each for itself."""
        self.batches.append(list(items))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self.gate.wait()
        self.running -= 1
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


async def test_a_batch_of_one_goes_at_once() -> None:
    """One submit is one call with one item."""
    call = Recorder()
    batcher = Batcher(call, max_items=10, name="test")
    assert await batcher.submit(21) == 42
    assert call.batches == [[21]]


async def test_items_that_arrive_during_a_call_share_the_next() -> None:
    """Group commit: one call runs, the others collect."""
    call = Recorder(closed=True)
    batcher = Batcher(call, max_items=100, name="test")
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(batcher.submit(n)) for n in range(1, 50)]
    await asyncio.sleep(0)
    call.gate.set()
    assert await asyncio.gather(first, *others) == [n * 2 for n in range(50)]
    assert [len(batch) for batch in call.batches] == [1, 49]


async def test_an_error_reaches_its_own_item_only() -> None:
    """Neighbours of a refused item are served."""
    batcher = Batcher(Recorder(), max_items=10, name="test")
    results = await asyncio.gather(*(batcher.submit(n) for n in (1, -1, 2)), return_exceptions=True)
    assert results[0] == 2
    assert results[2] == 4
    assert isinstance(results[1], ValueError)


async def test_a_failing_call_fails_all_its_items() -> None:
    """An exception of the call reaches every submitter of the batch."""

    async def fail(items: Sequence[int]) -> Sequence[int]:
        raise OSError(f"{len(items)} items")

    batcher = Batcher(fail, max_items=10, name="test")
    results = await asyncio.gather(*(batcher.submit(n) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3


async def test_a_call_that_answers_too_few_results_is_an_error_for_all() -> None:
    """A broken batch function never hands one item's result to another."""

    async def lose(items: Sequence[int]) -> Sequence[int]:
        return list(items)[1:]

    batcher = Batcher(lose, max_items=10, name="test")
    results = await asyncio.gather(*(batcher.submit(n) for n in range(3)), return_exceptions=True)
    assert all(isinstance(result, RuntimeError) for result in results)


async def test_close_waits_for_what_was_accepted_and_refuses_more() -> None:
    """Nothing accepted is lost at shutdown."""
    call = Recorder(closed=True)
    batcher = Batcher(call, max_items=2, name="test")
    submits = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    call.gate.set()
    await closing
    assert await asyncio.gather(*submits) == [0, 2, 4, 6, 8]
    with pytest.raises(RuntimeError):
        await batcher.submit(1)


async def test_after_a_crowd_the_next_batch_waits_for_company() -> None:
    """Those who come one after the other within the linger share a call."""
    call = Recorder()
    batcher = Batcher(call, max_items=10, linger_s=0.2, name="test")
    await asyncio.gather(*(batcher.submit(n) for n in range(3)))
    first = asyncio.create_task(batcher.submit(3))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(batcher.submit(4))
    assert await asyncio.gather(first, second) == [6, 8]
    assert call.batches == [[0, 1, 2], [3, 4]]


async def test_who_comes_alone_does_not_linger() -> None:
    """An hour of linger costs a lone caller nothing, and a full batch neither."""
    call = Recorder()
    batcher = Batcher(call, max_items=2, linger_s=3600, name="test")
    async with asyncio.timeout(20):
        assert [await batcher.submit(n) for n in (1, 2, 3)] == [2, 4, 6]
        assert await asyncio.gather(*(batcher.submit(n) for n in range(4))) == [0, 2, 4, 6]


async def test_a_cancelled_submitter_disturbs_nobody() -> None:
    """Its neighbours get their results."""
    call = Recorder(closed=True)
    batcher = Batcher(call, max_items=10, name="test")
    gone = asyncio.create_task(batcher.submit(1))
    stays = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    call.gate.set()
    assert await stays == 4


@given(
    items=st.lists(st.integers(), max_size=60),
    max_items=st.integers(min_value=1, max_value=7),
    max_concurrent=st.integers(min_value=1, max_value=3),
)
def test_every_item_gets_its_own_result_within_the_limits(items: list[int], max_items: int, max_concurrent: int) -> None:
    """Whatever arrives: each result belongs to its item, no batch is too large, never too many run at once."""

    async def run() -> Recorder:
        call = Recorder()
        batcher = Batcher(call, max_items=max_items, max_concurrent=max_concurrent, name="test")
        results = await asyncio.gather(*(batcher.submit(item) for item in items), return_exceptions=True)
        for item, result in zip(items, results, strict=True):
            assert isinstance(result, ValueError) if item < 0 else result == item * 2
        return call

    call = asyncio.run(run())
    assert sorted(item for batch in call.batches for item in batch) == sorted(items)
    assert all(0 < len(batch) <= max_items for batch in call.batches)
    assert call.most_running <= max_concurrent
