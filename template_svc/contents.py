"""Checks what an author submits: all that can be known before a rendering is refused here, with every fault named at once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from delivery.fcm_fields import faults
from mesh.errors import FieldViolation, ServiceError
from mesh.json_schema import MAX_SCHEMA, InvalidSchema, JsonSchema
from naming.locales import UnknownLocale, canonical
from naming.variables import PERSON
from template_svc.blocks import PLATFORMS, texts_of
from template_svc.catalogs import CatalogFault, read_catalog
from template_svc.errors import InvalidContents
from template_svc.lint import MAX_FINDINGS, lint
from template_svc.markup import MarkupFault, check_closed, html_of_mjml, text_of_html, with_inline_styles
from template_svc.masking import misspelt
from template_svc.messages import variables_like_sent
from template_svc.models import SOURCES, TEXTS, Channel, Checked, Content, Finding, VersionDraft, translated, with_derived, with_parts
from template_svc.partials.expansion import PartialFault, expand
from template_svc.reader import reader_of
from template_svc.renderer import REQUIRED, CompiledContent, PartFault, Renderer, is_https

# Characters of source in all locales together: it bounds the time that compiling takes.
MAX_VERSION_SIZE = 1_000_000
MAX_DATA_KEY = 100

_FOREIGN = {Channel.EMAIL: ("title", "body", "image", "data", *PLATFORMS), Channel.PUSH: ("subject", "mjml", "html", "text")}
_RESERVED_KEYS = frozenset({"from", "notification", "message_type"})
_RESERVED_PREFIXES = ("google", "gcm")


def check_draft(draft: VersionDraft, compiler: Renderer) -> Checked:
    """What becomes of a draft as a version. Raises InvalidContents with every fault. Takes seconds for the largest contents."""
    contents, catalogs = draft.contents, draft.catalogs
    if not contents:
        raise InvalidContents.because([FieldViolation("contents", "is required")])
    if sum(content.size for content in contents.values()) + sum(map(len, catalogs.values())) > MAX_VERSION_SIZE:
        problem = f"must have at most {MAX_VERSION_SIZE} characters in all, catalogs included"
        raise InvalidContents.because([FieldViolation("contents", problem)])
    for field, text in (
        *((f"catalogs.{tag}", text) for tag, text in catalogs.items()),
        # the escape of a NUL, and not a text that reads like one, in which the backslash is escaped
        ("variables_schema", json.dumps(draft.variables_schema).replace("\\\\", "").replace("\\u0000", "\0")),
    ):
        if "\0" in text:
            raise InvalidContents.because([FieldViolation(field, "must not contain NUL characters")])
    check = _Check(draft, compiler)
    for tag, content in contents.items():
        check.take_content(tag, content)
    if draft.default_locale not in check.paths and not check.violations:
        check.violations.append(FieldViolation("contents", f"must hold the template's default locale {draft.default_locale!r}"))
    if draft.default_locale in check.compiled:
        check.violations.extend(_unknown_variables(check.compiled, draft.default_locale, check.paths))
        for tag, text in catalogs.items():
            check.take_catalog(tag, text)
    if draft.variables_schema:
        check.take_schema(draft.variables_schema)
    if not check.violations and sum(len(text) for parts in check.derived.values() for text in parts.values()) > MAX_VERSION_SIZE:
        check.violations.append(FieldViolation("contents", f"make more than {MAX_VERSION_SIZE} characters of HTML and text in all"))
    if check.violations:
        raise InvalidContents.because(check.violations)
    return check.result(contents)


class _Check:
    """The state of one check: `paths` is the tag that each canonical locale was given under."""

    def __init__(self, draft: VersionDraft, compiler: Renderer) -> None:
        self._channel = draft.channel
        self._default_locale = draft.default_locale
        self._partials = draft.partials
        self._compiler = compiler
        self.violations: list[FieldViolation] = []
        self.paths: dict[str, str] = {}
        self.compiled: dict[str, CompiledContent] = {}
        self.derived: dict[str, dict[str, str]] = {}
        self._finished: dict[str, Content] = {}
        self._catalogs: dict[str, dict[str, Any]] = {}
        self._asked: frozenset[str] = frozenset()

    def take_content(self, tag: str, content: Content) -> None:
        """Checks and compiles a content as its author gave it."""
        path = f"contents.{tag}"
        locale = self._locale(path, tag)
        if locale is None:
            return
        self.paths[locale] = tag
        found = list(_faults(path, content, self._channel))
        self.violations.extend(found)
        if found:
            return
        expanded = self._expanded(path, content)
        if expanded is None:
            return
        whole = with_parts(content, expanded)
        wrong = self._compiler.faults("mjml", whole.mjml, locale)
        if wrong:  # said here, since the HTML that is made of it has other lines
            self.violations += [_violation(path, fault) for fault in wrong]
            self._finished[locale] = with_derived(whole, {})
            self._compile(path, locale, content)
            return
        try:
            derived = {**expanded, **derived_parts(whole)} if self._channel is Channel.EMAIL else expanded
        except MarkupFault as fault:
            self.violations.append(FieldViolation(f"{path}.{'mjml' if whole.mjml.strip() else 'html'}", str(fault)))
            return
        derived.pop("mjml", None)
        if derived:
            self.derived[locale] = derived
        self._finished[locale] = with_derived(content, derived)
        self._compile(path, locale, content)

    def _expanded(self, path: str, content: Content) -> dict[str, str] | None:
        """The parts that are others with their partials; None once a violation says why there are none."""
        expanded: dict[str, str] = {}
        wrong: list[FieldViolation] = []
        for name in TEXTS:
            source = getattr(content, name)
            try:
                text = expand(source, self._partials)
            except PartialFault as fault:
                wrong.append(FieldViolation(f"{path}.{name}", str(fault)))
                continue
            if text != source:
                expanded[name] = text
        self.violations += wrong
        return None if wrong else expanded

    def take_catalog(self, tag: str, text: str) -> None:
        """Reads a catalogue for the default locale's content, and compiles that with it."""
        path = f"catalogs.{tag}"
        locale = self._locale(path, tag)
        if locale is None:
            return
        self.paths[locale] = tag
        messages = self.compiled[self._default_locale].messages
        if not messages:
            self.violations.append(FieldViolation(path, "translates nothing: the default locale's content has no {% trans %}"))
            return
        try:
            translations, problems = read_catalog(text, locale, messages)
        except CatalogFault as fault:
            self.violations.append(FieldViolation(path, str(fault)))
            return
        self.violations += [FieldViolation(path, problem) for problem in problems]
        forms = {key: list(texts) for key, texts in translations.forms.items()}
        catalog = self._catalogs[locale] = {"formula": translations.formula, "forms": forms, "file": text}
        self._finished[locale] = translated(self._finished[self._default_locale], self._default_locale, catalog)
        if not problems:
            self._compile(path, locale, self._finished[locale])

    def take_schema(self, source: Mapping[str, Any]) -> None:
        """Checks the schema of the variables, the contents against it, and its examples by rendering them."""
        try:
            if len(json.dumps(source)) > MAX_SCHEMA:
                raise InvalidSchema("", f"must have at most {MAX_SCHEMA} characters")
            schema = JsonSchema(source)
        except InvalidSchema as fault:
            self.violations.append(FieldViolation(".".join(filter(None, ("variables_schema", fault.path))), fault.description))
            return
        for place, keyword in misspelt(source):
            problem = f"is no keyword, so that {keyword!r} hides nothing; it is written 'sensitive'"
            self.violations.append(FieldViolation(f"variables_schema.{place}", problem))
        self._asked = schema.required()
        for locale, content in self.compiled.items():
            undeclared = sorted(content.variables.known - schema.names() - {PERSON})
            if undeclared:
                path = f"{'catalogs' if locale in self._catalogs else 'contents'}.{self.paths[locale]}"
                names = ", ".join(map(repr, undeclared))
                self.violations.append(FieldViolation(path, f"uses {names}, which variables_schema does not declare"))
        example = schema.example()
        if not self.violations and self._required() <= example.keys():
            self.violations += schema.violations("variables_schema.examples", example)
            self._render_example(example)

    def _render_example(self, example: Mapping[str, Any]) -> None:
        """In every locale, each with values as its own language writes them."""
        variables, now = variables_like_sent(example), datetime.now(UTC)
        for locale, content in self.compiled.items():
            if PERSON in content.variables.known - variables.keys():
                continue  # what is known of people is not the schema's to say
            place = f"contents.{self.paths[locale]}"
            try:
                self._compiler.render(content, variables, place, reader_of(locale, "", now))
            except ServiceError as error:
                wrong = error.violations or [FieldViolation(place, error.message)]
                self.violations += [FieldViolation(each.field, f"{each.description}, with variables_schema's examples") for each in wrong]

    def _required(self) -> frozenset[str]:
        return self._asked.union(*(content.variables.required for content in self.compiled.values()))

    def result(self, contents: Mapping[str, Content]) -> Checked:
        """Once there are no violations. `contents` are those of the draft."""
        default = self.compiled[self._default_locale]
        unused = {
            locale: sorted(default.variables.known - content.variables.known)
            for locale, content in self.compiled.items()
            if locale not in self._catalogs
        }
        return Checked(
            locales={tag: locale for locale, tag in self.paths.items() if locale not in self._catalogs},
            required_variables=sorted(self._required()),
            derived=self.derived,
            catalogs=self._catalogs,
            messages=[list(message) for message in {message.key: message for message in reversed(default.messages)}.values()][::-1],
            unused={locale: names for locale, names in unused.items() if names},
            findings=[list(finding) for finding in (*self._linted(contents), *self._gaps(unused))][:MAX_FINDINGS],
        )

    def _linted(self, contents: Mapping[str, Content]) -> list[Finding]:
        given = {locale: contents[tag] for locale, tag in self.paths.items() if locale not in self._catalogs}
        return lint(given, self._finished, self._channel, self._default_locale)

    def _gaps(self, unused: Mapping[str, list[str]]) -> Iterator[Finding]:
        for locale, names in unused.items():
            for name in names:
                place = f"contents.{self.paths[locale]}"
                yield Finding("unused-variable", place, 1, f"does not mention {name!r}, which {self._default_locale} does")
        messages = {message.key for message in self.compiled[self._default_locale].messages}
        for locale, catalog in self._catalogs.items():
            place, left = f"catalogs.{self.paths[locale]}", len(messages) - len(catalog["forms"])
            if left:
                yield Finding("incomplete-catalog", place, 1, f"{left} of {len(messages)} texts are not translated")

    def _locale(self, path: str, tag: str) -> str | None:
        try:
            locale = canonical(tag)
        except UnknownLocale:
            self.violations.append(FieldViolation(path, "is not a known BCP 47 locale such as en or pt-BR"))
            return None
        if locale in self.paths:
            kind = "contents" if locale not in self._catalogs else "catalogs"
            self.violations.append(FieldViolation(path, f"is the same locale as {kind}.{self.paths[locale]}"))
            return None
        return locale

    def _compile(self, path: str, locale: str, written: Content) -> None:
        """`written` is what the author gave."""
        try:
            self.compiled[locale] = self._compiler.compile(self._finished[locale], self._channel, locale)
        except PartFault as fault:
            self.violations += _of_the_author(path, [fault, *fault.others], written)


def _violation(path: str, fault: PartFault) -> FieldViolation:
    return FieldViolation(f"{path}.{fault.part}", f"line {fault.line}: {fault.description}")


def _of_the_author(path: str, faults: Sequence[PartFault], written: Content) -> Iterator[FieldViolation]:
    """Faults in the parts that the author wrote: a text that is made of the HTML repeats the HTML's, and the lines of HTML that is made of
    MJML are not seen by the author.
    """
    in_html = any(fault.part == "html" for fault in faults)
    for fault in faults:
        if fault.part == "html" and written.mjml.strip():
            yield FieldViolation(f"{path}.mjml", f"{fault.description}, in the HTML that is made of it")
        elif fault.part != "text" or written.text.strip() or not in_html:
            yield _violation(path, fault)


def derived_parts(content: Content) -> dict[str, str]:
    """The parts of a mail that are made of others: `html` of MJML or with its styles inline, `text` where there is none."""
    if content.mjml.strip():
        html = html_of_mjml(content.mjml)
    else:
        check_closed(content.html)
        html = with_inline_styles(content.html)
    derived = {} if html == content.html else {"html": html}
    if html.strip() and not content.text.strip():
        derived["text"] = text_of_html(html)
    return derived


def _unknown_variables(compiled: Mapping[str, CompiledContent], default_locale: str, paths: Mapping[str, str]) -> Iterator[FieldViolation]:
    """A translation may leave a variable out, but one that only it needs is a slip: senders look at the default locale."""
    known = compiled[default_locale].variables.known
    for locale, content in compiled.items():
        extra = sorted(content.variables.required - known)
        if extra:
            names = ", ".join(repr(name) for name in extra)
            yield FieldViolation(
                f"contents.{paths[locale]}", f"needs {names}, which the default locale {default_locale!r} does not mention"
            )


def _faults(path: str, content: Content, channel: Channel) -> Iterator[FieldViolation]:
    for name in _FOREIGN[channel]:
        if getattr(content, name):
            yield FieldViolation(f"{path}.{name}", f"does not belong into a template for {channel.value}")
    for name in REQUIRED[channel]:
        if not getattr(content, name).strip():
            yield FieldViolation(f"{path}.{name}", f"is required for {channel.value}")
    if channel is Channel.EMAIL and not any(part.strip() for part in (content.mjml, content.html, content.text)):
        yield FieldViolation(path, "needs mjml, html or text")
    if content.mjml.strip() and content.html.strip():
        yield FieldViolation(f"{path}.mjml", "makes the HTML by itself; leave out html")
    for name in SOURCES:
        if "\0" in getattr(content, name):
            yield FieldViolation(f"{path}.{name}", "must not contain NUL characters")
    if channel is Channel.PUSH:
        yield from _push_faults(path, content)


def _push_faults(path: str, content: Content) -> Iterator[FieldViolation]:
    for key, value in content.data.items():
        problem = _key_problem(key)
        if problem:
            yield FieldViolation(f"{path}.data.{key}" if key.isprintable() else f"{path}.data", problem)
        elif "\0" in value:
            yield FieldViolation(f"{path}.data.{key}", "must not contain NUL characters")
    for platform in PLATFORMS:
        block = getattr(content, platform)
        for field, problem in faults(platform, block):
            yield FieldViolation(f"{path}.{platform}.{field}", problem)
        if any("\0" in text for _, text in texts_of(block, platform)):
            yield FieldViolation(f"{path}.{platform}", "must not contain NUL characters")
    literal, brace, _ = content.image.partition("{")
    could_be_https = literal.startswith("https://") or (bool(brace) and "https://".startswith(literal))
    if content.image and not (could_be_https if brace else is_https(content.image)):
        yield FieldViolation(f"{path}.image", "must be an https URL")


def _key_problem(key: str) -> str | None:
    if not key or len(key) > MAX_DATA_KEY or not key.isprintable():
        return f"a key must have 1 to {MAX_DATA_KEY} printable characters"
    if key.casefold() in _RESERVED_KEYS or key.casefold().startswith(_RESERVED_PREFIXES):
        return "is a key that Firebase Cloud Messaging reserves"
    return None
