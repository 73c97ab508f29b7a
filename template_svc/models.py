"""What template_svc speaks of: templates, versions, contents, and requests to render them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class Channel(StrEnum):
    """A way to reach a person."""

    EMAIL = "email"
    PUSH = "push"


class OnUnknown(StrEnum):
    """What happens to a delivery whose provider may or may not have taken it."""

    RESEND = "resend"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Content:
    """The text of one version in one locale: Jinja2 source when it is stored, the finished text when it is rendered."""

    subject: str = ""
    html: str = ""
    text: str = ""
    title: str = ""
    body: str = ""
    image: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """What an author says of a template; `default_locale` is canonical BCP 47."""

    name: str
    channel: Channel
    category: str
    description: str
    mandatory: bool
    on_unknown: OnUnknown
    default_locale: str


@dataclass(frozen=True, slots=True)
class Template(NewTemplate):
    """A named text for one channel. Version numbers are 0 before there is one."""

    published_version: int
    latest_version: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A checked set of contents by canonical locale, and the variables that every notification must give, sorted."""

    contents: Mapping[str, Content]
    required_variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TemplateVersion(NewVersion):
    """An immutable set of contents. A number never means two texts, even when the template's name was deleted and made again."""

    template: str
    version: int
    published: bool
    create_time: datetime


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What rendering needs of a version."""

    channel: Channel
    default_locale: str
    contents: Mapping[str, Content]
    required_variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """What accepting a notification needs to know; without `template` there is none of that name."""

    name: str
    template: Template | None = None
    required_variables: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()


class VersionKey(NamedTuple):
    """Names a version."""

    template: str
    version: int


class RenderRequest(NamedTuple):
    """Asks for one finished text; `variables` holds plain data only (text, numbers, booleans, None, lists, dicts)."""

    key: VersionKey
    locale: str
    variables: dict[str, Any]


class Rendered(NamedTuple):
    """A finished text, and the locale and version that were used."""

    content: Content
    locale: str
    version: int
