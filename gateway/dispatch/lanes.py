"""One work queue as a gateway sees it: what waits for it in this process, and the tasks that publish to it and look at its length."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from delivery.envelopes import ENVELOPE_BYTES, ENVELOPE_ITEMS
from delivery.lanes import work_queue
from gateway.dispatch.turns import Capacity, Turns
from gateway.notifications.models import Channel, OutboxItem
from mesh.errors import ServiceError

_WINDOW = 4  # envelopes in flight per lane
_URGENT_WINDOW = 32  # urgent ones travel alone, so more of them
_LOOK_S = 0.05  # between two looks at a queue that has little room
_LOOK_MAX_S = 0.4  # and at one that has none for long

Publish = Callable[[str, Channel, Sequence[OutboxItem]], Awaitable[bool]]
Measure = Callable[[str], Awaitable[int]]


class Lane:
    """One work queue. The urgent lanes' queues have capacity without end.

    `publish` gets the queue and the items of an envelope and answers whether the broker has them; `measure` answers how many envelopes
    wait in the queue and raises ServiceError where that is not known; `wake` brings the sweeper's next page forward.
    """

    def __init__(self, channel: Channel, *, urgent: bool, depth: int, publish: Publish, measure: Measure, wake: Callable[[], None]) -> None:
        self.channel = channel
        self.urgent = urgent
        self.turns = Turns()
        self.capacity = Capacity(math.inf if urgent else depth)
        self._size = 1 if urgent else ENVELOPE_ITEMS
        self._window = _URGENT_WINDOW if urgent else _WINDOW
        self._queue = work_queue(channel.key, urgent=urgent)
        self._publish, self._measure, self._wake = publish, measure, wake
        self._in_flight = 0
        self._publishers: set[asyncio.Task[None]] = set()
        self._looker: asyncio.Task[None] | None = None
        self._closing = False
        # Of the sweeper: whether more waits in the database than it has claimed, where its next page begins, what went out since the last.
        self._has_more = False
        self._after = ""
        self._moved = 0
        self._full = False

    @property
    def after(self) -> str:
        """Where the sweeper's next page begins."""
        return self._after

    @property
    def has_more(self) -> bool:
        """Whether more waits in the database than was claimed."""
        return self._has_more

    def go_on(self) -> None:
        """Starts as many publishers as there is work for."""
        while self.capacity.left > 0 and len(self._publishers) < self._window and len(self._publishers) * self._size < self.turns.count:
            task = asyncio.create_task(self._publish_all(), name=f"relay-{self._queue}")
            self._publishers.add(task)
        self._look_if_low()

    def take(self, now: float) -> list[OutboxItem]:
        """The jobs of the next envelope."""
        jobs: list[OutboxItem] = []
        capacity = ENVELOPE_BYTES
        while len(jobs) < self._size and capacity > 0 and (job := self.turns.take(now)) is not None:
            jobs.append(job)
            capacity -= len(job.payload)
        return jobs

    def wants(self) -> int:
        """How many jobs of the backlog are to be claimed now.

        None while the last ones still wait, nor while the queue has no capacity and does not move: a claim that can't be published
        costs the database for nothing. New items that take all the capacity do not keep the backlog out of its turn.
        """
        if self.turns.backlog >= (self._window if self.urgent else self._size) or (self.capacity.low and not self._moved):
            return 0
        return self._size * (2 if self.capacity.low else int(min(10, self.capacity.left)))

    def claimed(self, *, full: bool, last: str = "") -> None:
        """A page has been claimed: `has_more` says whether there is another one."""
        self._full |= full
        self._after, self._moved = last, 0
        self._has_more = bool(last) or self._full
        if not last:
            self._full = False

    def passed_over(self) -> None:
        """The sweeper claims nothing now, so that more may wait."""
        self._has_more = True
        self._look_if_low()

    def confirmed(self) -> None:
        """The queue has got an envelope."""
        self.capacity.confirmed()
        self._moved += 1

    async def close(self) -> None:
        """Ends the looks and waits for what is being published."""
        self._closing = True
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.gather(self._looker, return_exceptions=True)
        while self._publishers:
            await asyncio.wait(self._publishers)

    async def _publish_all(self) -> None:
        try:
            while self.capacity.left > 0 and (jobs := self.take(time.monotonic())):
                self.capacity.left -= 1
                self._look_if_low()
                await self._publish_one(jobs)
        finally:
            # here and not in a callback: what is offered before that ran would find no free place and start no publisher
            task = asyncio.current_task()
            assert task is not None
            self._publishers.discard(task)

    async def _publish_one(self, jobs: Sequence[OutboxItem]) -> None:
        self._in_flight += 1
        try:
            published = await self._publish(self._queue, self.channel, jobs)
        finally:
            self._in_flight -= 1
        if published:
            self.confirmed()
            self._wake_for_more()
        else:
            self.turns.clear()  # still in the database: the sweeper goes on when the broker is back

    def _wake_for_more(self) -> None:
        if self._has_more and self.wants() > 0:
            self._wake()

    def _look_if_low(self) -> None:
        """Looks at the queue, and again until it has capacity or nothing waits for it."""
        if self.capacity.low and self._looker is None and not self._closing:
            self._looker = asyncio.create_task(self._look(), name=f"relay-look-{self._queue}")

    async def _look(self) -> None:
        pause_s = _LOOK_S
        try:
            while True:
                await asyncio.sleep(max(0.0, self.capacity.looked_at + pause_s - time.monotonic()))
                try:
                    depth = await self._measure(self._queue)
                except ServiceError:
                    self.capacity.unknown(time.monotonic())
                else:
                    self.capacity.update(depth, in_flight=self._in_flight, now=time.monotonic())
                pause_s = _LOOK_S if self.capacity.left > 0 else min(2 * pause_s, _LOOK_MAX_S)
                self.turns.prune(time.monotonic())
                self.go_on()
                self._wake_for_more()
                if not self.capacity.low or not (self.turns.count or self._has_more):
                    return
        finally:
            self._looker = None
