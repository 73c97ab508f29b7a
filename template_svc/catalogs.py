"""Message catalogues (gettext PO): read for a version, checked against its texts, and written for translators with what is left to do."""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as Entry
from babel.messages.pofile import PoFileError, read_po, write_po

from template_svc.models import Message, key_of
from template_svc.reader import locale_of
from template_svc.translation import PLACEHOLDER, Translations, formula_of, placeholders

MAX_CATALOG = 500_000
MAX_NAMED = 10
# What is left of a translation without its placeholders, and was meant to be one: `%(name)d`, `%(name`.
_HALF_PLACEHOLDER = re.compile(r"%\([^)\s]{0,64}\)?.?")
# A line whose text is not closed.
_UNCLOSED = re.compile(r"\s*(?:msg(?:ctxt|id|id_plural|str(?:\[\d+\])?)\s*)?\"(?:[^\"\\]|\\.)*\\?\s*")
_PLURAL_FORMS = re.compile(r"\s*nplurals\s*=\s*(?P<count>[1-6])\s*;\s*plural\s*=\s*(?P<formula>[^;]{1,1000});?\s*")
# Numbers of every class of every language.
_SAMPLES = (*range(201), 1000, 1001, 10**6, 10**6 + 1)


class CatalogFault(Exception):
    """A catalogue that can't be used; the message is for its author."""


def read_catalog(text: str, locale: str, messages: Sequence[Message]) -> tuple[Translations, list[str]]:
    """The translations of `messages` in a PO file, and what is wrong with some. What is fuzzy or empty counts as not translated.

    Raises CatalogFault where the whole can't be read.
    """
    catalog, formula = _read(text, locale)
    wanted = {message.key: message for message in messages}
    forms: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for entry in catalog:
        if not entry.id or entry.fuzzy:
            continue
        key = key_of(entry.context or "", entry.id if isinstance(entry.id, str) else entry.id[0])
        message = wanted.get(key)
        texts = (entry.string,) if isinstance(entry.string, str) else tuple(entry.string or ())
        if message is None or not all(texts):
            continue
        if bool(message.plural) != isinstance(entry.id, tuple):
            problems.append(f"{_at(entry)} has {'no ' if message.plural else 'a '}plural, unlike the template's text")
        else:
            unknown = {name for each in texts for name in placeholders(each)} - set(message.variables)
            if unknown:
                problems.append(f"{_at(entry)} uses {', '.join(map(repr, sorted(unknown)))}, which the template's text does not have")
            halves = [half for each in texts for half in _half_placeholders(each)] if message.variables else []
            if halves:
                problems.append(
                    f"{_at(entry)} has {halves[0]!r}, which is no placeholder; they are written like %({message.variables[0]})s"
                )
            forms[key] = texts
    return Translations(formula, forms), problems[:MAX_NAMED]


def write_catalog(locale: str, messages: Sequence[Message], translations: Mapping[str, Sequence[str]], name: str) -> str:
    """A PO file with every text of a template, translated where `translations` has it. The same input gives the same bytes."""
    catalog = Catalog(locale=_babel_name(locale), project=name, charset="utf-8", fuzzy=False)
    count = catalog.num_plurals
    for message in messages:
        identifier: Any = (message.text, message.plural) if message.plural else message.text
        known = tuple(translations.get(message.key, ()))
        string: Any = (known or ("",) * count) if message.plural else (known[0] if known else "")
        flags = ["python-format"] if message.variables else []
        catalog.add(identifier, string, [(message.part, message.line)], flags, context=message.context or None)
    written = BytesIO()
    write_po(written, catalog, width=0, sort_by_file=True, omit_header=True)
    header = (
        'msgid ""\nmsgstr ""\n'
        f'"Language: {_babel_name(locale)}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
        f'"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    )
    return header + written.getvalue().decode()


def _read(text: str, locale: str) -> tuple[Catalog, str]:
    if len(text) > MAX_CATALOG:
        raise CatalogFault(f"must have at most {MAX_CATALOG} characters")
    text = text.removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), 1):
        if _UNCLOSED.fullmatch(line):
            raise CatalogFault(f"line {number}: has a text without its closing quotation mark")
    try:
        # as a text: of bytes, the header would say in which encoding they are
        catalog = read_po(StringIO(text), locale=_babel_name(locale), charset="utf-8", abort_invalid=True)
        header = dict(catalog.mime_headers).get("Plural-Forms", "")
    except PoFileError as error:
        raise CatalogFault(f"line {error.lineno + 1}: {_plain(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError, SyntaxError):
        raise CatalogFault("is not a gettext PO file") from None
    if not len(catalog):
        raise CatalogFault("is not a gettext PO file, or has no entry")
    found = _PLURAL_FORMS.fullmatch(header)
    if found is None:
        raise CatalogFault("its Plural-Forms must be like nplurals=2; plural=(n != 1);")
    count, formula = int(found["count"]), found["formula"].strip()
    try:
        function = formula_of(formula)
        if any(not 0 <= function(number) < count for number in _SAMPLES):
            raise CatalogFault(f"its Plural-Forms gives forms beyond nplurals={count}")
    except (ValueError, ArithmeticError, RecursionError):
        raise CatalogFault("its Plural-Forms is no formula of gettext") from None
    return catalog, formula


def _half_placeholders(text: str) -> list[str]:
    """What looks like a placeholder and is none."""
    return _HALF_PLACEHOLDER.findall(PLACEHOLDER.sub("", text))


def _plain(error: PoFileError) -> str:
    return str(error).partition(" on ")[0] or "is not valid PO"


def _at(entry: Entry) -> str:
    return f"line {entry.lineno}: the translation" if entry.lineno else "a translation"


def _babel_name(locale: str) -> str:
    found = str(locale_of(locale))
    return "en" if found == "root" else found
