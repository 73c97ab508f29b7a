"""The time that the processes share, and how far this machine's clock is from it.

Every process asks the same server for its time (Redis's, or PostgreSQL's where it has no Redis) and counts on from the answer with its
monotonic clock (Cristian, Probabilistic clock synchronization, 1989). So machines whose clocks are minutes apart agree on what has expired
within the time that such a question takes. Until the server has answered, the machine's own clock has to do.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from opentelemetry.metrics import CallbackOptions, Observation

from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

# Beyond it service tokens, which are good for some minutes and checked with a few seconds of leeway, are close to being refused.
MOST_SKEW_S = 30.0

_INTERVAL_S = 15.0
_LONGEST_ANSWER_S = 1.0  # an answer that took longer says too little: half of its time is the error
# Relative to the one in use: the shorter answer is the better one, but no measurement serves for ever, since quartz drifts too.
_BETTER_FOR_S = 300.0


class SharedClock:
    """The time by the clock of a server that all processes ask. `ask` answers that server's Unix time in seconds.

    `wall` is this machine's Unix time, `monotonic` what is counted with in between. `start` begins to ask, `close` ends it.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[float]],
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._ask = ask
        self._wall = wall
        self._monotonic = monotonic
        self._asking = Periodic("clock", self.measure, interval_s=interval_s, retry_s=min(interval_s, 1.0))
        self._offset_s: float | None = None  # shared time less monotonic time
        self._error_s, self._measured_at = 0.0, 0.0
        self._skewed = False
        meter().create_observable_gauge(
            "clarion.clock.skew",
            [self._observe],
            "s",
            "How far this machine's clock is ahead of Redis's or PostgreSQL's; negative: behind.",
        )

    def start(self) -> None:
        """Begins to ask, at once."""
        self._asking.start()

    async def close(self) -> None:
        """Ends it. The clock goes on by what was measured last."""
        await self._asking.close()

    def now_s(self) -> float:
        """The shared Unix time in seconds."""
        return self._wall() if self._offset_s is None else self._monotonic() + self._offset_s

    def now(self) -> datetime:
        """The shared time."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    def skew_s(self) -> float | None:
        """How far this machine's clock is ahead of the shared time; None while that is not known."""
        return None if self._offset_s is None else self._wall() - self.now_s()

    async def measure(self) -> None:
        """Asks once. Whatever `ask` raises is passed on, and leaves things as they are."""
        began = self._monotonic()
        said = await self._ask()
        ended = self._monotonic()
        error_s = (ended - began) / 2
        stale = self._offset_s is None or ended - self._measured_at > _BETTER_FOR_S
        if error_s > _LONGEST_ANSWER_S / 2 and not stale:
            return
        offset_s = said - (began + ended) / 2
        own_s = self._wall() - ended
        if abs(own_s - offset_s) <= error_s:
            # Nothing shows that this machine's clock is wrong: machines in step agree to the microsecond, whatever the answers took.
            offset_s = own_s
        # a server that was replaced by another one, or a machine that slept, is no measuring error
        moved = self._offset_s is None or abs(offset_s - self._offset_s) > error_s + self._error_s
        if stale or moved or error_s <= self._error_s:
            self._offset_s, self._error_s, self._measured_at = offset_s, error_s, ended
        self._note()

    def _note(self) -> None:
        skew_s = self.skew_s() or 0.0
        skewed = abs(skew_s) > MOST_SKEW_S
        if skewed and not self._skewed:
            log.warning("this machine's clock is wrong: service tokens may be refused", extra={"skew_s": round(skew_s, 1)})
        elif self._skewed and not skewed:
            log.info("this machine's clock is right again", extra={"skew_s": round(skew_s, 1)})
        self._skewed = skewed

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        skew_s = self.skew_s()
        return [] if skew_s is None or not self._asking.running else [Observation(skew_s)]
