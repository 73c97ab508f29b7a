"""What a job is. The numbers of the enums are those of the schema."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from gateway.dead_letters.models import Actor, DeadLetterFilters, State
from gateway.notifications.models import OutboxItem


class BulkState(IntEnum):
    """How far a job is."""

    RUNNING = 1
    DONE = 2
    CANCELLED = 3


class NewBulkOperation(NamedTuple):
    """A job as it is asked for. `digest` is that of an idempotency key, `fingerprint` that of what is asked under it, `test` whether a test
    key asks.
    """

    id: UUID
    decision: State
    filters: DeadLetterFilters
    rate_per_s: int
    most: int
    note: str
    actor: Actor
    digest: bytes | None
    fingerprint: bytes
    test: bool


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """A job. `total` letters were found when it was made; `skipped_reasons` is for single reads only."""

    id: UUID
    decision: State
    state: BulkState
    filters: DeadLetterFilters
    rate_per_s: int
    note: str
    created_by: str
    create_time: datetime
    finish_time: datetime | None
    total: int
    done: int
    skipped: int
    skipped_reasons: Mapping[str, int] = field(default_factory=dict)


class Claimed(NamedTuple):
    """A job under this process's lease, and what its letters' audit trails say."""

    id: UUID
    decision: State
    rate_per_s: int
    note: str
    actor: Actor


class Step(NamedTuple):
    """What a step of a job did: what is to be published, and whether more is left for this process."""

    jobs: tuple[OutboxItem, ...]
    more: bool
