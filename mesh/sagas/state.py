"""What a saga is and how it moves: its definition, one instance, and the transitions between an instance and the next. No I/O.

Forward, step after step, until all are done; when a step is refused before the pivot is done, backward through the compensations. Past
the pivot there is only forward. A saga that can't move either way is suspended for a person.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID


class SagaState(IntEnum):
    """Where a saga is."""

    RUNNING = 1
    COMPENSATING = 2
    COMPLETED = 3
    COMPENSATED = 4
    SUSPENDED = 5


class StepState(IntEnum):
    """What became of a step. A step without compensation stays DONE or FAILED when the saga goes back past it."""

    PENDING = 1
    DONE = 2
    FAILED = 3
    COMPENSATED = 4


ACTIVE = frozenset({SagaState.RUNNING, SagaState.COMPENSATING})
OVER = frozenset({SagaState.COMPLETED, SagaState.COMPENSATED})


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one saga; the times are those of the try that succeeded or was refused."""

    name: str
    state: StepState = StepState.PENDING
    start_time: datetime | None = None
    end_time: datetime | None = None


class Fault(IntEnum):
    """What a failed try means: a part is away, which costs nothing but time; something is broken; or the step can never succeed."""

    AWAY = 1
    BROKEN = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed try; `reason` is UPPER_SNAKE and never the error's text. With `progressed` it has done a part of the step."""

    fault: Fault
    reason: str
    retry_after_s: float | None = None
    progressed: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits of `first_s`, twice as long each time, `most_s` at most; after `faults` tries that were no mere absence it is given up."""

    first_s: float = 1.0
    most_s: float = 60.0
    faults: int = 8

    def wait_s(self, attempts: int, retry_after_s: float | None) -> float:
        """Seconds until the next try, after so many failed ones. What was asked for is never undercut."""
        backoff_s = min(self.most_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        return max(backoff_s, retry_after_s or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saga:
    """One saga. `key` names what it is about: of one kind, one key has one open saga at most.

    `position` is the step to do, or while going back the step to undo. `attempts` are the failed tries of that step, `faults` those that
    count towards giving it up. `due_at` is when a process may take it: the next try, or the end of the lease of the one that is at it.
    """

    id: UUID
    kind: str
    key: str
    steps: tuple[StepRecord, ...]
    create_time: datetime
    update_time: datetime
    due_at: datetime
    state: SagaState = SagaState.RUNNING
    position: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    faults: int = 0
    reason: str = ""
    correlation_id: str = ""
    version: int = 0

    @property
    def is_active(self) -> bool:
        """Whether there is something to do by itself."""
        return self.state in ACTIVE

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more. A suspended saga is neither active nor over."""
        return self.state in OVER

    @property
    def step(self) -> StepRecord:
        """The step to do or to undo."""
        return self.steps[self.position]

    @property
    def goes_back(self) -> bool:
        """Whether it compensates, or did so until it was suspended."""
        return any(step.state in {StepState.FAILED, StepState.COMPENSATED} for step in self.steps)

    def done(self, started: datetime, now: datetime, *, lease_s: float, found: Mapping[str, Any] | None = None) -> "Saga":
        """After the step's action. `found` is remembered for the steps that follow."""
        position = self.position + 1
        return replace(
            self._moved(StepState.DONE, started, now, lease_s),
            state=SagaState.COMPLETED if position == len(self.steps) else SagaState.RUNNING,
            position=position,
            data={**self.data, **(found or {})},
            reason="",
        )

    def undone(self, started: datetime, now: datetime, *, lease_s: float, compensated: bool) -> "Saga":
        """After the step's compensation; `compensated` is False where there is none. The reason stays: it says why."""
        record = StepState.COMPENSATED if compensated else None
        return replace(
            self._moved(record, started, now, lease_s),
            state=SagaState.COMPENSATED if self.position == 0 else SagaState.COMPENSATING,
            position=max(0, self.position - 1),
        )

    def failed(
        self, failure: Failure, started: datetime, now: datetime, *, lease_s: float, policy: RetryPolicy, past_pivot: bool
    ) -> "Saga":
        """After a failed try: it waits, compensates, or is suspended."""
        faults = self.faults + (failure.fault is not Fault.AWAY)
        if self.state is SagaState.RUNNING and not past_pivot and (failure.fault is Fault.REFUSED or faults >= policy.faults):
            # the refused step is undone too: an earlier try may have had its effect before the answer was lost
            turned = self._moved(StepState.FAILED, started, now, lease_s)
            return replace(turned, state=SagaState.COMPENSATING, reason=failure.reason)
        # what gets on is waited for as if this were the first try
        attempts = 1 if failure.progressed else self.attempts + 1
        after = replace(self, attempts=attempts, faults=faults, reason=failure.reason, update_time=now, version=self.version + 1)
        if faults >= policy.faults:
            return replace(after, state=SagaState.SUSPENDED)
        return replace(after, due_at=now + timedelta(seconds=policy.wait_s(after.attempts, failure.retry_after_s)))

    def resumed(self, now: datetime, *, lease_s: float) -> "Saga":
        """A suspended one after a person has removed the cause: it goes on where it stood, with fresh tries."""
        state = SagaState.COMPENSATING if self.goes_back else SagaState.RUNNING
        due_at = now + timedelta(seconds=lease_s)
        return replace(self, state=state, attempts=0, faults=0, update_time=now, due_at=due_at, version=self.version + 1)

    def released(self, now: datetime) -> "Saga":
        """Given up by a process that stops: any other may take it at once."""
        return replace(self, due_at=now, version=self.version + 1)

    def _moved(self, record: StepState | None, started: datetime, now: datetime, lease_s: float) -> "Saga":
        steps = list(self.steps)
        if record is not None:
            steps[self.position] = StepRecord(self.step.name, record, started, now)
        due_at = now + timedelta(seconds=lease_s)
        return replace(self, steps=tuple(steps), attempts=0, faults=0, update_time=now, due_at=due_at, version=self.version + 1)


# May answer what later steps need to know. Is called again after a crash: its effect must be the same as that of one call.
Action = Callable[[Saga], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. Both callables are idempotent, and a compensation is harmless when its action never had an effect.

    Without an action there is nothing to do: it was done when the saga was opened.
    """

    name: str
    action: Action | None
    compensation: Action | None = None
    pivot: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """The steps of one kind of saga, in order. Once the pivot is done there is no way back, so nothing from there on is compensated."""

    kind: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for steps that can't make a saga."""
        names = [step.name for step in self.steps]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{self.kind}: a saga needs steps, and each a name of its own")
        pivots = [place for place, step in enumerate(self.steps) if step.pivot]
        if len(pivots) > 1:
            raise ValueError(f"{self.kind}: a saga has one pivot at most")
        if pivots and any(step.compensation is not None for step in self.steps[pivots[0] + 1 :]):
            raise ValueError(f"{self.kind}: a step after the pivot can't be compensated")

    def step(self, name: str) -> Step | None:
        """The step of the name; None when another release had one."""
        return next((step for step in self.steps if step.name == name), None)

    def is_past_pivot(self, saga: Saga) -> bool:
        """Whether the saga can only go forward."""
        pivot = next((step.name for step in self.steps if step.pivot), None)
        return any(record.name == pivot and record.state is StepState.DONE for record in saga.steps)

    def records(self) -> tuple[StepRecord, ...]:
        """The steps of a new saga."""
        return tuple(StepRecord(step.name) for step in self.steps)
