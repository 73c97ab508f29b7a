"""What a canary is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from template_svc.models import Mark, VersionKey


class Unit(StrEnum):
    """What the share is a share of."""

    NOTIFICATION = "notification"
    USER = "user"


class State(StrEnum):
    """Whether it goes on, and how it ended."""

    RUNNING = "running"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    STOPPED = "stopped"


class Share(NamedTuple):
    """1 to 99 percent of something."""

    percent: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Canary:
    """A share of a template's notifications gets `version`; the rest gets `published_version`."""

    version: VersionKey
    share: Share
    mark: Mark
    published_version: int
    state: State
    start_time: datetime
    end_time: datetime | None = None
    ended_by: str = ""
