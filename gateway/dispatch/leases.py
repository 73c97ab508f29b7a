"""The leases of rows that are being published: renewed for as long as a publish may still be confirmed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from mesh.resilience.periodic import Periodic

_STALLED_S = 1.0


class Rows(Protocol):
    """The rows that wait for the bus."""

    async def renew(self, identifiers: Sequence[UUID], *, lease_s: float) -> None:
        """Keeps rows that are not marked as queued for `lease_s` seconds from now."""


class Leases:
    """Knows what is on its way to the broker. A publish that is confirmed at once, as nearly all are, costs no renewal."""

    def __init__(self, rows: Rows, *, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows = rows
        self._lease_s = lease_s
        self._clock = clock
        self._held: dict[int, tuple[float, Sequence[UUID]]] = {}
        self._numbers = 0
        self._periodic = Periodic("relay-leases", self.renew, interval_s=lease_s / 4)

    @property
    def stalled(self) -> bool:
        """Whether a publish has been on its way for so long that no more rows should be taken for this broker connection."""
        return any(self._clock() - since > _STALLED_S for since, _ in self._held.values())

    def start(self) -> None:
        """Begins to renew."""
        self._periodic.start()

    async def close(self) -> None:
        """Ends it."""
        await self._periodic.close()

    @contextmanager
    def held(self, identifiers: Sequence[UUID]) -> Iterator[None]:
        """Renews the rows' leases for as long as the block lasts."""
        self._numbers += 1
        number = self._numbers
        self._held[number] = (self._clock(), identifiers)
        try:
            yield
        finally:
            del self._held[number]

    async def renew(self) -> None:
        """Renews those that have been on their way for a quarter of a lease. Raises ServiceError when the database does not answer."""
        latest = self._clock() - self._lease_s / 4
        late = [identifier for since, identifiers in self._held.values() if since <= latest for identifier in identifiers]
        if late:
            await self._rows.renew(late, lease_s=self._lease_s)
