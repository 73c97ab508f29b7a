"""Breakers that all replicas of a process share: what one learns about a target, all know within a second.

Each replica keeps a breaker of its own (`mesh/resilience/breaker.py`), which decides at once; its failures and changes go to Redis in the
background, and what Redis answers is taken over. A call that succeeds while no replica counts failures costs nothing; the next look
reports it. Half-open, Redis grants the one probe. Without Redis each replica's own breaker goes on alone.

A replica whose calls alone fail in a row can't say that the target is down: it may be the one that can't reach it. It takes itself out
(`isolated`) for the breaker's time and leaves the calls to others. Those succeed, or fail too and open the breaker for all. After that time
it probes for itself.

Breakers of gRPC targets are not shared: a replica's way to a service is its own.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis.exceptions import RedisError

from mesh.process import telemetry
from mesh.resilience.batching import Batcher
from mesh.resilience.breaker import Breaker, BreakerChange, BreakerOpen, BreakerState
from mesh.resilience.breaker_store import BreakerStore, Force, Operation, Snapshot
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

_ANY_EPOCH = -1
# Retry-After while another call probes
_PROBE_WAIT_S = 1.0


_ISOLATED = telemetry.meter().create_up_down_counter(
    "clarion.breaker.isolated", "1", "1 while this process alone fails to reach the breaker's target."
)


class Permit(NamedTuple):
    """The state under which a call began, here and in Redis."""

    local: int
    epoch: int


class SharedBreakers:
    """A process's breakers and their way to Redis. `start` before the first call; `close` when there are no more.

    `poll_s` bounds how long a replica may not know what others or an operator did. `lease_s` is how long a probe's replica may be silent
    before another one may probe.
    """

    def __init__(
        self,
        store: BreakerStore | None = None,
        *,
        failures: int = 5,
        open_s: float = 60.0,
        poll_s: float = 0.5,
        lease_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = failures
        self.open_s = open_s
        self.clock = clock
        self.replica = secrets.token_hex(8)
        self._store = store
        self._polling = Periodic("breakers", self.poll, interval_s=poll_s, at_once=False)
        self._lease_ms = round(lease_s * 1000)
        self._connected = False
        self._known: list[SharedBreaker] = []
        self._sent: set[asyncio.Task[Snapshot | None]] = set()
        # one at a time: answers arrive in the order of the reports
        self._batcher: Batcher[Operation, Snapshot] = Batcher(self._run, max_items=200, name="breakers")

    @property
    def connected(self) -> bool:
        """Whether what others know is known here."""
        return self._connected

    def breaker(self, name: str) -> "SharedBreaker":
        """A new one, shared with every process that has one of the same name."""
        breaker = SharedBreaker(name, self)
        self._known.append(breaker)
        return breaker

    async def start(self) -> None:
        """Learns the state of all breakers and keeps up with it."""
        if self._store is not None:
            await self.poll()
            self._polling.start()

    async def close(self) -> None:
        """Reports what is still to be reported, and ends."""
        await self._polling.close()
        for breaker in self._known:
            self.report(breaker, "leave", _ANY_EPOCH)
        while self._sent:
            await asyncio.wait(self._sent)
        await self._batcher.close()

    async def poll(self) -> None:
        """One look at all breakers."""
        operations = [breaker.question(self._lease_ms, returning=not self._connected) for breaker in self._known]
        await asyncio.gather(*(self._ask(breaker, operation) for breaker, operation in zip(self._known, operations, strict=True)))

    async def settled(self) -> None:
        """Returns when Redis has answered every report so far."""
        while self._sent:
            await asyncio.wait(self._sent)

    def report(self, breaker: "SharedBreaker", kind: str, epoch: int, *more: int) -> None:
        """Reports to Redis in the background."""
        if self._connected:
            task = asyncio.create_task(self._ask(breaker, (kind, breaker.name, epoch, self.replica, *more)))
            self._sent.add(task)
            task.add_done_callback(self._sent.discard)

    async def probe(self, breaker: "SharedBreaker") -> bool | None:
        """Whether this replica may probe; None when Redis can't be asked."""
        if not self._connected:
            return None
        snapshot = await self._ask(breaker, ("probe", breaker.name, _ANY_EPOCH, self.replica, self._lease_ms), decisive=True)
        return None if snapshot is None else snapshot.granted

    async def _ask(self, breaker: "SharedBreaker", operation: Operation, *, decisive: bool = False) -> Snapshot | None:
        breaker.pending += 1
        try:
            snapshot = await self._batcher.submit(operation)
        except (RedisError, OSError) as error:
            self._note(connected=False, cause=type(error).__name__)
            return None
        finally:
            breaker.pending -= 1
        self._note(connected=True)
        if decisive or breaker.pending == 0:  # else a newer answer is on its way
            breaker.learn(snapshot)
        return snapshot

    async def _run(self, operations: Sequence[Operation]) -> list[Snapshot]:
        assert self._store is not None, "nothing is asked without a store"
        return await self._store.run(operations)

    def _note(self, *, connected: bool, cause: str = "") -> None:
        if connected is self._connected:
            return
        self._connected = connected
        if connected:
            log.info("breakers are shared")
        else:
            log.warning("breakers are not shared any more: each replica counts for itself", extra={"cause": cause})


class SharedBreaker:
    """One breaker. `admit` hands out a permit; every call ends with one of `record_success`, `record_failure` and `release`."""

    def __init__(self, name: str, others: SharedBreakers) -> None:
        self.name = name
        self.pending = 0
        self._others = others
        self._local = Breaker(name, failures=others.failures, open_s=others.open_s, clock=others.clock, on_change=self._changed)
        self._epoch = _ANY_EPOCH
        self._permit = Permit(self._local.permit, _ANY_EPOCH)
        self._probe = _ANY_EPOCH
        self._held_closed = False
        self._closed_since: float | None = None
        self._answered = False
        self._own_failures = 0
        self._isolated = False
        self._isolated_until = 0.0
        self._own_probe = False

    @property
    def state(self) -> BreakerState:
        """The state as far as this replica knows it."""
        return self._local.state

    @property
    def failures(self) -> int:
        """Consecutive failures of all replicas, as far as this one knows."""
        return self._local.failures

    @property
    def retry_after_s(self) -> float:
        """Seconds until a call has a chance; 0 when it has one now."""
        if self._isolated:
            return _PROBE_WAIT_S if self._own_probe else max(0.0, self._isolated_until - self._others.clock())
        return self._local.retry_after_s

    @property
    def defer_s(self) -> float:
        """How long a call that is refused here should wait; 0 where another replica may take it, also while Redis has yet to say so."""
        return 0.0 if self._isolated or self.pending else self._local.retry_after_s

    @property
    def isolated(self) -> bool:
        """Whether this replica alone can't reach the target."""
        return self._isolated

    @property
    def recovered_s(self) -> float | None:
        """Seconds since it closed again; None when it never was open, or when an operator holds it closed."""
        return None if self._closed_since is None else self._others.clock() - self._closed_since

    @property
    def closed_permit(self) -> Permit | None:
        """The permit for one call while it is closed, for those who can't wait; `admit` gives the same."""
        return self._permit if self._local.state is BreakerState.CLOSED and not self._isolated else None

    async def admit(self) -> Permit:
        """Allows one call, or raises BreakerOpen. Half-open, one call of all replicas is let through."""
        if self._local.state is BreakerState.CLOSED and not self._isolated:
            return self._permit
        wait_s = self.retry_after_s
        if wait_s > 0:
            raise BreakerOpen(self.name, wait_s)
        if self._isolated:
            self._own_probe = True
            return self._permit
        granted = await self._others.probe(self)
        if granted is None:
            self._local.check()
            self._renew()
        elif not granted:
            raise BreakerOpen(self.name, self._local.retry_after_s or _PROBE_WAIT_S)
        elif self._local.state is BreakerState.HALF_OPEN:
            self._probe = self._epoch
        return self._permit

    def record_success(self, permit: Permit) -> None:
        """The provider answered, be it with a refusal of the one message."""
        self._answered = True
        if self._own_failures and permit.local == self._local.permit:
            self._own_failures = 0
            self._set_isolated(False)
        if self._local.state is BreakerState.CLOSED and self._local.failures == 0:
            return
        if permit.local == self._local.permit:
            self._local.record_success(permit.local)
            self._others.report(self, "good", permit.epoch)

    def record_failure(self, permit: Permit) -> None:
        """The provider failed: unreachable, silent, or broken inside."""
        if self._held_closed or permit.local != self._local.permit:
            return
        self._own_failures += 1
        if self._isolated:
            self._set_isolated(True)
        else:
            self._local.record_failure(permit.local)
        self._others.report(self, "bad", permit.epoch, 1, self._others.failures, round(self._others.open_s * 1000))

    def release(self, permit: Permit) -> None:
        """The call ended without an answer about the provider."""
        self._own_probe = False
        self._local.release_probe(permit.local)
        if self._probe != _ANY_EPOCH and permit.epoch == self._probe:
            self._probe = _ANY_EPOCH
            self._others.report(self, "release", permit.epoch)

    def question(self, lease_ms: int, *, returning: bool) -> Operation:
        """What to ask Redis now and then. After a time without it (`returning`), what happened here is reported too."""
        if returning and self._local.failures > 0 and not self._held_closed:
            open_ms = round((self._local.retry_after_s or self._others.open_s) * 1000)
            return ("bad", self.name, _ANY_EPOCH, self._others.replica, self._local.failures, self._others.failures, open_ms)
        answered, self._answered = self._answered, False
        return ("look", self.name, self._probe, self._others.replica, lease_ms, int(answered))

    def learn(self, snapshot: Snapshot) -> None:
        """Takes over what Redis says."""
        wait_s = self._others.open_s if snapshot.wait_s is None else snapshot.wait_s
        renewed = self._epoch not in {_ANY_EPOCH, snapshot.epoch}
        self._epoch = snapshot.epoch
        self._held_closed = snapshot.forced is not None and snapshot.forced.force is Force.CLOSED
        if snapshot.epoch != self._probe:
            self._probe = _ANY_EPOCH
        self._local.adopt(snapshot.state, failures=snapshot.failures, wait_s=wait_s, renewed=renewed)
        if snapshot.state is not BreakerState.CLOSED or self._held_closed:
            self._own_failures = 0
            self._set_isolated(False)
        elif snapshot.alone and not self._isolated:
            self._set_isolated(True)
        if snapshot.state is BreakerState.CLOSED:
            age_s = None if snapshot.age_s is None or self._held_closed else snapshot.age_s
            self._closed_since = None if age_s is None else self._others.clock() - age_s
        self._renew()

    def _set_isolated(self, isolated: bool) -> None:
        """Also when it is already, after a probe that failed."""
        self._own_probe = False
        if isolated:
            self._isolated_until = self._others.clock() + self._others.open_s
        if isolated is self._isolated:
            return
        self._isolated = isolated
        _ISOLATED.add(1 if isolated else -1, {"breaker": self.name})
        known = {"breaker": self.name, "failures": self._own_failures}
        if isolated:
            log.error("this process alone fails to reach the provider: it takes itself out", extra=known)
        else:
            log.info("this process reaches the provider again", extra=known)
            self._closed_since = self._others.clock()

    def _changed(self, change: BreakerChange) -> None:
        if change.after is BreakerState.CLOSED:
            self._closed_since = self._others.clock()
        self._renew()

    def _renew(self) -> None:
        self._permit = Permit(self._local.permit, self._epoch)
