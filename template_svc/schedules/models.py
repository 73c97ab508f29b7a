"""What a scheduled publication is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from template_svc.models import Mark, TemplateKey, VersionKey

# How long a plan that failed waits for someone to decide.
WAITS_FOR = timedelta(days=7)


class State(StrEnum):
    """What became of it."""

    PLANNED = "planned"
    PUBLISHED = "published"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REPLACED = "replaced"


class PlanKey(NamedTuple):
    """Names a plan."""

    project: str
    id: UUID


class NewPlan(NamedTuple):
    """What an author asks for. `previous_version` is the version that has to be in use now, 0 for whichever; `replaces` the plan in whose
    place it comes.
    """

    key: PlanKey
    version: VersionKey
    publish_at: datetime
    mark: Mark
    previous_version: int
    replaces: UUID | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A version that is to be published at `publish_at`, in place of `previous_version` (0 for none) and of no other.

    `seq` grows with each plan. `reason` and `description` say why it could not be; `ended_by` who cancelled or replaced it.
    """

    key: PlanKey
    version: VersionKey
    publish_at: datetime
    previous_version: int
    mark: Mark
    state: State
    create_time: datetime
    seq: int
    end_time: datetime | None = None
    ended_by: str = ""
    reason: str = ""
    description: str = ""


class PlanFilters(NamedTuple):
    """Which plans of a project; None means all."""

    project: str
    template: str | None
    state: State | None


class DuePlan(NamedTuple):
    """A plan whose time has come."""

    key: PlanKey
    template: TemplateKey
