"""A store of sagas in memory that can crash around any commit, and a world that remembers the effects of steps."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mesh.sagas.state import Action, Saga


class Crash(BaseException):
    """The process died. No handler for ordinary errors may see it."""


class Clock:
    """Moves only when told to; `sleep` is how long nothing happens."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class MemorySagas:
    """Implements SagaStore. `crash_points` are numbers of saves: even ones crash before the commit, odd ones after it."""

    def __init__(self, crash_points: Collection[int] = ()) -> None:
        self.sagas: dict[UUID, Saga] = {}
        self.history: list[Saga] = []
        self._crash_points = set(crash_points)
        self._at = -1

    async def open(self, saga: Saga) -> Saga:
        for other in self.sagas.values():
            if (other.kind, other.key) == (saga.kind, saga.key) and not other.is_over:
                return other
        self.sagas[saga.id] = saga
        return saga

    async def find(self, identifier: UUID) -> Saga | None:
        return self.sagas.get(identifier)

    async def save(self, saga: Saga) -> bool:
        self._crash_point()
        if self.sagas[saga.id].version != saga.version - 1:
            return False
        self.sagas[saga.id] = saga
        self.history.append(saga)
        self._crash_point()
        return True

    async def claim(self, kinds: Collection[str], *, now: datetime, until: datetime, most: int) -> Sequence[Saga]:
        due = sorted((saga for saga in self.sagas.values() if saga.is_active and saga.due_at <= now and saga.kind in kinds), key=_age)
        claimed = [replace(saga, due_at=until, version=saga.version + 1) for saga in due[:most]]
        self.sagas.update({saga.id: saga for saga in claimed})
        return claimed

    def _crash_point(self) -> None:
        self._at += 1
        if self._at in self._crash_points:
            raise Crash


@dataclass
class World:
    """What steps have done. `failing` holds, per step, the errors of its next tries."""

    effects: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    failing: dict[str, list[Exception]] = field(default_factory=dict)

    def action(self, name: str) -> Action:
        """Has its effect, once however often it is called."""

        async def act(saga: Saga) -> Mapping[str, Any]:
            self._try(name)
            self.effects.add(name)
            return {name: len(saga.data)}

        return act

    def compensation(self, name: str) -> Action:
        """Takes the effect back, if there was one."""

        async def undo(saga: Saga) -> None:
            self._try(f"-{name}")
            self.effects.discard(name)

        return undo

    def _try(self, call: str) -> None:
        self.calls.append(call)
        waiting = self.failing.get(call, [])
        if waiting:
            raise waiting.pop(0)


def _age(saga: Saga) -> datetime:
    return saga.due_at
