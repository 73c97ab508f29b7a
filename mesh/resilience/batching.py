"""Many callers, one call: group commit, pipelined scripts and batch RPCs share this one mechanism.

While a call runs, the items that arrive collect and go out together with the next one. An item that arrives while nothing runs
goes at once, so that a batch of one never waits (the group commit of DeWitt et al., SIGMOD 1984, without its timer). Under load
a call may linger until more items arrive: its cost is shared by more, and an item that arrives alone still does not wait.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Collects items into calls of at most `max_items`, at most `max_concurrent` at a time.

    After a batch of several the next one waits up to `linger_s` seconds until `enough` have come, since where several were there will
    be several again. More than enough would only make everyone wait for everyone: half of the callers can be served while the other
    half's call is under way.

    `call` gets the items and returns one result per item in the same order; a result that is an exception is raised to its own
    submitter only, an exception of the call itself to all of them.
    """

    def __init__(
        self,
        call: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        max_items: int,
        max_concurrent: int = 1,
        linger_s: float = 0.0,
        enough: int = 8,
        name: str,
    ) -> None:
        self._call = call
        self._max_items = max_items
        self._max_concurrent = max_concurrent
        self._linger_s = linger_s
        self._enough = min(enough, max_items)
        self._crowded = False
        self._lingering: asyncio.Future[None] | None = None
        self._name = name
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._not_begun = 0
        self._closed = False

    async def submit(self, item: T) -> R:
        """The item's result. Raises RuntimeError after `close`. Cancelling a submitter drops its result, not the item."""
        if self._closed:
            raise RuntimeError(f"batcher {self._name} is closed")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._start()
        return await future

    async def submit_all(self, items: Sequence[T]) -> list[R | BaseException]:
        """The items' results in order, an exception in the place of each that failed; a task less per item than `submit` for each."""
        if self._closed:
            raise RuntimeError(f"batcher {self._name} is closed")
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[R]] = [loop.create_future() for _ in items]
        self._waiting.extend(zip(items, futures, strict=True))
        self._start()
        return await asyncio.gather(*futures, return_exceptions=True)

    async def close(self) -> None:
        """Refuses new items and waits until those accepted are done."""
        self._closed = True
        self._end_linger()
        while self._running:
            await asyncio.wait(self._running)

    def _start(self) -> None:
        if self._lingering is not None and (self._closed or len(self._waiting) >= self._enough):
            self._end_linger()
        # a task that has not had its turn yet will take what arrives until then, so another one is needed only for what it has no room for
        while len(self._waiting) > self._not_begun * self._max_items and len(self._running) < self._max_concurrent:
            self._not_begun += 1
            # a context of its own: a batch serves many calls and may not run under the deadline of the one that began it
            task = asyncio.create_task(self._run(), name=f"batch-{self._name}", context=contextvars.Context())
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _linger(self) -> None:
        loop = asyncio.get_running_loop()
        self._lingering = loop.create_future()
        timer = loop.call_later(self._linger_s, self._end_linger)
        await self._lingering
        timer.cancel()
        self._lingering = None

    def _end_linger(self) -> None:
        if self._lingering is not None and not self._lingering.done():
            self._lingering.set_result(None)

    async def _run(self) -> None:
        if self._linger_s and self._crowded and len(self._waiting) < self._enough and self._lingering is None:
            await self._linger()
        self._not_begun -= 1
        self._crowded = len(self._waiting) > 1
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_items))]
        batch = [(item, future) for item, future in batch if not future.cancelled()]
        if not batch:
            return
        try:
            results = await self._call([item for item, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"batch {self._name} answered {len(results)} results for {len(batch)} items")
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001  it is the answer to this row's sender
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
