"""`{% trans %}` and `{% pluralize %}`: the catalogue's text takes the place of the written one when a content is compiled.

Each locale of a version is compiled by itself, so a translation costs nothing when it is rendered, and what it does with its variables
is checked like the text that it stands for: a placeholder in a URL is guarded there, wherever the translator has put it.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from gettext import c2py
from typing import Any, NamedTuple

from jinja2 import nodes
from jinja2.environment import Environment
from jinja2.ext import Extension, InternationalizationExtension
from jinja2.parser import Parser
from jinja2.runtime import Undefined

from template_svc.arguments import number
from template_svc.models import Message
from template_svc.reader import locale_of
from template_svc.sandbox import raise_missing

# Names that no author can write: a test has no spaces in its name.
GETTEXT_FORM = "gettext form"
PLURAL_IN = "plural in"
MAX_FORMULA = 1000
PLACEHOLDER = re.compile(r"%(?:\((?P<name>\w+)\)s|%)")


class Translations(NamedTuple):
    """A catalogue as contents carry it: `forms` by `Message.key`, chosen among by `formula` (the C expression of a gettext header)."""

    formula: str
    forms: Mapping[str, tuple[str, ...]]


def placeholders(text: str) -> Iterator[str]:
    """The variables in a translated text, such as "name" in "Hello %(name)s"."""
    return (found["name"] for found in PLACEHOLDER.finditer(text) if found["name"])


class Translating:
    """What a compilation translates with, and what it finds to be translated."""

    def __init__(self) -> None:
        self.source_locale = "en"
        self.translations: Translations | None = None
        self.found: list[Message] = []
        self.part = ""
        self.line = 1

    def begin(self, source_locale: str, translations: Translations | None, found: list[Message]) -> None:
        """To be called before a content is compiled, whose texts are added to `found`."""
        self.source_locale, self.translations, self.found = source_locale, translations, found


class TranslationExtension(InternationalizationExtension):
    """Jinja2's own reading of the tags, with another node for them."""

    def __init__(self, environment: Environment) -> None:
        Extension.__init__(self, environment)  # the parent would install functions
        self.translating = Translating()

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Reads one `trans`."""
        self.translating.line = parser.stream.current.lineno
        return super().parse(parser)

    def _make_node(  # type: ignore[override]  # noqa: PLR0917  the parent's; it promises one Output, but takes any statement
        self,
        singular: str,
        plural: str | None,
        context: str | None,
        variables: dict[str, nodes.Expr],
        plural_expr: nodes.Expr | None,
        vars_referenced: bool,
        num_called_num: bool,  # noqa: ARG002  the parent's signature
    ) -> nodes.Node:
        work = self.translating
        if not vars_referenced:  # as gettext's tools read it: a text without placeholders is no format
            singular, plural = singular.replace("%%", "%"), plural and plural.replace("%%", "%")
        message = Message(work.part, work.line, context or "", singular, plural or "", tuple(sorted(variables)))
        work.found.append(message)
        translated = work.translations.forms.get(message.key) if work.translations is not None else None

        def output(text: str) -> nodes.Output:
            return nodes.Output(_pieces(text, variables if vars_referenced else {}))

        if plural_expr is None:
            return output(translated[0] if translated else singular)
        if translated and work.translations is not None:
            formula = work.translations.formula
            tests = [nodes.Test(deepcopy(plural_expr), GETTEXT_FORM, [nodes.Const(index), nodes.Const(formula)], [], None, None)
                     for index in range(len(translated) - 1)]  # fmt: skip
            forms = translated
        else:
            tests = [nodes.Test(deepcopy(plural_expr), PLURAL_IN, [nodes.Const(work.source_locale), nodes.Const("one")], [], None, None)]
            forms = (singular, plural or "")
        if not tests:
            return output(forms[0])
        first, *others = (nodes.If(test, [output(form)], [], []) for test, form in zip(tests, forms, strict=False))
        first.elif_ = others
        first.else_ = [output(forms[-1])]
        return first


def _pieces(text: str, variables: Mapping[str, nodes.Expr]) -> list[nodes.Expr]:
    pieces: list[nodes.Expr] = []
    position = 0
    for found in PLACEHOLDER.finditer(text) if variables else ():
        literal = text[position : found.start()] + ("" if found["name"] else "%")
        if literal:
            pieces.append(nodes.TemplateData(literal))
        if found["name"] in variables:  # checked when the catalogue was taken
            pieces.append(deepcopy(variables[found["name"]]))
        position = found.end()
    if text[position:] or not pieces:
        pieces.append(nodes.TemplateData(text[position:]))
    return pieces


@lru_cache(maxsize=200)
def formula_of(text: str) -> Any:
    """The function of a gettext formula. Raises ValueError for what is none."""
    if len(text) > MAX_FORMULA:
        raise ValueError(text)
    return c2py(text)


def is_gettext_form(value: Any, index: int, formula: str) -> bool:
    """Whether the catalogue's formula chooses this form; numbers with a fraction, of which gettext knows none, have the last, and so
    have those for which the formula has no value.
    """
    count = _count(value)
    try:
        return type(count) is int and formula_of(formula)(abs(count)) == index
    except ArithmeticError:  # a formula that divides by zero for numbers of which none was tried when it was taken
        return False


def is_plural_in(value: Any, locale: str, plural_class: str) -> bool:
    """Whether the number has this class in that language."""
    return bool(locale_of(locale).plural_form(abs(_count(value))) == plural_class)


def _count(value: Any) -> Any:
    if isinstance(value, Undefined):
        raise_missing(value)
    count = number("pluralize", value)
    return int(count) if count == int(count) else count
