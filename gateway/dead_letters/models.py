"""What a dead letter is, why there is one, and what people do about it. The numbers of the enums are those of the schema."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from clarion.delivery.v1 import delivery_pb2
from clarion.template.v1.template_pb2 import Content
from gateway.notifications.models import Channel, OutboxItem


class State(IntEnum):
    """What a reviewer has decided."""

    OPEN = 1
    REQUEUED = 2
    DISCARDED = 3


class Cause(IntEnum):
    """The class of a reason: what a reviewer has to look at."""

    PROVIDER_PERMANENT = 1
    PROVIDER_TRANSIENT = 2
    TEMPLATE = 3
    RECIPIENT = 4
    BUS = 5
    UNKNOWN_OUTCOME = 6
    INTERNAL = 7
    OTHER = 8


# The first that matches the whole reason. SMTP_550_5_1_1 and the like: an enhanced code of class 5.1 is about the address.
_CAUSES: tuple[tuple[Cause, str], ...] = (
    (Cause.UNKNOWN_OUTCOME, r"OUTCOME_UNKNOWN"),
    (Cause.BUS, r"DELIVERY_LIMIT|NOT_A_DELIVERY|UNREADABLE|STUCK"),
    (Cause.RECIPIENT, r"USER_NOT_FOUND|NO_DEVICE|NO_ADDRESS|UNREGISTERED|INVALID_TOKEN|ADDRESS_INVALID|SMTP_5\d\d_5_1(_.+)?"),
    (Cause.TEMPLATE, r"TEMPLATE_.+|RENDER_.+|(MISSING|INVALID)_VARIABLE|VERSION_NOT_FOUND|NO_VERSION|OUTPUT_TOO_LARGE|SUBJECT_INVALID"),
    (Cause.PROVIDER_PERMANENT, r"SMTP_5\d\d(_.+)?|SMTP_NO_SMTPUTF8|SENDER_.+|THIRD_PARTY_AUTH_ERROR|INVALID_(ARGUMENT|CONTENTS)"),
    (Cause.PROVIDER_TRANSIENT, r"SMTP_.+|FCM_.+|QUOTA_EXCEEDED|UNAVAILABLE"),
    (Cause.INTERNAL, r"INTERNAL|UNKNOWN|DATA_LOSS|RESOURCE_EXHAUSTED|WORKER_FAILED"),
)


# What a provider refused for good is classed by whose fault it was.
_CAUSES_OF_FAULTS = {
    delivery_pb2.FAULT_RECIPIENT: Cause.RECIPIENT,
    delivery_pb2.FAULT_MESSAGE: Cause.PROVIDER_PERMANENT,
    delivery_pb2.FAULT_SENDER: Cause.PROVIDER_PERMANENT,
    delivery_pb2.FAULT_PROVIDER: Cause.PROVIDER_PERMANENT,
}


@lru_cache(maxsize=1024)
def cause_of(reason: str, fault: "delivery_pb2.Fault.ValueType" = delivery_pb2.FAULT_UNSPECIFIED, *, transient: bool = False) -> Cause:
    """The class of a reason, or of the fault where a provider refused; OTHER for an unknown reason."""
    if reason == "OUTCOME_UNKNOWN":
        return Cause.UNKNOWN_OUTCOME
    if fault in _CAUSES_OF_FAULTS:
        return Cause.PROVIDER_TRANSIENT if transient else _CAUSES_OF_FAULTS[fault]
    return next((cause for cause, pattern in _CAUSES if re.fullmatch(pattern, reason)), Cause.OTHER)


class Action(IntEnum):
    """What a reviewer did about a dead letter."""

    REQUEUED = 1
    DISCARDED = 2
    NOTED = 3
    VIEWED = 4


class View(IntEnum):
    """How much of a dead letter is shown."""

    BASIC = 1
    REDACTED = 2
    FULL = 3


@dataclass(frozen=True, slots=True)
class Audit:
    """One thing that a reviewer did. `run` is the run that had failed by then, `redirected_to` a masked address."""

    time: datetime
    action: Action
    actor_kind: str
    actor_id: str
    note: str
    run: int
    job_id: UUID | None = None
    changed: tuple[str, ...] = ()
    former_user_id: UUID | None = None
    redirected_to: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a requeue would send now. `problem` says, in UPPER_SNAKE, why there is no recipient or no content."""

    redacted: bool
    recipient: str = ""
    recipient_edited: bool = False
    devices: int = 0
    decision: str = ""
    rule: str = ""
    locale: str = ""
    content: Content | None = None
    variables: Struct | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notification that could not be delivered; `run` is the run that failed last. `audit` and `preview` are for single reads only."""

    notification_id: UUID
    user_id: UUID
    channel: Channel
    template: str
    state: State
    run: int
    cause: Cause
    reason: str
    detail: str
    attempts: int
    create_time: datetime
    resolve_time: datetime | None
    resolved_by: str
    note: str
    correlation_id: str
    audit: tuple[Audit, ...] = field(default=(), compare=False)
    preview: Preview | None = field(default=None, compare=False)


class DeadLetterFilters(NamedTuple):
    """Which dead letters of a project are meant; None means all."""

    project: str
    state: State = State.OPEN
    channel: Channel | None = None
    template: str | None = None
    reason: str | None = None
    cause: Cause | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def as_mapping(self) -> dict[str, object]:
        """What a page token is bound to."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}


class Actor(NamedTuple):
    """Who does something: a kind of caller and its id."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


class Edit(NamedTuple):
    """Where a requeued notification goes from now on, and the variables that are other ones; None keeps what it was."""

    user_id: UUID | None = None
    email: str | None = None
    variables: Struct | None = None

    def vary(self, delivery: delivery_pb2.Delivery) -> None:
        """Puts the other variables in; those that are not named stay."""
        for name, value in self.variables.fields.items() if self.variables is not None else ():
            delivery.variables.fields[name].CopyFrom(value)

    def varied(self, variables: Struct) -> bool:
        """Whether these are what it makes of a notification's variables."""
        return self.variables is None or all(variables.fields.get(name) == value for name, value in self.variables.fields.items())


NO_EDIT = Edit()


class Decision(NamedTuple):
    """What is decided, who did it, and why. `request` is the digest of an idempotency key, `job_id` the job that acts for the reviewer.

    `test` is true for what a test key decides.
    """

    state: State
    actor: Actor
    note: str
    job_id: UUID | None = None
    request: bytes | None = None
    test: bool = False

    @property
    def action(self) -> Action:
        """What the audit trail calls it."""
        return Action.REQUEUED if self.state is State.REQUEUED else Action.DISCARDED


class Refusal(NamedTuple):
    """Why a letter was not decided: a word in UPPER_SNAKE and one for people."""

    reason: str
    words: str


NO_LETTER = Refusal("NOT_FOUND", "there is no such dead letter")
DECIDED = Refusal("ALREADY_RESOLVED", "it is decided already")
REPEATED = Refusal("REPEATED", "the same request has decided it before")
PAST_RETENTION = Refusal("PAST_RETENTION", "it is past its retention")
NOT_FAILED = Refusal("NOT_FAILED", "it is not failed any more")
EXPIRED = Refusal("EXPIRED", "it has expired")
ERASED = Refusal("ERASED", "its content was erased")
LIVE = Refusal("LIVE_NOTIFICATION", "a live key has sent it, and what a test key does reaches no provider")
NOT_EMAIL = Refusal("NOT_EMAIL", "only an e-mail can go to another address")


class Decided(NamedTuple):
    """What became of one letter: refused, or decided, and then what is to be published for it."""

    refusal: Refusal | None
    job: OutboxItem | None = None
