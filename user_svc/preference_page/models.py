"""What the page shows and what comes back from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mesh.etag import etag_of
from user_svc.preferences.models import Channel
from user_svc.preferences.quiet_hours import QuietHours

CHANNELS = (Channel.EMAIL, Channel.PUSH)


@dataclass(frozen=True, slots=True)
class Brand:
    """How a project's pages look. `update_time` is None where nothing was ever set."""

    name: str = ""
    color: str = ""
    logo: str = ""
    home_url: str = ""
    update_time: datetime | None = None

    @property
    def etag(self) -> str:
        """Stands for this state."""
        return etag_of(self.name, self.color, self.logo, self.home_url, self.update_time and self.update_time.timestamp())


class PagePerson(NamedTuple):
    """Whose page it is, and the brand of their project."""

    project: str
    locale: str
    timezone: str
    brand: Brand


class PageCategory(NamedTuple):
    """A category in the person's language, and the channels on which their choices and the project's let it through."""

    id: str
    name: str
    description: str
    mandatory: bool
    channels: frozenset[Channel]


class PreferencePage(NamedTuple):
    """What a person sees. `quiet_hours` are those in force, None where there are none."""

    locale: str
    timezone: str
    brand: Brand
    categories: tuple[PageCategory, ...]
    quiet_hours: QuietHours | None


class PageChoices(NamedTuple):
    """What a person wants by category and channel; None leaves the quiet hours, `refuse_mail` refuses all mail that may be refused."""

    wanted: Mapping[tuple[str, Channel], bool]
    quiet_hours: QuietHours | None = None
    refuse_mail: bool = False
