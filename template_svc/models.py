"""What template_svc speaks of: templates, versions, contents, and requests to render them."""

import json
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
    # FCM's objects with FCM's field names; every string in them is a text like the others
    android: Mapping[str, Any] = field(default_factory=dict)
    apns: Mapping[str, Any] = field(default_factory=dict)
    webpush: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """In characters."""
        texts = (self.subject, self.html, self.text, self.title, self.body, self.image, *self.data.values())
        blocks = (self.android, self.apns, self.webpush)
        return sum(map(len, texts)) + sum(len(json.dumps(block)) for block in blocks if block)


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """What an author says of a template; `default_locale` is canonical BCP 47."""

    project: str
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

    @property
    def key(self) -> "TemplateKey":
        """Its name within the installation."""
        return TemplateKey(self.project, self.name)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A checked set of contents by canonical locale, and the variables that every notification must give, sorted."""

    contents: Mapping[str, Content]
    required_variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TemplateVersion(NewVersion):
    """An immutable set of contents. A number never means two texts, even when the template's name was deleted and made again."""

    project: str
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


class TextSize(NamedTuple):
    """What bounds a text's size before it is rendered: at most `fixed` and what `paths`, such as "order.id", hold, each as often as named.

    `fixed` is more than `limit` where only a rendering shows it.
    """

    limit: int
    fixed: int
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """What accepting a notification needs to know; without `template` there is none of that name."""

    name: str
    template: Template | None = None
    required_variables: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    size: TextSize | None = None


class Checked(NamedTuple):
    """Contents that can become a version: the canonical locale of each tag, and the variables that all of them together need, sorted."""

    locales: dict[str, str]
    required_variables: list[str]


class TemplateKey(NamedTuple):
    """Names a template."""

    project: str
    name: str


class VersionKey(NamedTuple):
    """Names a version."""

    project: str
    template: str
    version: int

    @property
    def of(self) -> TemplateKey:
        """The template."""
        return TemplateKey(self.project, self.template)


class ContentKey(NamedTuple):
    """Names one content of a version; `locale` is one that the version has. What it names never changes."""

    project: str
    template: str
    version: int
    locale: str


class RenderRequest(NamedTuple):
    """Asks for one finished text. `variables` is a serialized google.protobuf.Struct, which only a render process reads."""

    key: VersionKey
    locale: str
    variables: bytes


class RenderJob(NamedTuple):
    """A request whose content is chosen: `source` is the text that `key` names."""

    key: ContentKey
    channel: Channel
    source: Content
    variables: bytes


class Rendered(NamedTuple):
    """A finished text, and the locale and version that were used.

    `content` is a serialized clarion.template.v1.Content: a render process writes it, and nothing reads it on its way to the caller.
    """

    content: bytes
    locale: str
    version: int
