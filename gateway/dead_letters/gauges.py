"""How many dead letters wait for a decision, and since when, as metrics."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Observation

from gateway.dead_letters.models import Cause
from gateway.notifications.models import Channel
from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic

Labels = tuple[Channel, Cause]


class OpenLetters(Protocol):
    """Counts."""

    async def count_open(self) -> Sequence[tuple[Channel, Cause, int, datetime]]:
        """How many wait for a decision, by channel and cause, and since when the oldest does."""


class DeadLetterGauges:
    """Counts every `interval_s`. Each replica reports the same figures: take their maximum, not their sum.

    What has been counted once stays as 0, so that an alarm ends.
    """

    def __init__(
        self, letters: OpenLetters, *, interval_s: float = 15.0, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._letters = letters
        self._counting = Periodic("dead-letter-gauges", self.refresh, interval_s=interval_s)
        self._clock = clock
        self._open: dict[Labels, tuple[int, datetime | None]] = {}
        meter().create_observable_gauge(
            "clarion.dead_letters.open", [self._count], description="Dead letters that wait for a decision, by channel and cause."
        )
        meter().create_observable_gauge(
            "clarion.dead_letters.oldest_age", [self._age], "s", "Age of the oldest dead letter that waits for a decision."
        )

    def start(self) -> None:
        """Begins to count."""
        self._counting.start()

    async def close(self) -> None:
        """Ends it; the figures are reported no longer."""
        await self._counting.close()
        self._open.clear()

    async def refresh(self) -> None:
        """Counts once."""
        found = {(channel, cause): (letters, oldest) for channel, cause, letters, oldest in await self._letters.count_open()}
        self._open = {**dict.fromkeys(self._open, (0, None)), **found}

    def readings(self) -> dict[Labels, tuple[int, float]]:
        """Count and age in seconds of the oldest, by channel and cause."""
        now = self._clock()
        return {
            labels: (letters, max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0)
            for labels, (letters, oldest) in self._open.items()
        }

    def _count(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(letters, _attributes(labels)) for labels, (letters, _) in self.readings().items()]

    def _age(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(age_s, _attributes(labels)) for labels, (_, age_s) in self.readings().items()]


def _attributes(labels: Labels) -> dict[str, str]:
    channel, cause = labels
    return {"channel": channel.key, "cause": cause.name.lower()}
