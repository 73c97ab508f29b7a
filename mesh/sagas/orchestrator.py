"""The orchestrator of sagas: runs their steps, each transition committed before the next step begins.

Any replica may run any saga. One that is at work holds it by a lease (`due_at` in the row); after a crash the lease runs out and another
goes on where the last commit stood. A step may therefore run again, and is idempotent. Should two processes ever be at the same saga,
because one of them was frozen for longer than its lease, the version lets only one of them write.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from mesh import context
from mesh.context import CallContext
from mesh.errors import Code, Internal, ServiceError, Unavailable
from mesh.ids import new_uuid
from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic
from mesh.sagas.state import Definition, Failure, Fault, RetryPolicy, Saga, SagaState

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 8
_AWAY = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.CANCELLED})
# an answer that will be the same next time; what a defect or a bad deployment may cause (INTERNAL, UNAUTHENTICATED ...) is not among them
_REFUSED = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
    }
)


class StepUnknown(Internal):
    """The saga has a step that this release does not know, and must not skip."""

    reason = "STEP_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("the saga has a step that this release does not know")


class StepGoesOn(Unavailable):
    """A try has done a part of its step, and the next one goes on; how long that takes in all is no reason for longer pauses."""

    reason = "STEP_GOES_ON"


class SagaStore(Protocol):
    """Where sagas are kept. Every method commits before it answers."""

    async def open(self, saga: Saga) -> Saga:
        """Stores a new saga; the one of its kind and key that is open already, where there is one."""

    async def find(self, identifier: UUID) -> Saga | None: ...

    async def save(self, saga: Saga) -> bool:
        """Replaces the version before this one. False when that is not there any more: another replica has moved the saga."""

    async def claim(self, kinds: Collection[str], *, now: datetime, until: datetime, most: int) -> Sequence[Saga]:
        """Takes up to `most` active sagas of the kinds that are due, oldest first, and makes them due again at `until`.

        Those that another process is claiming at the same moment are left out.
        """


class Orchestrator:
    """Opens and runs sagas. `begin` takes up what is due, from now on; `close` stops at the next step.

    `lease_s` bounds how long a crash holds a saga up; a step gets half of it.
    """

    def __init__(
        self,
        definitions: Iterable[Definition],
        store: SagaStore,
        *,
        lease_s: float = 30.0,
        poll_s: float = 1.0,
        policy: RetryPolicy | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._definitions = {definition.kind: definition for definition in definitions}
        self._store = store
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._policy = policy or RetryPolicy()
        self._now = now
        self._sleep = sleep
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._polling = Periodic("sagas", self.run_due, interval_s=poll_s)
        self._closing = False
        self._settled = meter().create_counter("clarion.saga.settled", description="Sagas that ended or were suspended, by kind and state.")
        self._failures = meter().create_counter("clarion.saga.failures", description="Failed tries of steps, by kind, step and reason.")

    def begin(self) -> None:
        """Takes up what is due, here and now and from now on."""
        self._polling.start()

    async def start(self, kind: str, key: str, data: Mapping[str, Any], *, delay_s: float = 0.0) -> Saga:
        """Opens a saga and runs it in the background, or after `delay_s`; the open one of this kind and key, where there is one."""
        now = self._now()
        served = context.current_or_none()
        saga = Saga(
            id=new_uuid(),
            kind=kind,
            key=key,
            steps=self._definitions[kind].records(),
            data=data,
            correlation_id=served.correlation_id if served is not None else "",
            create_time=now,
            update_time=now,
            due_at=now + timedelta(seconds=delay_s or self._lease_s),
        )
        stored = await self._store.open(saga)
        if stored.id == saga.id and not delay_s:
            self._spawn(stored)
        return stored

    async def resume(self, saga: Saga) -> Saga:
        """Lets a suspended saga go on; as it is now, which is unchanged when it was not suspended."""
        if saga.state is SagaState.SUSPENDED:
            resumed = saga.resumed(self._now(), lease_s=self._lease_s)
            if await self._store.save(resumed):
                self._spawn(resumed)
                return resumed
        return await self._store.find(saga.id) or saga

    async def wait(self, identifier: UUID, *, timeout_s: float) -> Saga | None:
        """The saga once it is over or suspended, or as it is when the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (found := await self._store.find(identifier)) is not None and found.is_active:
                    task = self._running.get(identifier)
                    if task is not None:
                        await asyncio.wait({task})
                    else:
                        await self._sleep(min(self._poll_s, 0.2))
                return found
        return await self._store.find(identifier)

    async def run_due(self) -> int:
        """Takes up what is due, in the background; how many sagas that were."""
        now, room = self._now(), _MOST_AT_ONCE - len(self._running)
        if room <= 0:
            return 0
        until = now + timedelta(seconds=self._lease_s)
        claimed = await self._store.claim(self._definitions.keys(), now=now, until=until, most=room)
        for saga in claimed:
            self._spawn(saga)
        return len(claimed)

    async def idle(self) -> None:
        """Waits until nothing runs here."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def close(self) -> None:
        """Finishes the steps in hand; other replicas go on from there."""
        self._closing = True
        await self._polling.close()
        await self.idle()

    async def run(self, saga: Saga) -> Saga:
        """Runs a saga that is leased to this process until it is settled, has to wait, or is another replica's. As it is then."""
        context.enter(CallContext(method=f"saga/{saga.kind}", correlation_id=saga.correlation_id))
        while saga.is_active:
            if self._closing:
                await self._store.save(saga.released(self._now()))
                return saga
            after = await self._advance(saga)
            if not await self._store.save(after):
                log.info("another process has moved the saga", extra=_identity(saga))
                return saga
            self._note(saga, after)
            if after.attempts:
                return after
            saga = after
        return saga

    async def _advance(self, saga: Saga) -> Saga:
        """The saga after its next step, forward or back."""
        definition, started = self._definitions[saga.kind], self._now()
        step = definition.step(saga.step.name)
        back = saga.state is SagaState.COMPENSATING
        try:
            if step is None:
                raise StepUnknown
            action = step.compensation if back else step.action
            found: Mapping[str, Any] | None = None
            if action is not None:
                async with asyncio.timeout(self._lease_s / 2):
                    found = await action(saga)
        except Exception as error:  # noqa: BLE001  it is the answer to this row's sender
            failure = failure_of(error)
            self._report(saga, failure, error)
            past_pivot = definition.is_past_pivot(saga)
            return saga.failed(failure, started, self._now(), lease_s=self._lease_s, policy=self._policy, past_pivot=past_pivot)
        if back:
            return saga.undone(started, self._now(), lease_s=self._lease_s, compensated=action is not None)
        return saga.done(started, self._now(), lease_s=self._lease_s, found=found)

    def _spawn(self, saga: Saga) -> None:
        if saga.id in self._running or self._closing:
            return  # it outlived its lease here and will notice, or another replica takes it
        task = asyncio.create_task(self._run_safely(saga), name=f"saga-{saga.kind}")
        self._running[saga.id] = task
        task.add_done_callback(lambda _: self._running.pop(saga.id, None))

    async def _run_safely(self, saga: Saga) -> None:
        try:
            await self.run(saga)
        except ServiceError as error:
            log.warning("saga can't be recorded; it goes on when its lease is over", extra={**_identity(saga), "reason": error.reason})
        except Exception:
            log.exception("saga stopped unexpectedly; it goes on when its lease is over", extra=_identity(saga))

    def _report(self, saga: Saga, failure: Failure, error: Exception) -> None:
        self._failures.add(1, {"kind": saga.kind, "step": saga.step.name, "reason": failure.reason})
        fields = {**_identity(saga), "step": saga.step.name, "reason": failure.reason}
        if isinstance(error, ServiceError | TimeoutError):
            log.info("a saga's step failed", extra=fields)
        else:
            log.error("a saga's step failed unexpectedly", exc_info=error, extra=fields)

    def _note(self, before: Saga, after: Saga) -> None:
        if after.is_active:
            if after.state is not before.state:
                log.warning("saga compensates", extra={**_identity(after), "reason": after.reason})
            return
        self._settled.add(1, {"kind": after.kind, "state": after.state.name.lower()})
        if after.state is SagaState.SUSPENDED:
            log.error("saga is suspended and needs a person", extra={**_identity(after), "step": after.step.name, "reason": after.reason})


def failure_of(error: Exception) -> Failure:
    """What a failed try means, without the error's text, which may hold anything."""
    if isinstance(error, TimeoutError):
        return Failure(Fault.AWAY, "STEP_TIMEOUT")
    if not isinstance(error, ServiceError):
        return Failure(Fault.BROKEN, "INTERNAL")
    fault = Fault.AWAY if error.code in _AWAY else Fault.REFUSED if error.code in _REFUSED else Fault.BROKEN
    return Failure(fault, error.reason, error.retry_after_s, progressed=isinstance(error, StepGoesOn))


def _identity(saga: Saga) -> dict[str, object]:
    return {"saga_id": str(saga.id), "kind": saga.kind, "correlation_id": saga.correlation_id}
