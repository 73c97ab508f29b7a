"""What a notification is and how it may change: the one transition table.

The numbers of the enums are those of the schema (a test compares them), so that a row, a message and a model share one value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from clarion.delivery.v1 import delivery_pb2
from clarion.notification.v1 import captured_message_pb2

# What the sandbox keeps is shown as it is.
CapturedMessage: TypeAlias = captured_message_pb2.CapturedMessage


class Channel(IntEnum):
    """A way to reach a person."""

    EMAIL = 1
    PUSH = 2

    @property
    def key(self) -> str:
        """The word used in queue names and metric labels."""
        return self.name.lower()


class Priority(IntEnum):
    """The lane."""

    NORMAL = 1
    HIGH = 2


class Status(IntEnum):
    """Where a notification is on its way."""

    SCHEDULED = 1
    PENDING = 2
    QUEUED = 3
    SENDING = 4
    RETRYING = 5
    SENT = 6
    FAILED = 7
    SKIPPED = 8
    CANCELLED = 9
    EXPIRED = 10


class Fact(IntEnum):
    """What became known of a notification after its provider took it."""

    DELIVERED = 1
    HARD_BOUNCED = 2
    SOFT_BOUNCED = 3
    COMPLAINED = 4
    OPENED = 5


_OUTCOMES = frozenset(set(Status) - {Status.PENDING})

# From each status, where it may go. PENDING takes outcomes too, since a worker may be faster than the mark that the bus has it. What is on
# the bus is CANCELLED only after the ledger holds the mark (`delivery/cancellation.py`); a worker that finds it reports an outcome.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.PENDING, Status.CANCELLED, Status.EXPIRED}),
    Status.PENDING: _OUTCOMES,
    Status.QUEUED: _OUTCOMES | {Status.PENDING},  # PENDING: no outcome came, so that it is published again (`gateway/settling/stuck.py`)
    Status.SENDING: _OUTCOMES | {Status.PENDING},
    Status.RETRYING: _OUTCOMES | {Status.PENDING},
    Status.SENT: frozenset(),
    Status.FAILED: frozenset({Status.PENDING}),  # only by a reviewer, who starts a new run
    Status.SKIPPED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.EXPIRED: frozenset(),
}

TERMINAL = frozenset({Status.SENT, Status.FAILED, Status.SKIPPED, Status.CANCELLED, Status.EXPIRED})
CANCELLABLE = frozenset(status for status, onward in TRANSITIONS.items() if Status.CANCELLED in onward)

# Within one attempt things happen in this order; QUEUED and SCHEDULED as outcomes mean that the attempt was deferred before it began.
_STAGE = {Status.PENDING: -1, Status.QUEUED: 0, Status.SENDING: 1, Status.RETRYING: 2}

# In these the provider was not tried, so that the attempt is not used up. One that waits in the database is in its next attempt.
_UNTRIED = frozenset({Status.SCHEDULED, Status.PENDING, Status.QUEUED, Status.SKIPPED, Status.EXPIRED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """Push: what happened to one device."""

    device_id: str
    accepted: bool
    reason: str = ""


class EntryKey(NamedTuple):
    """Two entries with the same key are the same event. `mark` is the time in µs for deferrals (an attempt may have many), else 0.

    A cancel belongs to no attempt, so that of the gateway and that of a worker who comes upon it are one.
    """

    run: int
    attempt: int
    status: Status
    mark: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a notification. `start_time` is set where the provider was called: it stands for a SENDING entry."""

    time: datetime
    status: Status
    run: int = 0
    attempt: int = 0
    reason: str = ""
    detail: str = ""
    next_attempt_time: datetime | None = None
    start_time: datetime | None = None
    devices: tuple[DeviceResult, ...] = ()
    provider: str = ""
    fact: Fact | None = None  # then the status is the notification's own, which it leaves as it is

    @property
    def key(self) -> EntryKey:
        """What makes the entry one of its kind."""
        deferred = self.status is Status.QUEUED or (self.status is Status.SCHEDULED and self.attempt > 0)
        mark = int(self.time.timestamp() * 1e6) if deferred else 0
        return EntryKey(self.run, 0 if self.status is Status.CANCELLED else self.attempt, self.status, mark)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt, as a worker reports it. It may arrive late and more than once."""

    notification_id: UUID
    entry: Entry
    locale: str = ""
    # whose fault it was (a number of the schema's Fault), and whether it may pass: the class of a dead letter
    fault: "delivery_pb2.Fault.ValueType" = delivery_pb2.FAULT_UNSPECIFIED
    transient: bool = False
    # the serialized delivery of the next try, which waits in the database until `entry.next_attempt_time`; empty where it is on the bus
    next_payload: bytes = field(default=b"", repr=False)
    # what the sandbox reports of a test's message that it took
    facts: tuple[Fact, ...] = ()

    @property
    def postponed(self) -> bool:
        """Whether its person does not want it now."""
        return self.entry.status is Status.SCHEDULED


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a notification is. `attempt` is the try that the status belongs to, from 1; 0 before the first."""

    status: Status
    run: int = 0
    attempt: int = 0

    @property
    def attempts(self) -> int:
        """Tries so far in this run."""
        return max(0, self.attempt - 1) if self.status in _UNTRIED else self.attempt

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in TERMINAL

    def after(self, entry: Entry) -> "Progress":
        """The progress that an outcome leads to; itself when the outcome is late, repeated or forbidden by the table."""
        if entry.run != self.run or entry.status not in _OUTCOMES or entry.status not in TRANSITIONS[self.status]:
            return self
        if entry.status is Status.SCHEDULED:
            # postponed before the attempt began; any number of times, between which it was on the bus
            begun = (entry.attempt, _STAGE[Status.QUEUED]) < (self.attempt, _STAGE[self.status])
            return self if begun else Progress(Status.SCHEDULED, entry.run, entry.attempt)
        if entry.status not in TERMINAL and (entry.attempt, _STAGE[entry.status]) <= (self.attempt, _STAGE[self.status]):
            return self
        return Progress(entry.status, entry.run, entry.attempt)

    def requeued(self) -> "Progress":
        """The progress after a reviewer has sent it on its way again: a new run with fresh attempts."""
        if Status.PENDING not in TRANSITIONS[self.status] or not self.is_terminal:
            raise ValueError(f"{self.status.name} can't be requeued")
        return Progress(Status.PENDING, self.run + 1, 0)


def expand(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The timeline that people read: a SENDING entry for each provider call, every entry once, in the order of cause and effect.

    The times were read from the clocks of several machines, so they are shown and not compared: run, attempt and stage give the order. Only
    the deferrals of one attempt, which have nothing else, are ordered by their times.
    """
    known: dict[EntryKey, Entry] = {}
    for entry in entries:
        if entry.start_time is not None and entry.status is not Status.SENDING:
            sending = Entry(entry.start_time, Status.SENDING, entry.run, entry.attempt)
            known.setdefault(sending.key, sending)
        known[entry.key] = entry if entry.start_time is None else replace(entry, start_time=None)
    return tuple(sorted(known.values(), key=_place))


def _place(entry: Entry) -> tuple[int, bool, int, int, datetime]:
    stage = _STAGE.get(entry.status, 0)
    if entry.status is Status.SCHEDULED and not entry.attempt:
        stage = _STAGE[Status.PENDING] - 1
    return entry.run, entry.status in TERMINAL, entry.attempt, stage, entry.time


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification as its readers see it; `timeline` is filled by single reads only."""

    id: UUID
    user_id: UUID
    channel: Channel
    template: str
    template_version: int
    locale: str
    priority: Priority
    category: str
    progress: Progress
    reason: str
    metadata: Mapping[str, str]
    create_time: datetime
    update_time: datetime
    send_at: datetime | None
    expires_at: datetime | None
    queued_at: datetime | None
    correlation_id: str
    test: bool
    resent_from: UUID | None = None
    timeline: tuple[Entry, ...] = field(default=(), compare=False)

    @property
    def status(self) -> Status:
        """Where it is on its way."""
        return self.progress.status

    @property
    def shown_status(self) -> Status:
        """The status that callers see: a far retry waits as a scheduled send does, and is a retry all the same."""
        return Status.RETRYING if self.status is Status.SCHEDULED and self.progress.attempts else self.status


class OutboxItem(NamedTuple):
    """What the bus carries of a notification; `payload` is a serialized clarion.delivery.v1.Delivery. Each `caller` gets its turn."""

    id: UUID
    channel: Channel
    priority: Priority
    payload: bytes
    caller: str = ""


class Unsent(NamedTuple):
    """A notification that ended without an attempt that could count: what accepting it took of the recipient's limit goes back."""

    id: UUID
    user_id: UUID
    channel: Channel
    create_time: datetime


class Reach(NamedTuple):
    """What a caller may know of: the notifications of a project, of one person in it, or those that one caller has sent."""

    project: str
    user_id: UUID | None = None
    caller: str | None = None


class Filters(NamedTuple):
    """Which notifications of a project to list; None means all."""

    project: str
    user_id: UUID | None = None
    channel: Channel | None = None
    status: Status | None = None
    template: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    correlation_id: str | None = None
    metadata: Mapping[str, str] | None = None
    test: bool | None = None

    def as_mapping(self) -> dict[str, object]:
        """What a page token is bound to."""
        ordered = self._replace(metadata=None if self.metadata is None else dict(sorted(self.metadata.items())))
        return {name: str(value) for name, value in ordered._asdict().items() if value is not None}
