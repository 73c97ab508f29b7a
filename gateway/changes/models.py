"""What a change is and how changes are asked for."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from gateway.notifications.models import Channel, Fact, Status


class Change(NamedTuple):
    """A notification had a new status or began another attempt, or a fact about it became known.

    `position` is its place in the feed of its project, from 1.
    """

    position: int
    notification_id: UUID
    status: Status
    run: int
    attempt: int
    reason: str
    time: datetime
    user_id: UUID
    channel: Channel
    template: str
    category: str
    metadata: Mapping[str, str]
    correlation_id: str
    test: bool
    fact: Fact | None = None


class ChangeFilters(NamedTuple):
    """Which changes of a project to read; empty and None mean all."""

    project: str
    statuses: tuple[Status, ...] = ()
    channel: Channel | None = None
    template: str | None = None
    category: str | None = None
    user_id: UUID | None = None
    metadata: Mapping[str, str] = {}

    @property
    def narrow(self) -> bool:
        """Whether anything is left out."""
        return self != ChangeFilters(self.project)


class Window(NamedTuple):
    """What was found between two positions: `last` is the position that was looked at last, `full` whether more may follow."""

    changes: tuple[Change, ...]
    last: int
    full: bool


class Ends(NamedTuple):
    """The first position that is kept and the last one of a project's feed; 0 and 0 for an empty one."""

    first: int
    last: int


class ChangePage(NamedTuple):
    """Changes in order, where the next page begins, and whether more can be read at once."""

    changes: tuple[Change, ...]
    next_position: int
    has_more: bool
