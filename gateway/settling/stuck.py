"""Notifications whose outcome never came: put back onto the bus, and after several times handed to reviewers.

Whatever lost the message (a defect, a broker that lost its disk, a queue that was purged), its notification does not stay QUEUED for ever:
the ledger equation holds without luck. Putting back is harmless where the message was not lost: the workers' ledger knows the attempt.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from opentelemetry.metrics import CallbackOptions, Observation

from delivery.lanes import PARK_DELAYS_S, WORK_DELIVERY_LIMIT, work_queue
from delivery.ledger import LEASE_S
from gateway.dispatch.relay import Notifier
from gateway.notifications.models import Channel, Priority, Status
from gateway.settling.outcomes import Failure
from gateway.settling.stuck_rows import FIRST, IN_FLIGHT, Suspect
from mesh.bus.broker import Broker
from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

# The longest that a worker may have a delivery in hand before it says anything of it: two calls to services, then each provider in turn.
_HANDLING_S = 90.0
# No legal wait is longer. A worker announces each pause with its end, so that only the last hop through a delay queue adds to that; then
# the broker may give the message to one worker after another that dies over it or waits for the lease of another one.
SILENT_S = max(PARK_DELAYS_S) + WORK_DELIVERY_LIMIT * (LEASE_S + _HANDLING_S)
MAX_PUT_BACKS = 3

_INTERVAL_S = 60.0
_SKEW_S = 60.0  # between the clocks of the processes that wrote what was last heard of a row
_PAGE = 500
_PAGES = 4  # of a status and sweep; the next sweep goes on behind them
STUCK = "STUCK"
_DETAIL = "it was published several times and no worker said what became of it; it may have been sent"

_Lane = tuple[Channel, Priority]


class Rows(Protocol):
    """The notifications that are on the bus."""

    async def page(self, status: Status, *, after_s: float, after: UUID, most: int) -> list[Suspect]:
        """Up to `most` rows of the status that have not changed for `after_s` seconds, in order of the id, from behind `after` on."""

    async def put_back(self, identifiers: Sequence[UUID], *, after_s: float) -> list[UUID]:
        """Makes those due for the bus again that still have not changed for `after_s` seconds; which ones those are."""


class DeadLetters(Protocol):
    """Where those that are given up are kept for review."""

    async def give_up(self, identifiers: Sequence[UUID], *, reason: str, detail: str) -> list[Failure]:
        """The failures of notifications of which no outcome will come, as far as they have not ended."""

    async def file(self, failures: Sequence[Failure]) -> Sequence[UUID]:
        """Files dead letters; the notifications that got one."""


class _Walk(NamedTuple):
    """How far the walk over the rows of a status has come, and how many were found stuck on its way."""

    after: UUID = FIRST
    found: int = 0


class StuckSweep:
    """Looks for them from `start` to `close`. `after_s` is how long nothing was heard of those that it takes for stuck.

    What waits in a work queue because its workers are away is not stuck. So a row counts only once its queue was seen empty after the row
    was last heard of, and is given up only when that was `after_s` seconds ago: by then a worker that took it would have said something.
    """

    def __init__(
        self,
        rows: Rows,
        letters: DeadLetters,
        broker: Broker,
        watchers: Notifier,
        *,
        after_s: float = SILENT_S,
        interval_s: float = _INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._letters = letters
        self._broker = broker
        self._watchers = watchers
        self._after_s = after_s
        self._clock = clock
        self._periodic = Periodic("stuck-sweep", self.sweep, interval_s=min(interval_s, after_s))
        self._seen_empty: dict[_Lane, deque[float]] = {
            (channel, priority): deque(maxlen=max(2, round(4 * after_s / min(interval_s, after_s))))
            for channel in Channel
            for priority in Priority
        }
        self._walks = dict.fromkeys(IN_FLIGHT, _Walk())
        self.stuck: Counter[Status] = Counter()
        meter().create_observable_gauge(
            "clarion.outbox.stuck", [self._observe], description="Published notifications of which nothing was heard for too long."
        )
        self._put_backs = meter().create_counter("clarion.outbox.put_back", description="Of them those that were published again.")
        self._given_up = meter().create_counter("clarion.outbox.given_up", description="Of them those that went to the dead letters.")

    def start(self) -> None:
        """Begins to look."""
        self._periodic.start()

    async def close(self) -> None:
        """Ends it."""
        await self._periodic.close()

    async def sweep(self) -> None:
        """Goes over the next pages of each status. Raises ServiceError when the database or the broker does not answer."""
        for lane, seen in self._seen_empty.items():
            channel, priority = lane
            if await self._broker.depth(work_queue(channel.key, urgent=priority is Priority.HIGH)) == 0:
                seen.append(self._clock())
        for status in IN_FLIGHT:
            for _ in range(_PAGES):
                if not await self._next_page(status):
                    break

    async def _next_page(self, status: Status) -> bool:
        """Whether there may be more."""
        walk = self._walks[status]
        page = await self._rows.page(status, after_s=self._after_s, after=walk.after, most=_PAGE)
        stuck = [suspect for suspect in page if suspect.silent_s >= self._after_s and self._was_empty(suspect, ago_s=0.0)]
        hopeless = [
            suspect
            for suspect in stuck
            if (suspect.put_backs >= MAX_PUT_BACKS or suspect.erased) and self._was_empty(suspect, ago_s=self._after_s)
        ]
        await self._give_up([suspect.id for suspect in hopeless])
        await self._put_back([one.id for one in stuck if one.put_backs < MAX_PUT_BACKS and not one.erased])
        if len(page) == _PAGE:
            self._walks[status] = _Walk(page[-1].id, walk.found + len(stuck))
            return True
        self._walks[status] = _Walk()
        self.stuck[status] = walk.found + len(stuck)
        return False

    def _was_empty(self, suspect: Suspect, *, ago_s: float) -> bool:
        """Whether its queue was seen empty since it was last heard of, and at least `ago_s` seconds ago."""
        now, heard_s = self._clock(), suspect.silent_s - min(_SKEW_S, self._after_s / 2)
        return any(ago_s <= now - moment < heard_s for moment in self._seen_empty[suspect.channel, suspect.priority])

    async def _put_back(self, identifiers: Sequence[UUID]) -> None:
        put_back = await self._rows.put_back(identifiers, after_s=self._after_s)
        if put_back:
            self._put_backs.add(len(put_back))
            log.warning("no outcome came: published again", extra={"notifications": len(put_back), "notification_id": str(put_back[0])})
            self._watchers.notify(put_back)

    async def _give_up(self, identifiers: Sequence[UUID]) -> None:
        if not identifiers:
            return
        filed = await self._letters.file(await self._letters.give_up(identifiers, reason=STUCK, detail=_DETAIL))
        if filed:
            self._given_up.add(len(filed))
            log.error("no outcome came: given up for review", extra={"notifications": len(filed), "notification_id": str(filed[0])})
            self._watchers.notify(filed)

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.stuck.total())] if self._periodic.running else []
