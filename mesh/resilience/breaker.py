"""A circuit breaker: closed, open, half-open with exactly one probe. One per outgoing target."""

import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from opentelemetry.metrics import CallbackOptions, Observation

from mesh.errors import Unavailable
from mesh.process import telemetry

log = logging.getLogger(__name__)

# The newest of each name in this process, for the gauge; the metrics endpoint reads it from a thread of its own.
_KNOWN: "dict[str, weakref.ref[Breaker]]" = {}

# Retry-After while a probe is under way: it is unknown how long it takes, and its answer frees or forbids everything.
_PROBE_WAIT_S = 1.0


class BreakerState(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """One change of state, as handed to `on_change`."""

    name: str
    before: BreakerState
    after: BreakerState
    failures: int
    """Consecutive failures so far."""


_LEVEL = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class BreakerOpen(Unavailable):
    """The call was not made, since the target has failed too often just now."""

    reason = "BREAKER_OPEN"

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(f"{name} is unavailable: calls are held back after repeated failures", retry_after_s=retry_after_s)


def _observe(options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG001  OpenTelemetry's signature
    known = [(name, breaker()) for name, breaker in tuple(_KNOWN.items())]
    return [Observation(_LEVEL[breaker.state], {"breaker": name}) for name, breaker in known if breaker is not None]


_meter = telemetry.meter()
_meter.create_observable_gauge("clarion.breaker.state", [_observe], "1", "Where each breaker is: 0 closed, 1 half-open, 2 open.")
_CHANGES = _meter.create_counter("clarion.breaker.changes", "1", "Changes of a breaker's state.")


class Breaker:
    """Rejects calls at once while its target is failing. Belongs to one event loop; holds no locks.

    `check` hands out a permit. An outcome that is recorded with the permit of an earlier state is ignored: a straggler that started
    before the breaker opened neither closes it nor opens it again.

    It opens for `open_s`. With `first_open_s` it opens for that long at first, and for twice as long each time that it opens again before
    a call under the closed breaker has succeeded, up to `open_s`.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        open_s: float = 60.0,
        first_open_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerChange], None] | None = None,
    ) -> None:
        self.name = name
        self._threshold = failures
        self._open_s = open_s
        self._first_open_s = open_s if first_open_s is None else min(first_open_s, open_s)
        self._clock = clock
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._open_until = 0.0
        self._openings = 0
        self._probing = False
        self._permit = 0
        _KNOWN[name] = weakref.ref(self)

    @property
    def failures(self) -> int:
        """Consecutive failures so far."""
        return self._failures

    @property
    def permit(self) -> int:
        """The permit of the present state."""
        return self._permit

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker becomes half-open when the first call after its time asks."""
        return self._state

    @property
    def retry_after_s(self) -> float:
        """Seconds until a call has a chance; 0 when it has one now."""
        if self._state is BreakerState.OPEN:
            return max(0.0, self._open_until - self._clock())
        return _PROBE_WAIT_S if self._probing else 0.0

    def check(self) -> int:
        """Allows one call and returns its permit, or raises BreakerOpen. Half-open, the one allowed call is the probe."""
        if self._state is BreakerState.CLOSED:
            return self._permit
        wait_s = self.retry_after_s
        if wait_s > 0:
            raise BreakerOpen(self.name, wait_s)
        if self._state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN)
        self._probing = True
        return self._permit

    def begin_probe(self) -> int | None:
        """The permit of a probe before its time, for one who has reason to think that the target is back; None unless it is open."""
        if self._state is BreakerState.CLOSED or self._probing:
            return None
        if self._state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN)
        self._probing = True
        return self._permit

    def record_success(self, permit: int | None = None) -> None:
        """The target answered, be it with a refusal that is the caller's own fault."""
        if self._stale(permit) or self._state is BreakerState.OPEN:
            return
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._change(BreakerState.CLOSED)
        else:
            self._openings = 0

    def record_failure(self, permit: int | None = None) -> None:
        """The target failed: unreachable, too slow, or broken inside."""
        if self._stale(permit) or self._state is BreakerState.OPEN:
            return
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self._threshold:
            self._open_until = self._clock() + min(self._open_s, self._first_open_s * 2.0 ** min(self._openings, 20))
            self._openings += 1
            self._change(BreakerState.OPEN)

    def release_probe(self, permit: int | None = None) -> None:
        """The call ended without an answer about the target, by cancellation say: the next caller may probe."""
        if not self._stale(permit):
            self._probing = False

    def adopt(self, state: BreakerState, *, failures: int, wait_s: float, renewed: bool = False) -> None:
        """Takes over what other replicas know better. `wait_s` is how long no call may be made; half-open it means that another replica
        probes.

        `renewed` means that the state was left and entered again meanwhile: permits of before are stale.
        """
        self._failures = failures
        if state is BreakerState.OPEN:
            self._open_until = self._clock() + wait_s
        if state is not self._state:
            self._change(state)
        elif renewed:
            self._permit += 1
        self._probing = state is BreakerState.HALF_OPEN and wait_s > 0

    @asynccontextmanager
    async def guard(self, *, is_failure: Callable[[Exception], bool] | None = None) -> AsyncIterator[None]:
        """Surrounds one call. An error that `is_failure` denies counts as an answer, cancellation counts as nothing."""
        permit = self.check()
        try:
            yield
        except Exception as error:
            if is_failure is None or is_failure(error):
                self.record_failure(permit)
            else:
                self.record_success(permit)
            raise
        except BaseException:
            self.release_probe(permit)
            raise
        self.record_success(permit)

    def _stale(self, permit: int | None) -> bool:
        return permit is not None and permit != self._permit

    def _change(self, after: BreakerState) -> None:
        change = BreakerChange(self.name, self._state, after, self._failures)
        self._state = after
        self._probing = False
        self._permit += 1
        level = logging.WARNING if after is BreakerState.OPEN else logging.INFO
        known = {"breaker": self.name, "before": change.before, "after": after, "failures": change.failures}
        log.log(level, "breaker changed", extra=known)
        _CHANGES.add(1, {"breaker": self.name, "state": after.value})
        if self._on_change is not None:
            self._on_change(change)
