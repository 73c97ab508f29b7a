"""Committed notifications onto the bus.

What this process has just committed it publishes at once. A sweeper picks up the rest every second: scheduled ones whose time has
come, what a crash left, and what piled up while the broker was away. A row is published under a lease, so that two processes rarely
publish the same one; when it happens the workers' ledger makes it harmless.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from gateway.notifications.convert import envelope
from gateway.notifications.models import Job, Priority
from gateway.outbox import Claimed
from mesh.broker import Broker
from mesh.errors import ServiceError
from mesh.telemetry import meter

log = logging.getLogger(__name__)

ENVELOPE_ITEMS = 50
_PAGE = 500
_MARK_AT_ONCE = 500
_WINDOW = 4  # envelopes in flight per lane
_URGENT_WINDOW = 32  # urgent ones travel alone, so more of them
_SWEEP_WINDOW = 8
_MOST_UNMARKED = 2_000
_ENVELOPE_BYTES = 512 * 1024
_PAUSE_S = 0.5
_MARK_LINGER_S = 0.02  # nobody waits for a mark, so that many may share a statement


class Backlog(Protocol):
    """The rows that wait for the bus."""

    async def claim(self, *, most: int, lease_s: float, urgent: bool = False) -> Claimed:
        """Takes due rows under a lease."""

    async def mark(self, queued: Sequence[tuple[UUID, datetime]]) -> Sequence[UUID]:
        """Marks rows as QUEUED."""


class Listener(Protocol):
    """Hears of changed notifications."""

    def tell(self, identifiers: Iterable[UUID]) -> None:
        """These have changed."""


class _Lane:
    """What waits for one work queue, each with the end of its lease on the monotonic clock."""

    __slots__ = ("key", "publishers", "size", "waiting", "window")

    def __init__(self, key: str, *, urgent: bool) -> None:
        self.key = key
        self.waiting: deque[tuple[float, Job]] = deque()
        self.publishers = 0
        self.size = 1 if urgent else ENVELOPE_ITEMS
        self.window = _URGENT_WINDOW if urgent else _WINDOW

    def take(self, now: float) -> list[Job]:
        """The jobs of the next envelope; those whose time is over are left out."""
        jobs: list[Job] = []
        room = _ENVELOPE_BYTES
        while self.waiting and len(jobs) < self.size and room > 0:
            until, job = self.waiting.popleft()
            if until > now:
                jobs.append(job)
                room -= len(job.payload)
        return jobs


class Relay:
    """Publishes. `start` begins the sweeper, `close` drains what is under way."""

    def __init__(self, broker: Broker, backlog: Backlog, changes: Listener, *, lease_s: float, sweep_s: float = 1.0) -> None:
        self._broker = broker
        self._backlog = backlog
        self._changes = changes
        self._lease_s = lease_s
        self._sweep_s = sweep_s
        self._lanes: dict[str, _Lane] = {}
        self._unmarked: deque[tuple[UUID, datetime]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._marker: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = False
        self._published = meter().create_counter("clarion.relay.published", description="Notifications that the bus has confirmed.")
        self._failed = meter().create_counter("clarion.relay.failed", description="Envelopes to be published again.")

    def start(self) -> None:
        """Begins to sweep."""
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="relay-sweeper")

    def offer(self, jobs: Sequence[Job]) -> None:
        """Publishes in the background what was committed just now under this process's lease."""
        if self._closing or not self._broker.connected:
            return  # the sweeper, here or in another replica, takes them when their lease is over
        # what waits longer than half of its lease is left to the sweeper, so that the two don't meet
        until = time.monotonic() + self._lease_s / 2
        for job in jobs:
            lane = self._lane(job)
            lane.waiting.append((until, job))
            if lane.publishers < lane.window and lane.publishers * lane.size < len(lane.waiting):
                lane.publishers += 1
                self._start(self._publish_lane(lane))

    async def close(self) -> None:
        """Stops sweeping and waits for what is being published and marked."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        while self._tasks or self._marker is not None:
            running = self._tasks | ({self._marker} if self._marker is not None else set())
            await asyncio.wait(running)

    async def sweep(self) -> bool:
        """Publishes a page of what is due. Whether more may wait."""
        if not self._broker.connected:
            return False
        urgent = await self._backlog.claim(most=_PAGE, lease_s=self._lease_s, urgent=True)
        page = await self._backlog.claim(most=_PAGE, lease_s=self._lease_s)
        self._changes.tell(urgent.expired + page.expired)
        chunks = _chunks(urgent.jobs + page.jobs)
        window = asyncio.Semaphore(_SWEEP_WINDOW)

        async def publish(key: str, jobs: Sequence[Job]) -> bool:
            async with window:
                return await self._publish(key, jobs)

        published = await asyncio.gather(*(publish(key, jobs) for key, jobs in chunks))
        if self._marker is not None and len(self._unmarked) > _MOST_UNMARKED:
            await asyncio.wait({self._marker})  # or their leases would run out before they are marked
        if chunks:
            log.info("published from the backlog", extra={"notifications": len(urgent.jobs) + len(page.jobs), "envelopes": len(chunks)})
        return (urgent.full or page.full) and all(published)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                more = await self.sweep()
            except ServiceError as error:
                log.warning("sweep failed; trying again", extra={"reason": error.reason})
                more = False
            except Exception:
                log.exception("sweep failed; trying again")
                more = False
            if not more:
                await asyncio.sleep(self._sweep_s)

    def _lane(self, job: Job) -> _Lane:
        key = _queue_key(job)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key, urgent=job.priority is Priority.HIGH)
        return lane

    async def _publish_lane(self, lane: _Lane) -> None:
        try:
            while lane.waiting:
                jobs = lane.take(time.monotonic())
                if jobs and not await self._publish(lane.key, jobs):
                    lane.waiting.clear()  # still in the database: the sweeper goes on when the broker is back
        finally:
            lane.publishers -= 1

    async def _publish(self, key: str, jobs: Sequence[Job]) -> bool:
        started = datetime.now(UTC)
        channel, _, urgent = key.partition(".")
        try:
            queue = self._broker.topology.work_queue(channel, urgent=bool(urgent))
            await self._broker.publish(queue, envelope(job.payload for job in jobs))
        except ServiceError as error:
            self._failed.add(1, {"channel": channel})
            log.warning("publishing failed; the backlog keeps it", extra={"reason": error.reason, "notifications": len(jobs)})
            return False
        self._published.add(len(jobs), {"channel": channel})
        self._unmarked.extend((job.id, started) for job in jobs)
        if self._marker is None:
            self._marker = asyncio.create_task(self._mark(), name="relay-marker")
        return True

    async def _mark(self) -> None:
        try:
            while self._unmarked:
                if len(self._unmarked) > 1 and not self._closing:
                    await asyncio.sleep(_MARK_LINGER_S)
                page = [self._unmarked.popleft() for _ in range(min(len(self._unmarked), _MARK_AT_ONCE))]
                try:
                    self._changes.tell(await self._backlog.mark(page))
                except ServiceError as error:
                    log.warning("marking as queued failed", extra={"reason": error.reason, "notifications": len(page)})
                    if self._closing:
                        return  # their leases run out and they are published again, which the ledger makes harmless
                    self._unmarked.extendleft(reversed(page))
                    await asyncio.sleep(_PAUSE_S)
        finally:
            self._marker = None

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _queue_key(job: Job) -> str:
    return f"{job.channel.key}.urgent" if job.priority is Priority.HIGH else job.channel.key


def _chunks(jobs: Sequence[Job]) -> list[tuple[str, Sequence[Job]]]:
    """Envelopes: urgent jobs alone and first, the others up to 50 of one lane."""
    alone: dict[UUID, tuple[str, Sequence[Job]]] = {}
    lanes: dict[str, list[Job]] = {}
    for job in jobs:
        if job.priority is Priority.HIGH:
            alone[job.id] = (_queue_key(job), [job])
        else:
            lanes.setdefault(_queue_key(job), []).append(job)
    chunks = list(alone.values())
    for key, waiting in lanes.items():
        lane = _Lane(key, urgent=False)
        lane.waiting.extend((1.0, job) for job in waiting)
        while lane.waiting:
            chunks.append((key, lane.take(0.0)))
    return chunks
