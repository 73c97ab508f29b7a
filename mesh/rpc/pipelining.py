"""A stream's requests worked at several at a time, and answered in the order in which they came."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

Q = TypeVar("Q")
R = TypeVar("R")


async def in_order(
    requests: AsyncIterator[Q], answer: Callable[[Q], Awaitable[R]], *, weigh: Callable[[Q], int], most: int
) -> AsyncGenerator[R, None]:
    """One response per request, in order.

    Requests that weigh at most `most` together are in hand at once, a heavier one alone; the next is read when there is room for it, and a
    response counts as in hand until its reader asks for the next. Raises what `requests` or `answer` raises, after all responses before it.
    """
    window = _Window(most)
    answers: asyncio.Queue[tuple[asyncio.Task[R], int] | Exception | None] = asyncio.Queue()
    under_way: set[asyncio.Task[R]] = set()

    async def work(request: Q) -> R:
        return await answer(request)

    async def read() -> None:
        try:
            async for request in requests:
                weight = weigh(request)
                await window.take(weight)
                task = asyncio.create_task(work(request))
                under_way.add(task)
                answers.put_nowait((task, weight))
            answers.put_nowait(None)
        except Exception as error:  # noqa: BLE001  it is raised where the responses are read
            answers.put_nowait(error)

    reader = asyncio.create_task(read(), name="stream-requests")
    try:
        while (item := await answers.get()) is not None:
            if isinstance(item, Exception):
                raise item
            task, weight = item
            response = await task
            under_way.discard(task)
            yield response
            window.give_back(weight)
    finally:
        for left in (reader, *under_way):
            left.cancel()
        await asyncio.gather(reader, *under_way, return_exceptions=True)


class _Window:
    """What is in hand; one task takes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._given_back = asyncio.Event()

    async def take(self, weight: int) -> None:
        while self._held and self._held + weight > self._most:
            self._given_back.clear()
            await self._given_back.wait()
        self._held += weight

    def give_back(self, weight: int) -> None:
        self._held -= weight
        self._given_back.set()
