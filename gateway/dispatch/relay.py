"""Committed notifications onto the bus.

What this process has just committed it publishes at once, as long as the work queue is short. A queue that its workers do not keep up
with is kept short: what waits then waits here, by caller, and goes out in turn, so that no caller's campaign keeps others waiting. A
sweeper picks up the rest: scheduled ones whose time has come, what a crash left, what piled up while the broker was away, and what waited
here for too long. A row is published under a lease, so that two processes rarely publish the same one; when it happens the workers' ledger
makes it harmless.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from delivery.envelopes import REQUESTED, envelope, ids_header
from gateway.dispatch.lanes import Lane
from gateway.dispatch.leases import Leases
from gateway.dispatch.outbox import Claimed
from gateway.notifications.models import Channel, OutboxItem, Priority, Unsent
from mesh.bus.broker import Broker
from mesh.errors import ServiceError
from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

_URGENT_PAGE = 500
_MARK_AT_ONCE = 500
_MOST_UNMARKED = 2_000
_PAUSE_S = 0.5
_MARK_LINGER_S = 0.02  # no request waits for a mark, so that many may share a statement


class Backlog(Protocol):
    """The rows that wait for the bus."""

    async def claim_urgent(self, *, most: int, lease_s: float) -> Claimed:
        """Takes due rows of high priority under a lease."""

    async def claim(self, channel: Channel, *, most: int, lease_s: float, after: str = "") -> Claimed:
        """Takes due rows of the channel's normal lane under a lease, of each caller an equal share."""

    async def renew(self, identifiers: Sequence[UUID], *, lease_s: float) -> None:
        """Keeps rows that are not marked as queued for `lease_s` seconds from now."""

    async def mark(self, queued: Sequence[tuple[UUID, datetime]]) -> Sequence[UUID]:
        """Marks rows as QUEUED."""


class Notifier(Protocol):
    """Wakes those who watch notifications."""

    def notify(self, identifiers: Iterable[UUID]) -> None:
        """These have changed."""


class Budget(Protocol):
    """The recipients' rate limit."""

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Gives back what these notifications took of it, in the background."""


class Relay:
    """Publishes. `start` begins the sweeper, `close` drains what is under way.

    `lane_depth` is how many envelopes may wait in a normal lane's queue before the relay holds back.
    """

    def __init__(
        self,
        broker: Broker,
        backlog: Backlog,
        watchers: Notifier,
        budget: Budget,
        *,
        lease_s: float,
        sweep_s: float = 1.0,
        lane_depth: int = 10,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._backlog = backlog
        self._watchers = watchers
        self._budget = budget
        self._lease_s = lease_s
        self._now = now
        self._leases = Leases(backlog, lease_s=lease_s)
        self._sweeper = Periodic("relay-sweeper", self.sweep, interval_s=sweep_s)
        self._lanes = {
            (channel, priority): Lane(
                channel,
                urgent=priority is Priority.HIGH,
                depth=lane_depth,
                publish=self._publish,
                measure=broker.depth,
                wake=self._sweeper.wake,
            )
            for channel in Channel
            for priority in Priority
        }
        self._unmarked: deque[tuple[UUID, datetime]] = deque()
        self._marker: asyncio.Task[None] | None = None
        self._closing = False
        self.lag_s = 0.0
        self._published = meter().create_counter("clarion.relay.published", description="Notifications that the bus has confirmed.")
        self._failed = meter().create_counter("clarion.relay.failed", description="Envelopes to be published again.")

    def start(self) -> None:
        """Begins to sweep."""
        self._leases.start()
        self._sweeper.start()

    def offer(self, jobs: Sequence[OutboxItem]) -> None:
        """Publishes in the background what was committed just now under this process's lease."""
        if not self._closing and self._can_publish:  # else the sweeper, here or in another replica, takes them after their lease
            self._add(jobs)

    async def close(self) -> None:
        """Stops sweeping and waits for what is being published and marked. What is held back stays in the database."""
        self._closing = True
        await self._sweeper.close()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        if self._marker is not None:
            await asyncio.wait({self._marker})
        await self._leases.close()

    async def sweep(self) -> bool:
        """Takes a page of what is due for each lane that has capacity. Whether more may wait."""
        if not self._can_publish:
            return False
        if self._marker is not None and len(self._unmarked) > _MOST_UNMARKED:
            await asyncio.wait({self._marker})  # or their leases would run out before they are marked
        lags = [await self._sweep_urgent()]
        lags += [await self._sweep_lane(lane) for lane in self._lanes.values() if not lane.urgent]
        self.lag_s = max(lags)
        return any(lane.has_more for lane in self._lanes.values())

    @property
    def _can_publish(self) -> bool:
        return self._broker.connected and not self._leases.stalled

    async def _sweep_urgent(self) -> float:
        """How long the oldest was overdue, in seconds."""
        lanes = [lane for lane in self._lanes.values() if lane.urgent]
        if sum(lane.turns.backlog for lane in lanes) >= _URGENT_PAGE:
            return self.lag_s
        page = await self._backlog.claim_urgent(most=_URGENT_PAGE, lease_s=self._lease_s)
        for lane in lanes:
            lane.claimed(full=page.full)
        self._take_over(page)
        return page.lag_s

    async def _sweep_lane(self, lane: Lane) -> float:
        """How long the oldest was overdue, in seconds."""
        most = lane.wants()
        if not most:
            lane.passed_over()
            return self.lag_s
        page = await self._backlog.claim(lane.channel, most=most, lease_s=self._lease_s, after=lane.after)
        lane.claimed(full=page.full, last=page.last)
        self._take_over(page)
        return page.lag_s

    def _take_over(self, page: Claimed) -> None:
        self._budget.give_back(page.expired)
        self._watchers.notify([unsent.id for unsent in page.expired])
        if page.jobs:
            self._add(page.jobs, backlog=True)
            log.info("taken from the backlog", extra={"notifications": len(page.jobs)})

    def _add(self, jobs: Sequence[OutboxItem], *, backlog: bool = False) -> None:
        # what waits longer than half of its lease is left to the sweeper, so that the two don't meet
        until = time.monotonic() + self._lease_s / 2
        lanes: set[Lane] = set()
        for job in jobs:
            lane = self._lanes[job.channel, job.priority]
            lane.turns.add(job, until, backlog=backlog)
            lanes.add(lane)
        for lane in lanes:
            lane.go_on()

    async def _publish(self, queue: str, channel: Channel, jobs: Sequence[OutboxItem]) -> bool:
        started = self._now()
        try:
            named = ids_header(job.id for job in jobs)
            with self._leases.held([job.id for job in jobs]):
                await self._broker.publish(queue, envelope(job.payload for job in jobs), headers=named, kind=REQUESTED)
        except ServiceError as error:
            self._failed.add(1, {"channel": channel.key})
            log.warning("publishing failed; the backlog keeps it", extra={"reason": error.reason, "notifications": len(jobs)})
            return False
        self._published.add(len(jobs), {"channel": channel.key})
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
                    self._watchers.notify(await self._backlog.mark(page))
                except ServiceError as error:
                    log.warning("marking as queued failed", extra={"reason": error.reason, "notifications": len(page)})
                    if self._closing:
                        return  # their leases run out and they are published again, which the ledger makes harmless
                    self._unmarked.extendleft(reversed(page))
                    await asyncio.sleep(_PAUSE_S)
        finally:
            self._marker = None
