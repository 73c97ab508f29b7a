"""What an endpoint and a delivery are, and the schedule of tries."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from gateway.changes.models import ChangeFilters
from gateway.notifications.models import Channel, Status

MAX_ENDPOINTS = 50
MAX_ATTEMPTS_KEPT = 20
TEST_TYPE = "webhook.test"

# After each failed try; a little over three days together.
_WAITS_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 43200, 57600, 72000, 43200)
_JITTER = 0.2
# An endpoint that fails so often in a row is asked with one event at a time, less and less often, until it takes one.
FAILING_AFTER = 5
_HOLD_S, _LONGEST_HOLD_S = 5.0, 900.0
PAUSED_AFTER = timedelta(days=3)
MOST_RETRY_AFTER_S = 3600.0


class EndpointState(IntEnum):
    """Whether an endpoint gets events."""

    ENABLED = 1
    DISABLED = 2
    PAUSED = 3
    GONE = 4


class DeliveryState(IntEnum):
    """What became of an event."""

    WAITING = 1
    DELIVERED = 2
    FAILED = 3


class Selection(NamedTuple):
    """Which changes an endpoint gets; empty and None mean all."""

    statuses: tuple[Status, ...] = ()
    channel: Channel | None = None
    template: str = ""
    category: str = ""
    metadata: Mapping[str, str] = {}
    user_id: UUID | None = None

    def filters(self, project: str) -> ChangeFilters:
        """The same as a question to the feed."""
        template, category = self.template or None, self.category or None
        return ChangeFilters(project, self.statuses, self.channel, template, category, self.user_id, self.metadata)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that is called. `position` is the last place of the feed that was looked at for it, `last` the feed's end."""

    id: UUID
    project: str
    url: str
    description: str
    selection: Selection
    state: EndpointState
    state_reason: str
    failing_since: datetime | None
    position: int
    last: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What an owner changes of an endpoint; None leaves a part as it is."""

    url: str | None = None
    description: str | None = None
    statuses: tuple[Status, ...] | None = None
    channel: Channel | None = None
    any_channel: bool = False
    template: str | None = None
    category: str | None = None
    metadata: Mapping[str, str] | None = None
    user_id: UUID | None = None
    any_user: bool = False
    disabled: bool | None = None


class Attempt(NamedTuple):
    """One call of an endpoint. `status` is 0 where `reason` says why there was no answer."""

    time: datetime
    duration_ms: int
    status: int
    reason: str = ""
    reply: str = ""
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the endpoint has the event."""
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the endpoint wants no more."""
        return self.status == 410


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for an endpoint. `position` and `notification_id` are None for a test."""

    id: str
    type: str
    position: int | None
    notification_id: UUID | None
    state: DeliveryState
    due_at: datetime | None
    create_time: datetime
    attempts: tuple[Attempt, ...] = ()
    tries: int = 0


def wait_s(tries: int, jitter: float | None = None) -> float | None:
    """The seconds from the failed try of this number, from 1, to the next; None after the last. Varied, so that many do not meet."""
    if tries > len(_WAITS_S):
        return None
    return _WAITS_S[tries - 1] * (1 + _JITTER * (random.uniform(-1, 1) if jitter is None else jitter))  # noqa: S311  no secret


def hold_s(failures: int) -> float:
    """How long an endpoint is left alone that has failed so often in a row."""
    return min(_LONGEST_HOLD_S, _HOLD_S * 2.0 ** min(failures - FAILING_AFTER, 20)) if failures >= FAILING_AFTER else 0.0
