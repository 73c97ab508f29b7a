"""What is counted, and what is made of the counts."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from gateway.notifications.models import Channel, Fact, Status

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# The upper bounds in seconds of the ranges in which latencies are counted; beyond the last there is one more.
BOUNDS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
TARGET_S, OBJECTIVE = 2.0, 0.99
NO_BUCKET = -1

_NAMES: Mapping[int, str] = {
    Status.PENDING: "accepted",
    Status.SENT: "sent",
    Status.FAILED: "failed",
    Status.SKIPPED: "skipped",
    Status.EXPIRED: "expired",
    Status.CANCELLED: "cancelled",
}
_FACTS: Mapping[int, str] = {
    Fact.DELIVERED: "delivered",
    Fact.HARD_BOUNCED: "bounced",
    Fact.SOFT_BOUNCED: "bounced",
    Fact.COMPLAINED: "complained",
    Fact.OPENED: "opened",
}


class Count(NamedTuple):
    """How often something happened. `bucket` is the place of a latency in BOUNDS_S, NO_BUCKET for what has none."""

    status: int
    fact: int
    bucket: int
    number: int

    @property
    def name(self) -> str | None:
        """What it counts as; None for what is not shown."""
        return _FACTS.get(self.fact) if self.fact else _NAMES.get(self.status)


class TimedCount(NamedTuple):
    """A count at a point of a span; `point` is its number."""

    point: int
    counted: Count


class TemplateCount(NamedTuple):
    """A count of one template."""

    template: str
    channel: Channel
    counted: Count


class VersionCount(NamedTuple):
    """A count of one version of a template."""

    version: int
    counted: Count


class Span(NamedTuple):
    """A span of time in steps. `end` is the first moment that does not belong to it."""

    start: datetime
    end: datetime
    step: timedelta

    @property
    def points(self) -> int:
        """How many steps there are."""
        return -((self.start - self.end) // self.step)


class ActivityFilters(NamedTuple):
    """Whose notifications are counted; None means all."""

    project: str
    test: bool
    channel: Channel | None = None
    template: str | None = None


class Latency(NamedTuple):
    """Quantiles in seconds, and the share that took no longer than TARGET_S."""

    p50: float
    p95: float
    p99: float
    within_target: float
    measured: int


class Tally(NamedTuple):
    """Numbers by name, such as {"sent": 3}, and how long sending took."""

    counts: Mapping[str, int]
    latency: Latency | None


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened in a span. `points` has one tally for each of its steps, `versions` one for each version of a single template."""

    span: Span
    total: Tally
    points: Sequence[Tally]
    templates: Sequence[tuple[str, Channel, Mapping[str, int]]]
    versions: Sequence[tuple[int, Tally]] = ()


class Severity(IntEnum):
    """How soon someone should look."""

    NOTICE = 1
    URGENT = 2


class Problem(NamedTuple):
    """Something that keeps notifications from being sent, and what to do about it."""

    reason: str
    severity: Severity
    description: str
    next_step: str


class FailedPlan(NamedTuple):
    """A scheduled publication that could not be carried out, and why, with the way out."""

    template: str
    version: int
    publish_at: datetime
    description: str


class Waiting(NamedTuple):
    """What is due and not on the bus, and since when in seconds; what waits for review, by cause, the most frequent first.

    `queued` have been with the workers for more than a minute, the first one for `queued_s`; `reasons` are the workers' words about them.
    """

    due: int
    oldest_s: float
    letters: Sequence[tuple[str, int]]
    queued: int = 0
    queued_s: float = 0.0
    reasons: Sequence[str] = ()


def tally(counts: Iterable[Count]) -> Tally:
    """The numbers by name."""
    numbers: Counter[str] = Counter()
    buckets: Counter[int] = Counter()
    for count in counts:
        if count.name is not None:
            numbers[count.name] += count.number
        if count.bucket != NO_BUCKET:
            buckets[count.bucket] += count.number
    return Tally(numbers, latency_of(buckets))


def latency_of(buckets: Mapping[int, int]) -> Latency | None:
    """Quantiles out of numbers by bucket: the upper bound of the range that each falls into. None where nothing was measured."""
    total = sum(buckets.values())
    if not total:
        return None
    target = bisect_left(BOUNDS_S, TARGET_S)
    within = sum(number for bucket, number in buckets.items() if bucket <= target)
    p50, p95, p99 = (_quantile(buckets, total, share) for share in (0.5, 0.95, 0.99))
    return Latency(p50, p95, p99, within / total, total)


def _quantile(buckets: Mapping[int, int], total: int, share: float) -> float:
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= share * total:
            return float(BOUNDS_S[min(bucket, len(BOUNDS_S) - 1)])
    return float(BOUNDS_S[-1])
