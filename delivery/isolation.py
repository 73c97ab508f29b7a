"""A worker that alone can't reach its provider leaves the deliveries to those that can.

Deferring them would not do: half of what a queue holds would come to it, wait, and come to it again.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

_LOOK_S = 0.2


class Reachability(Protocol):
    """The breaker of a provider."""

    @property
    def isolated(self) -> bool:
        """Whether this process can't reach the provider while others can."""

    @property
    def retry_after_s(self) -> float:
        """Seconds until a delivery has a chance; 0 when it has one now."""


class Consumer(Protocol):
    """What takes deliveries from the queues."""

    async def pause(self, *, timeout_s: float) -> None:
        """Takes no more."""

    async def start(self) -> None:
        """Takes them (again)."""


class Isolation:
    """Pauses the consumer while no provider can be reached from here and one can from elsewhere; lets it take some to find out."""

    def __init__(self, breakers: Sequence[Reachability], consumer: Consumer, *, grace_s: float) -> None:
        self._breakers = breakers
        self._consumer = consumer
        self._grace_s = grace_s
        self._paused = False
        self._looking = Periodic("worker-isolation", self.look, interval_s=_LOOK_S)

    @property
    def isolated(self) -> bool:
        """Whether others are better off with the deliveries: every way is closed, and one of them only here."""
        return any(breaker.isolated for breaker in self._breakers) and all(
            breaker.isolated or breaker.retry_after_s > 0 for breaker in self._breakers
        )

    def start(self) -> None:
        """Begins to look."""
        self._looking.start()

    async def close(self) -> None:
        """Stops looking; the consumer stays as it is."""
        await self._looking.close()

    async def look(self) -> None:
        """Pauses or starts the consumer where that is due."""
        wait_s = min(breaker.retry_after_s for breaker in self._breakers)
        if not self._paused and self.isolated and wait_s > 0:
            self._paused = True
            log.error("taking no deliveries: the provider can't be reached from here", extra={"seconds": round(wait_s)})
            await self._consumer.pause(timeout_s=self._grace_s)
        elif self._paused and (wait_s <= 0 or not self.isolated):
            self._paused = False
            log.info("taking deliveries again", extra={"probe": self.isolated})
            await self._consumer.start()
