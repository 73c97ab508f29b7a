"""Turns contents and variables into finished texts.

Compiling checks what can be known before a rendering; rendering is bounded in size, and fails only with errors that name the part, the line
or the variable, never a Python class or a value. Processor time and memory are bounded by the process in which this runs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import InvalidOperation
from typing import Any, NamedTuple

import jinja2
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context

from delivery.fcm_fields import faults, finish
from delivery.push_message import MAX_PUSH_BYTES, PushText, greatest_size
from template_svc.blocks import PLATFORMS, texts_of, with_texts
from template_svc.errors import MissingVariable, OutputTooLarge, RenderFailed, RenderTooSlow
from template_svc.filters import template_filters, template_tests
from template_svc.html_language import with_language
from template_svc.html_places import mark_outputs
from template_svc.language import language_functions
from template_svc.models import Channel, Content, Message
from template_svc.reader import Reader
from template_svc.sandbox import BudgetExceeded, MissingValue, TemplateEnvironment, TemplateFault
from template_svc.syntax import SyntaxFault, Variables, check, variables_of
from template_svc.translation import (
    GETTEXT_FORM,
    PLURAL_IN,
    Translating,
    TranslationExtension,
    Translations,
    is_gettext_form,
    is_plural_in,
)

MAX_PART_BYTES = 256 * 1024
# RFC 5322: the characters of a line. A longer subject would be cut or refused on its way.
MAX_SUBJECT = 998

SINGLE_LINE = frozenset({"subject", "title"})
REQUIRED = {Channel.EMAIL: ("subject",), Channel.PUSH: ("title", "body")}

# Whatever ends a line or has no place in one, for mail headers and everything that splits lines like Python does.
_LINE_BREAKS = re.compile(r"[ \t]*[\x00-\x1f\x7f-\x9f\u2028\u2029]+[ \t]*")
_SYNTAX = re.compile(r"\{[{%#]|\r|\n\Z")


class PartFault(Exception):
    """A part of a content that does not compile: which (`html`, `data.link`), at which line, and why. `others` are more of them."""

    def __init__(self, part: str, line: int, description: str) -> None:
        super().__init__(description)
        self.part = part
        self.line = line
        self.description = description
        self.others: list[PartFault] = []


class _Part(NamedTuple):
    """`template` is None where the text is fixed."""

    name: str
    fixed: str
    template: jinja2.Template | None


@dataclass(frozen=True, slots=True)
class CompiledContent:
    """A content that is ready to be rendered."""

    channel: Channel
    parts: tuple[_Part, ...]
    data: tuple[_Part, ...]
    variables: Variables
    blocks: Mapping[str, Any] = field(default_factory=dict)
    block_texts: tuple[_Part, ...] = ()
    messages: Sequence[Message] = ()


class Compiler:
    """Compiles contents. For one thread at a time: its budget is one for all."""

    def __init__(self) -> None:
        self._html = _environment(autoescape=True)
        # Only HTML is escaped: a subject or a push text with `&amp;` in it would be shown like that.
        self._text = _environment(autoescape=False)

    def compile(self, content: Content, channel: Channel, locale: str, *, stored: bool = False) -> CompiledContent:
        """Raises PartFault, with those of all parts that do not compile. `locale` is the language that it is written in.

        A `stored` content was made when less was refused: a variable where none may stand in HTML does not make it fail.
        """
        variables, messages = Variables(), list[Message]()
        catalog = content.catalog
        translations = Translations(catalog["formula"], catalog["forms"]) if catalog else None
        for environment in (self._html, self._text):
            _translating(environment).begin(catalog["source"] if catalog else locale, translations, messages)
        blocks = {platform: block for platform in PLATFORMS if (block := getattr(content, platform))}
        in_blocks = (text for platform, block in blocks.items() for text in texts_of(block, platform))
        in_data = ((f"data.{key}", source) for key, source in sorted(content.data.items()))
        wrong: list[PartFault] = []

        def compiled(sources: Iterable[tuple[str, str]]) -> Iterator[_Part]:
            for name, source in sources:
                try:
                    yield self._compile(name, source, variables, locale, stored=stored)
                except PartFault as fault:
                    wrong.extend((fault, *fault.others))

        parts, data, block_texts = tuple(compiled(_parts_of(content))), tuple(compiled(in_data)), tuple(compiled(in_blocks))
        if wrong:
            wrong[0].others = wrong[1:]
            raise wrong[0]
        return CompiledContent(channel, parts, data, variables, blocks, block_texts, messages)

    def faults(self, name: str, source: str, locale: str) -> list[PartFault]:
        """What is wrong with the Jinja2 of a source of which a part is made, such as MJML."""
        _translating(self._text).begin(locale, None, [])
        try:
            self._compile(name, source, Variables(), locale, stored=False)
        except PartFault as fault:
            return [fault, *fault.others]
        return []

    def _compile(self, name: str, source: str, variables: Variables, locale: str, *, stored: bool) -> _Part:
        if name == "html":
            source = with_language(source, locale)
        if not _SYNTAX.search(source):
            if len(source.encode()) > MAX_PART_BYTES:
                raise PartFault(name, 1, f"has more than {MAX_PART_BYTES} bytes")
            if name == "subject" and len(source) > MAX_SUBJECT:
                raise PartFault(name, 1, f"has {len(source)} characters; the subject of a mail may have {MAX_SUBJECT}")
            return _Part(name, _single_line(source) if name in SINGLE_LINE else source, None)
        environment = self._html if name == "html" else self._text
        environment.refill()
        _translating(environment).part = name
        try:
            tree = environment.parse(source)
            wrong = check(tree, environment.filters, environment.tests, locale)
            if name == "html":
                wrong += mark_outputs(tree, stored=stored)
            if wrong:
                raise _part_fault(name, wrong)
            found = variables_of(tree)
            code = environment.compile(tree, name)
        except TemplateSyntaxError as error:
            raise PartFault(name, error.lineno, error.message or "is not valid Jinja2") from None
        except (RecursionError, MemoryError, SyntaxError):
            raise PartFault(name, 1, "is nested too deeply") from None
        except (ValueError, OverflowError, ArithmeticError, BudgetExceeded, TemplateFault):
            raise PartFault(name, 1, "holds a constant that is too large or of the wrong kind") from None
        variables.required |= found.required
        variables.known |= found.known
        return _Part(name, "", jinja2.Template.from_code(environment, code, environment.globals))


class Renderer(Compiler):
    """Compiles and renders."""

    def render(self, compiled: CompiledContent, variables: dict[str, Any], place: str, reader: Reader) -> Content:
        """The finished content. `place` names the content in errors, such as `contents.en`.

        Raises MissingVariable, OutputTooLarge, RenderTooSlow or RenderFailed; none of them passes when it is tried again.
        """
        self._html.reader = self._text.reader = reader
        texts, data = self._render_all(compiled, variables, place)
        content = Content(data=data, **texts, **self._render_blocks(compiled, variables, place))
        _check_finished(content, compiled.channel, place)
        return content

    def _render_all(self, compiled: CompiledContent, variables: dict[str, Any], place: str) -> tuple[dict[str, Any], dict[str, str]]:
        texts = {part.name: self._render_part(part, variables, compiled, place) for part in compiled.parts}
        if not compiled.data:
            return texts, {}
        return texts, {part.name[5:]: self._render_part(part, variables, compiled, place) for part in compiled.data}

    def _render_blocks(self, compiled: CompiledContent, variables: dict[str, Any], place: str) -> dict[str, Any]:
        if not compiled.blocks:
            return {}
        texts = {part.name: self._render_part(part, variables, compiled, place) for part in compiled.block_texts}
        finished = {name: finish(name, with_texts(block, name, texts.__getitem__)) for name, block in compiled.blocks.items()}
        for platform, block in finished.items():
            for path, problem in faults(platform, block):
                raise RenderFailed.at(f"{place}.{platform}.{path}", None, f"{problem} with these values")
        return finished

    def _render_part(self, part: _Part, variables: dict[str, Any], compiled: CompiledContent, place: str) -> str:
        template = part.template
        if template is None:
            return part.fixed
        environment: TemplateEnvironment = template.environment  # type: ignore[assignment]  # made in _compile
        environment.refill()
        context = Context(environment, {**environment.globals, **variables}, part.name, {})
        try:
            text = str(environment.concat(template.root_render_func(context)))
        except Exception as error:  # noqa: BLE001  it is the answer to this row's sender
            raise _explain(error, template, variables, compiled, f"{place}.{part.name}") from None
        if part.name in SINGLE_LINE:
            text = _single_line(text)
        if not text.isascii() and not _is_unicode(text):
            raise RenderFailed.at(f"{place}.{part.name}", None, "makes half of a surrogate pair, which is no character")
        if len(text) > MAX_PART_BYTES // 4 and len(text.encode()) > MAX_PART_BYTES:
            raise OutputTooLarge.at(f"{place}.{part.name}", None, f"makes more than {MAX_PART_BYTES} bytes with these values")
        return text


def _environment(*, autoescape: bool) -> TemplateEnvironment:
    tests = {**template_tests(), GETTEXT_FORM: is_gettext_form, PLURAL_IN: is_plural_in}
    return TemplateEnvironment(
        autoescape=autoescape,
        filters=template_filters(),
        tests=tests,
        functions=language_functions(),
        extensions=[TranslationExtension],
    )


def _translating(environment: TemplateEnvironment) -> Translating:
    [extension] = environment.extensions.values()
    assert isinstance(extension, TranslationExtension)
    return extension.translating


def _part_fault(part: str, wrong: list[SyntaxFault]) -> PartFault:
    first, *others = (PartFault(part, fault.line, fault.description) for fault in wrong)
    first.others = others
    return first


def _parts_of(content: Content) -> Iterator[tuple[str, str]]:
    for name in ("subject", "html", "text", "title", "body", "image"):
        source = getattr(content, name)
        if source:
            yield name, source


def _single_line(text: str) -> str:
    """A line break in a subject could start a header of its own; a person's name may well bring one. Others' invisible marks stay."""
    return text if text.isprintable() else _LINE_BREAKS.sub(" ", text).strip()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_finished(content: Content, channel: Channel, place: str) -> None:
    for name in REQUIRED[channel]:
        if not getattr(content, name).strip():
            raise RenderFailed.at(f"{place}.{name}", None, "is empty with these values")
    if channel is Channel.EMAIL:
        if len(content.subject) > MAX_SUBJECT:
            problem = f"makes {len(content.subject)} characters with these values; the subject of a mail may have {MAX_SUBJECT}"
            raise OutputTooLarge.at(f"{place}.subject", None, problem)
        if not content.html.strip() and not content.text.strip():
            raise RenderFailed.at(place, None, "has neither html nor text with these values")
        return
    if content.image and not is_https(content.image):
        raise RenderFailed.at(f"{place}.image", None, "is not an https URL with these values")
    size = greatest_size(PushText(content.title, content.body, content.data, content.image, content.android, content.apns, content.webpush))
    if size > MAX_PUSH_BYTES:
        raise OutputTooLarge.at(place, None, f"makes a message of {size} bytes with these values; a push may have {MAX_PUSH_BYTES}")


def is_https(url: str) -> bool:
    """Whether a finished text is an https URL with a host and nothing unprintable."""
    return re.fullmatch(r"https://[^\s/?#]+\S*", url) is not None and url.isprintable()


def _explain(
    error: Exception, template: jinja2.Template, variables: dict[str, Any], compiled: CompiledContent, place: str
) -> MissingVariable | RenderFailed:
    line = _line_of(error, template)
    where = f"{place}, line {line}" if line else place
    absent = sorted(f"variables.{name}" for name in compiled.variables.required if name not in variables)
    if isinstance(error, MissingValue) and error.hint is None:
        path = _path_of(error, variables)
        if path is not None:
            return MissingVariable.because([path, *(name for name in absent if name != path)], where)
        if not absent:
            return RenderFailed.at(place, line, "uses a member that its object does not have")
    if absent:  # the trouble may have shown elsewhere first
        return MissingVariable.because(absent, where)
    if isinstance(error, BudgetExceeded | MemoryError):
        return RenderTooSlow.at(place, line, "makes too much text with these values")
    return RenderFailed.at(place, line, _describe(error))


def _describe(error: Exception) -> str:
    if isinstance(error, TemplateFault):
        return str(error)
    if isinstance(error, MissingValue | UndefinedError):
        return "uses a value that is not there"
    described: tuple[tuple[type[Exception], str], ...] = (
        (ZeroDivisionError, "divides by zero"),
        (InvalidOperation, "writes a number with more digits than there can be"),
        (OverflowError, "makes a number or a range that is too large"),
        (RecursionError, "its macros call each other too deeply"),
    )
    for kind, description in described:
        if isinstance(error, kind):
            return description
    return "an expression does not fit its values"


def _line_of(error: Exception, template: jinja2.Template) -> int | None:
    """The line of the source that was being rendered: the innermost one of the template's own code."""
    line, trace = None, error.__traceback__
    code_file = template.filename or "<template>"
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == code_file:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _path_of(error: MissingValue, variables: dict[str, Any]) -> str | None:
    """Where the missing value should have been, such as `variables.items[2].name`; None for what was never a variable."""
    if error.holder is None:
        return f"variables.{error.name}"
    stack: list[tuple[str, Any]] = [("variables", variables)]
    while stack:
        path, value = stack.pop()
        if value is error.holder and isinstance(value, dict | list):
            return f"{path}.{error.name}" if isinstance(value, dict) and error.name != "*" else f"{path}[{error.name}]"
        if isinstance(value, dict):
            stack.extend((f"{path}.{key}", member) for key, member in value.items())
        elif isinstance(value, list):
            stack.extend((f"{path}[{index}]", member) for index, member in enumerate(value))
    return None
