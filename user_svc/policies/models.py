"""What a project decides for its people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from mesh.etag import etag_of
from user_svc.preferences.models import PreferenceRule
from user_svc.preferences.quiet_hours import QuietHours

LONGEST_WINDOW = timedelta(days=31)
# All that are mandatory or limited are read each second in which something is sent.
MOST_CATEGORIES = 500


@dataclass(frozen=True, slots=True)
class FrequencyLimit:
    """At most `count` notifications of a category to one person in the last `window`."""

    count: int
    window: timedelta

    def __str__(self) -> str:
        return f"{self.count}/{self.window.total_seconds():.0f}s"


class CategoryText(NamedTuple):
    """What people read of a category."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of notification. `texts` is by locale."""

    id: str
    texts: Mapping[str, CategoryText]
    mandatory: bool
    limit: FrequencyLimit | None
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """Stands for this state."""
        return etag_of(self.id, sorted(self.texts.items()), self.mandatory, str(self.limit), self.update_time.timestamp())


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """What holds for people who have not chosen otherwise. `update_time` is None where nothing was ever decided."""

    rules: tuple[PreferenceRule, ...] = ()
    quiet_hours: QuietHours | None = None
    update_time: datetime | None = None

    @property
    def etag(self) -> str:
        """Stands for this state."""
        rules = [(rule.about, rule.choice.value) for rule in self.rules]
        return etag_of(rules, str(self.quiet_hours), self.update_time and self.update_time.timestamp())


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """All that a decision needs of a project: defaults, mandatory categories and their limits, and whether it is out of use."""

    rules: tuple[PreferenceRule, ...] = ()
    quiet_hours: QuietHours | None = None
    mandatory: frozenset[str] = frozenset()
    limits: Mapping[str, FrequencyLimit] = field(default_factory=dict)
    archived: bool = False


NO_RULES = ProjectRules()
