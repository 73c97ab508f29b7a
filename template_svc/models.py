"""What template_svc speaks of: templates, versions, contents, and requests to render them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from mesh.etag import etag_of
from naming.variables import PERSON
from template_svc.senders.models import Identity

# The parts that are texts, apart from `data`, `image` and the platforms' blocks of a push.
TEXTS = ("subject", "mjml", "html", "text", "title", "body")
SOURCES = (*TEXTS, "image")
# Between the context and the text of a message, as in gettext's own files.
_CONTEXT = "\x04"


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
    mjml: str = ""
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
    # of a locale that a catalogue translates: {"source": locale of the texts, "formula": of its plurals, "forms": {text: [forms]}}
    catalog: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """In characters."""
        texts = (self.subject, self.mjml, self.html, self.text, self.title, self.body, self.image, *self.data.values())
        blocks = (self.android, self.apns, self.webpush)
        forms = self.catalog.get("forms", {}).items()
        translations = sum(len(key) + sum(map(len, texts)) for key, texts in forms)
        return sum(map(len, texts)) + sum(len(json.dumps(block)) for block in blocks if block) + translations


class Message(NamedTuple):
    """A text to be translated: where it stands (`html`), its line there, and the plural if it has one."""

    part: str
    line: int
    context: str
    text: str
    plural: str
    variables: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in a catalogue."""
        return key_of(self.context, self.text)


def messages_of(rows: Iterable[Sequence[Any]]) -> tuple[Message, ...]:
    """Messages from plain data."""
    return tuple(Message(part, line, context, text, plural, tuple(variables)) for part, line, context, text, plural, variables in rows)


def key_of(context: str, text: str) -> str:
    """The name of a text in a catalogue."""
    return f"{context}{_CONTEXT}{text}" if context else text


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
    """A named text for one channel. Version numbers are 0 before there is one; without `archive_time` it is in use."""

    published_version: int
    latest_version: int
    create_time: datetime
    update_time: datetime
    archive_time: datetime | None = None
    archived_by: str = ""

    @property
    def key(self) -> "TemplateKey":
        """Its name within the installation."""
        return TemplateKey(self.project, self.name)

    @property
    def etag(self) -> str:
        """Stands for this state."""
        texts = (self.channel.value, self.category, self.description, self.mandatory, self.on_unknown.value, self.default_locale)
        times = (self.create_time.timestamp(), self.update_time.timestamp(), self.archive_time and self.archive_time.timestamp())
        return etag_of(*texts, self.published_version, self.latest_version, *times, self.archived_by)


class TemplateChange(NamedTuple):
    """New values of what can change of a template; None stays as it is."""

    category: str | None = None
    description: str | None = None
    mandatory: bool | None = None
    on_unknown: OnUnknown | None = None

    def changed(self, template: Template) -> dict[str, Any]:
        """Those of the values that differ, by field."""
        given = {name: value for name, value in self._asdict().items() if value is not None}
        return {name: value for name, value in given.items() if value != getattr(template, name)}

    def is_made_on(self, template: Template) -> bool:
        """Whether the template is as it wants it, and there is something that it wants."""
        return any(value is not None for value in self) and not self.changed(template)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A checked set of contents by canonical locale, and the variables that every notification must give, sorted.

    `derived` are the parts that are made of others (HTML of MJML, a text of HTML), by locale; `catalogs` the translations of the default
    locale's content into others; `messages` what there is to be translated; `unused` the variables of the default locale that another
    one's content does not mention; `findings` what had better be otherwise; `variables_schema` a JSON Schema, empty for
    none; `partials` the revision of each that was taken in; `sender` the name of the one that its mails are from, empty for the
    project's default one.
    """

    contents: Mapping[str, Content]
    required_variables: tuple[str, ...]
    derived: Mapping[str, Mapping[str, str]] = field(default_factory=dict, kw_only=True)
    catalogs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, kw_only=True)
    messages: tuple[Message, ...] = field(default=(), kw_only=True)
    unused: Mapping[str, Sequence[str]] = field(default_factory=dict, kw_only=True)
    findings: tuple["Finding", ...] = field(default=(), kw_only=True)
    partials: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    variables_schema: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    sender: str = field(default="", kw_only=True)

    def finished(self, default_locale: str) -> dict[str, Content]:
        """The contents that are rendered: those of catalogues too, and the derived parts in their places."""
        return finished_contents(self.contents, self.derived, self.catalogs, default_locale)

    def completeness(self) -> list["LocaleReport"]:
        """One report per locale, sorted."""
        total = len(self.messages)
        reports = [LocaleReport(locale, total, total, tuple(self.unused.get(locale, ()))) for locale in self.contents]
        reports += [LocaleReport(locale, total, len(catalog["forms"]), ()) for locale, catalog in self.catalogs.items()]
        return sorted(reports)


@dataclass(frozen=True, slots=True)
class TemplateVersion(NewVersion):
    """An immutable set of contents. A number never means two texts, even when the template's name was deleted and made again."""

    project: str
    template: str
    version: int
    published: bool
    create_time: datetime
    created_by: str = ""
    note: str = ""
    archive_time: datetime | None = None
    archived_by: str = ""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What rendering needs of a version."""

    channel: Channel
    default_locale: str
    contents: Mapping[str, Content]
    required_variables: tuple[str, ...]
    variables_schema: Mapping[str, Any] = field(default_factory=dict)
    sender: str = ""


def finished_contents(
    contents: Mapping[str, Content],
    derived: Mapping[str, Mapping[str, str]],
    catalogs: Mapping[str, Mapping[str, Any]],
    default_locale: str,
) -> dict[str, Content]:
    """See `NewVersion.finished`."""
    finished = {locale: with_derived(content, derived.get(locale, {})) for locale, content in contents.items()}
    for locale, catalog in catalogs.items():
        finished[locale] = translated(finished[default_locale], default_locale, catalog)
    return finished


def translated(content: Content, source_locale: str, catalog: Mapping[str, Any]) -> Content:
    """The content of `source_locale` as a catalogue translates it."""
    return replace(content, catalog={"source": source_locale, "formula": catalog["formula"], "forms": catalog["forms"]})


def with_parts(content: Content, parts: Mapping[str, str]) -> Content:
    """The content with other texts."""
    texts: dict[str, Any] = dict(parts)
    return replace(content, **texts)


def with_derived(content: Content, derived: Mapping[str, str]) -> Content:
    """The content as it is rendered: the parts that are made of others in their places."""
    return with_parts(content, {**derived, "mjml": ""})


class TextSize(NamedTuple):
    """What bounds a text's size before it is rendered: at most `fixed` and what `paths`, such as "order.id", hold, each as often as named.

    `fixed` is more than `limit` where only a rendering shows it.
    """

    limit: int
    fixed: int
    paths: tuple[str, ...] = ()


class CanarySummary(NamedTuple):
    """What accepting a notification needs to know of a version that `percent` of them get, or of the people where it is `by_user`."""

    version: int
    percent: int
    by_user: bool
    required_variables: tuple[str, ...] = ()
    variables_schema: Mapping[str, Any] = {}
    size: TextSize | None = None


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """What accepting a notification needs to know; without `template` there is none of that name."""

    name: str
    template: Template | None = None
    required_variables: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    size: TextSize | None = None
    variables_schema: Mapping[str, Any] = field(default_factory=dict)
    canary: CanarySummary | None = None


class LocaleReport(NamedTuple):
    """How complete a locale is: the texts that a catalogue can translate, how many are, and variables that its content leaves out."""

    locale: str
    messages: int
    translated: int
    unused_variables: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.translated == self.messages and not self.unused_variables


class Finding(NamedTuple):
    """Something in a version that had better be otherwise: the rule (`lint.RULES`), the field, the line there, and what is the matter."""

    rule: str
    field: str
    line: int
    description: str


class Rules(NamedTuple):
    """What an installation asks of versions: with `complete_only`, one is published only when each of its locales is complete; findings
    of `lint_errors` refuse it.
    """

    complete_only: bool = False
    lint_errors: frozenset[str] = frozenset()


class VersionDraft(NamedTuple):
    """What an author submits: contents by locale as the author spells it, PO files likewise, and a JSON Schema of the variables.

    `partials` are the sources of those that the contents name.
    """

    channel: Channel
    default_locale: str
    contents: Mapping[str, Content]
    catalogs: Mapping[str, str]
    variables_schema: Mapping[str, Any]
    partials: Mapping[str, str] = {}


class Checked(NamedTuple):
    """Contents that can become a version: the canonical locale of each tag, the variables that all of them together need, sorted, and what
    `NewVersion` says of the rest, as plain data.
    """

    locales: dict[str, str]
    required_variables: list[str]
    derived: dict[str, dict[str, str]]
    catalogs: dict[str, dict[str, Any]]
    messages: list[list[Any]]
    unused: dict[str, list[str]]
    findings: list[list[Any]]


class PartialKey(NamedTuple):
    """Names a partial."""

    project: str
    name: str


class PartialUse(NamedTuple):
    """A published version that has taken in a partial, and the revision that it holds."""

    template: str
    version: int
    revision: int


@dataclass(frozen=True, slots=True)
class Partial:
    """A piece of source that templates share; `revision` counts its texts from 1."""

    name: str
    source: str
    revision: int
    update_time: datetime


class Rebuilt(NamedTuple):
    """What became of one template whose partial has changed; `new_version` is 0 where there is none, with the `problem` if that is why."""

    template: str
    old_version: int
    new_version: int = 0
    problem: str = ""


class TemplateKey(NamedTuple):
    """Names a template."""

    project: str
    name: str


class Mark(NamedTuple):
    """Who does something, such as "user:01968b5e-…", and why in their words."""

    by: str = ""
    note: str = ""


NO_MARK = Mark()


class Publication(NamedTuple):
    """A version that came into use, and the one that was in use before (0 for none). `id` grows with each publication; `plan` is the
    scheduled one that was carried out.
    """

    id: int
    version: int
    publish_time: datetime
    mark: Mark
    previous_version: int
    plan: UUID | None = None


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
    """Asks for one finished text. `variables` is a serialized google.protobuf.Struct, which only a render process reads; `timezone` is
    that of the person, UTC when empty. `masked` and `checked` are for previews: see `template_svc.masking`.
    """

    key: VersionKey
    locale: str
    variables: bytes
    timezone: str = ""
    masked: bool = False
    checked: bool = False


class RenderJob(NamedTuple):
    """A request whose content is chosen: `source` is the text that `key` names, `formats` the locale that values are written in, and
    `chain` how the content was found.
    """

    key: ContentKey
    channel: Channel
    source: Content
    variables: bytes
    formats: str
    timezone: str
    chain: tuple[str, ...]


class Rendered(NamedTuple):
    """A finished text, the locale and version that were used, and the locales that were looked for, the used one last.

    `content` is a serialized clarion.template.v1.Content: a render process writes it, and nothing reads it on its way to the caller.
    `sender` is from whom a mail is; None for the installation's own. `masked` are the paths of the variables that were.
    """

    content: bytes
    locale: str
    version: int
    chain: tuple[str, ...]
    sender: Identity | None = None
    masked: tuple[str, ...] = ()


class Person(NamedTuple):
    """Someone who would get a text. `attributes` are what the project's systems keep at them."""

    locale: str
    timezone: str
    name: str
    attributes: Mapping[str, Any]

    def added_to(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The variables with the person as `user`, where the sender has set none: as a worker does it (`delivery.models.variables_for`)."""
        if variables.get(PERSON) is not None:
            return dict(variables)
        known = {"name": self.name, "locale": self.locale, "timezone": self.timezone}
        return {**variables, PERSON: {**self.attributes, **known}}
