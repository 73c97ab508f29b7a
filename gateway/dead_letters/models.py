"""What a dead letter is. The numbers of the state are those of the schema."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from gateway.notifications.models import Channel


class State(IntEnum):
    """What a reviewer has decided."""

    OPEN = 1
    REQUEUED = 2
    DISCARDED = 3


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notification that could not be delivered; `run` is the run that failed last."""

    notification_id: UUID
    user_id: UUID
    channel: Channel
    template: str
    state: State
    run: int
    reason: str
    detail: str
    attempts: int
    create_time: datetime
    resolve_time: datetime | None
    resolved_by: str
    note: str
    correlation_id: str


class DeadLetterFilters(NamedTuple):
    """Which dead letters to list; None means all."""

    state: State
    channel: Channel | None = None
    template: str | None = None
    reason: str | None = None

    def as_mapping(self) -> dict[str, object]:
        """What a page token is bound to."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}


class Decision(NamedTuple):
    """What a reviewer decides, who, and why."""

    state: State
    resolved_by: str
    note: str
