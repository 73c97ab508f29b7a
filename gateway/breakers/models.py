"""What a provider's breaker is to an operator. The numbers are those of the schema."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class State(IntEnum):
    """Whether calls are made."""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


class Force(IntEnum):
    """What an operator wants."""

    OPEN = 1
    CLOSED = 2
    AUTO = 3


@dataclass(frozen=True, slots=True)
class Wish:
    """An operator's wish. Without `duration_s` it has no end."""

    force: Force
    duration_s: float | None
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that has reported itself, the providers that it calls, and how long ago it did, by Redis's clock."""

    id: str
    providers: tuple[str, ...]
    seen_s: float


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker now. `seen_time` is when a worker last asked for it."""

    name: str
    state: State
    failures: int
    retry_time: datetime | None
    change_time: datetime | None
    force: Force
    force_time: datetime | None
    force_expire_time: datetime | None
    forced_by: str
    note: str
    seen_time: datetime | None
