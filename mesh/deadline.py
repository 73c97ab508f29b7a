"""Time left: one value that shrinks at each hop (grpc.io deadlines guide)."""

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock, in seconds, after which the result is not waited for any more."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """A deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Seconds left; 0 once it has passed."""
        return max(0.0, self.at_s - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self.at_s

    def child(self, seconds: float) -> Self:
        """The earlier of this deadline and `seconds` from now."""
        return type(self)(min(self.at_s, time.monotonic() + seconds))
