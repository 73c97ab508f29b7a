"""What the page shows, and what comes back from it."""

from collections.abc import Mapping
from typing import NamedTuple

CHANNELS = ("email", "push")


class Brand(NamedTuple):
    """How the project's pages look: "#1a4fa0", a `data:` URI, an `https://` address; each may be empty."""

    name: str
    color: str
    logo: str
    home_url: str


class Category(NamedTuple):
    """A category in the person's language, and the channels on which they get it."""

    id: str
    name: str
    description: str
    mandatory: bool
    channels: frozenset[str]


class Page(NamedTuple):
    """What a person sees. `quiet_hours` are a start and an end such as ("22:00", "07:00")."""

    locale: str
    timezone: str
    brand: Brand
    categories: tuple[Category, ...]
    quiet_hours: tuple[str, str] | None


class Choices(NamedTuple):
    """What a person has chosen, by category and channel; quiet hours of ("", "") are none."""

    wanted: Mapping[tuple[str, str], bool]
    quiet_hours: tuple[str, str] | None
    refuse_mail: bool
