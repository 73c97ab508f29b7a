"""Admission as data: what is asked and answered, rate limits, and the limiter of this process, which stands in while Redis is away.

Both places run GCRA (the leaky bucket as a meter): per key one number, the theoretical arrival time of the next request.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

_PRUNE_ABOVE = 50_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` requests in `window_s`, of which all may come at once after a quiet window."""

    name: str
    limit: int
    window_s: int

    @property
    def interval_us(self) -> int:
        """Microseconds that one request takes out of the window."""
        return max(1, self.window_s * 1_000_000 // self.limit)

    @property
    def burst_us(self) -> int:
        """Microseconds that may be used ahead of time: the window."""
        return self.interval_us * self.limit

    @property
    def policy(self) -> str:
        """An item of the RateLimit-Policy header."""
        return f'"{self.name}";q={self.limit};w={self.window_s}'

    def report(self, remaining: int, ahead_us: int) -> str:
        """An item of the RateLimit header: what is left, and in how many seconds there is more; 0 when there can't be more.

        `ahead_us` is how far the limit is used ahead of time. With nothing left the seconds are those of Retry-After.
        """
        remaining = max(0, remaining)
        more_us = max(0, ahead_us + (remaining + 1) * self.interval_us - self.burst_us) if ahead_us > 0 else 0
        return f'"{self.name}";r={remaining};t={-(-more_us // 1_000_000)}'


class Claim(NamedTuple):
    """An idempotency key of a caller and method (`digest`), what was asked under it, and who is asking now."""

    digest: bytes
    fingerprint: bytes
    token: bytes

    @property
    def pending(self) -> str:
        """The value that Redis holds while the request runs."""
        return f"P{self.fingerprint.hex()}{self.token.hex()}"


class Ask(NamedTuple):
    """One request that wants to go on."""

    caller: str
    recipient: str
    claim: Claim | None = None


class Answer(IntEnum):
    """What admission says; the numbers are those of the script."""

    ADMITTED = 0
    REPLAY = 1
    IN_PROGRESS = 2
    MISMATCH = 3
    CALLER_LIMITED = 4
    RECIPIENT_LIMITED = 5


class AdmissionDecision(NamedTuple):
    """The answer; `response` for a replay, `retry_after_us` when limited, the rest is the state of the limit that decided."""

    answer: Answer
    response: bytes
    retry_after_us: int
    limit: RateLimit
    remaining: int
    reset_us: int


class LocalLimiter:
    """GCRA in memory. It knows only what this process has seen."""

    def __init__(self) -> None:
        self._arrivals: dict[str, int] = {}

    def take(self, wanted: list[tuple[str, RateLimit]], now_us: int) -> tuple[RateLimit, int] | None:
        """Takes one request out of every named limit, or out of none: then the limit that said no and the µs to wait."""
        found: list[tuple[str, int]] = []
        for key, limit in wanted:
            arrival = max(self._arrivals.get(key, 0), now_us) + limit.interval_us
            if arrival - now_us > limit.burst_us:
                return limit, arrival - now_us - limit.burst_us
            found.append((key, arrival))
        self._arrivals.update(found)
        if len(self._arrivals) > _PRUNE_ABOVE:
            self._arrivals = {key: arrival for key, arrival in self._arrivals.items() if arrival > now_us}
        return None

    def give_back(self, key: str, limit: RateLimit, *, whole: bool = False) -> None:
        """Returns one turn of a limit, or all that were taken of it."""
        if whole:
            self._arrivals.pop(key, None)
        elif key in self._arrivals:
            self._arrivals[key] -= limit.interval_us

    def left(self, key: str, limit: RateLimit, now_us: int) -> tuple[int, int]:
        """Requests left in the limit and the µs until it is full again."""
        ahead = max(0, self._arrivals.get(key, 0) - now_us)
        return (limit.burst_us - ahead) // limit.interval_us, ahead
