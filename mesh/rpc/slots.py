"""Places for what may be in hand at the same time, in all and for each key: a caller, a connection, an address.

grpc.aio's own `maximum_concurrent_rpcs` is not used: each call that it refuses frees a place that the call never had (grpc/grpc#41531), so
that a limit of 10 was seen to admit 220; and it refuses health checks like any other call.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh.errors import ResourceExhausted


class Slots:
    """`what` names what is limited, in the plural: it is part of the error that a caller gets."""

    def __init__(self, what: str, *, total: int, per_key: int | None = None, key: str = "caller") -> None:
        self._what = what
        self._total = total
        self._per_key = total if per_key is None else per_key
        self._key = key
        self._held: dict[str, int] = {}
        self.taken = 0

    def take(self, key: str = "") -> None:
        """Takes a place. Raises ResourceExhausted, taking none, when all places or all of this key are taken."""
        if self.taken >= self._total:
            raise self._exhausted(f"the server has {self._total} {self._what} in hand, the most that it takes")
        if self._held.get(key, 0) >= self._per_key:
            raise self._exhausted(f"this {self._key} has {self._per_key} {self._what} in hand, the most that one may have")
        self.taken += 1
        self._held[key] = self._held.get(key, 0) + 1

    def give_back(self, key: str = "") -> None:
        """Gives back a place that `take` took."""
        self.taken -= 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]

    @contextmanager
    def hold(self, key: str = "") -> Iterator[None]:
        """A place for the length of the block. Raises ResourceExhausted."""
        self.take(key)
        try:
            yield
        finally:
            self.give_back(key)

    def _exhausted(self, message: str) -> ResourceExhausted:
        return ResourceExhausted(
            f"{message}; try again", reason=f"TOO_MANY_{self._what.upper().replace(' ', '_')}", retry_after_s=1, quota=self._what
        )
