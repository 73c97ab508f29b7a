"""The rules of showing and forcing breakers."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gateway.breakers.errors import BreakerNotFound
from gateway.breakers.models import Breaker, Force, Wish
from mesh.context import Caller
from mesh.errors import InvalidArgument

log = logging.getLogger(__name__)

# Workers ask every half second; one that no worker has asked for in this time belongs to a provider that is no more.
_IN_USE = timedelta(minutes=10)
_LONGEST_S = 30 * 24 * 3600


class BreakerStore(Protocol):
    """Where the shared breakers are kept."""

    async def list_all(self) -> Sequence[Breaker]:
        """Every breaker that a worker has ever asked for, by name. Raises BreakersUnavailable."""

    async def find(self, name: str) -> Breaker | None:
        """One of them. Raises BreakersUnavailable."""

    async def force(self, name: str, wish: Wish) -> None:
        """Writes the wish down, where workers see it. Raises BreakersUnavailable."""


class Breakers:
    """The operators' hand on the breakers."""

    def __init__(self, store: BreakerStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now

    async def list_breakers(self) -> list[Breaker]:
        """Those in use, and those that an operator holds open or closed."""
        earliest = self._now() - _IN_USE
        return [
            breaker
            for breaker in await self._store.list_all()
            if breaker.force is not Force.AUTO or (breaker.seen_time is not None and breaker.seen_time >= earliest)
        ]

    async def force(self, caller: Caller, name: str, force: Force, *, duration_s: float | None, note: str) -> Breaker:
        """Holds a breaker open or closed, or gives it back to itself. Raises InvalidArgument or BreakerNotFound."""
        if duration_s is not None and force is Force.AUTO:
            raise InvalidArgument.of("duration", "must not be set with BREAKER_FORCE_AUTO")
        if duration_s is not None and not 0 < duration_s <= _LONGEST_S:
            raise InvalidArgument.of("duration", "must be longer than nothing and at most 30 days")
        before = await self._store.find(name)
        if before is None:
            raise BreakerNotFound
        by = caller.label
        await self._store.force(name, Wish(force, duration_s, by, note))
        known = {"breaker": name, "force": force.name.lower(), "before": before.state.name.lower(), "by": by, "duration_s": duration_s}
        log.warning("breaker forced", extra=known)
        after = await self._store.find(name)
        if after is None:
            raise BreakerNotFound
        return after
