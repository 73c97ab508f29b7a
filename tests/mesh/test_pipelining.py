"""Several requests of a stream in hand at once, answered in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mesh.errors import Unavailable
from mesh.rpc.pipelining import in_order


async def numbers(count: int, *, then: Exception | None = None) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    if then is not None:
        raise then


async def test_answers_keep_the_order_of_the_requests() -> None:
    ready = [asyncio.Event() for _ in range(5)]

    async def answer(number: int) -> int:
        await ready[number].wait()
        if number:
            ready[number - 1].set()
        return number * 10

    ready[4].set()  # each waits for the one behind it
    assert [one async for one in in_order(numbers(5), answer, weigh=lambda _: 1, most=5)] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize(("weight", "most", "at_once"), [(1, 3, 3), (2, 5, 2), (9, 5, 1)])
async def test_at_most_so_much_is_in_hand(weight: int, most: int, at_once: int) -> None:
    """What is heavier than all that fits goes alone."""
    in_hand = highest = 0

    async def answer(number: int) -> int:
        nonlocal in_hand, highest
        in_hand += 1
        highest = max(highest, in_hand)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        in_hand -= 1
        return number

    assert len([one async for one in in_order(numbers(20), answer, weigh=lambda _: weight, most=most)]) == 20
    assert highest == at_once


async def test_nothing_more_is_read_while_the_answers_are_not() -> None:
    read = 0

    async def requests() -> AsyncIterator[int]:
        nonlocal read
        for number in range(100):
            read += 1
            yield number

    async def answer(number: int) -> int:
        return number

    answers = in_order(requests(), answer, weigh=lambda _: 1, most=4)
    assert await anext(answers) == 0
    for _ in range(50):
        await asyncio.sleep(0)
    assert read <= 6
    await answers.aclose()


async def test_an_error_comes_after_the_answers_before_it() -> None:
    async def answer(number: int) -> int:
        if number == 7:
            raise Unavailable("seven")
        return number

    async def collect(answers: AsyncIterator[int], seen: list[int]) -> None:
        async for one in answers:
            seen.append(one)  # noqa: PERF401  what came before the error counts

    seen: list[int] = []
    with pytest.raises(Unavailable, match="away"):
        await collect(in_order(numbers(3, then=Unavailable("away")), answer, weigh=lambda _: 1, most=2), seen)
    assert seen == [0, 1, 2]
    with pytest.raises(Unavailable, match="seven"):
        await collect(in_order(numbers(20), answer, weigh=lambda _: 1, most=20), seen)
    assert seen == [0, 1, 2, *range(7)]


async def test_who_stops_reading_ends_what_is_under_way() -> None:
    ended = asyncio.Event()

    async def answer(number: int) -> int:
        if number == 0:
            return 0
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    answers = in_order(numbers(2), answer, weigh=lambda _: 1, most=2)
    assert await anext(answers) == 0
    await asyncio.sleep(0)
    await answers.aclose()
    assert ended.is_set()
