"""Locales: one canonical BCP 47 spelling (RFC 5646, with the aliases of CLDR), and the choice of the content nearest to a person's."""

import re
from collections.abc import Collection
from functools import lru_cache

from langcodes import Language, tag_distance
from langcodes.tag_parser import LanguageTagError

from mesh.errors import InvalidArgument

MAX_TAG_LENGTH = 35

# Well-formed languages that no text is written in: undetermined, multiple, no linguistic content.
_NO_LANGUAGE = frozenset({"und", "mul", "zxx"})
_LANGUAGE = re.compile(r"[a-z]{2,8}")
# POSIX locale names: language[_TERRITORY][.codeset][@modifier] (POSIX.1-2024, 8.2).
_POSIX = re.compile(r"(?P<tag>[A-Za-z0-9_-]+)(?:\.[A-Za-z0-9-]+)?(?:@(?P<modifier>[A-Za-z0-9]+))?")
_SCRIPT_OF_MODIFIER = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}
# The variant that CLDR has replaced by an extension (UTS 35, annex C).
_POSIX_VARIANT = re.compile(r"(?<!-u-va)[-_]posix$", re.IGNORECASE)
# ISO 639-3 counts both written standards under the macro-language; langcodes keeps the three apart.
_MACRO_LANGUAGE = {"nb": "no", "nn": "no"}


class UnknownLocale(ValueError):
    """A tag that names no language, script or region that exists."""


@lru_cache(maxsize=4096)
def canonical(tag: str) -> str:
    """The canonical spelling: `PT_br` is `pt-BR`, `iw` is `he`, `en-US-POSIX` is `en-US-u-va-posix`, `pt_BR.UTF-8` is `pt-BR`.

    Raises UnknownLocale for what does not exist, such as `xx-YY` or `english`.
    """
    posix = _POSIX.fullmatch(tag) if len(tag) <= MAX_TAG_LENGTH else None
    if posix is None:
        raise UnknownLocale(tag)
    try:
        language = Language.get(_POSIX_VARIANT.sub("-u-va-posix", posix["tag"]), normalize=True)
    except LanguageTagError:
        raise UnknownLocale(tag) from None
    name = language.language or ""
    if name in _NO_LANGUAGE or not _LANGUAGE.fullmatch(name) or not language.is_valid():
        raise UnknownLocale(tag)
    script = _SCRIPT_OF_MODIFIER.get((posix["modifier"] or "").lower())
    if script is not None:
        language = language.update_dict({"script": script})
    written = str(language.to_tag())
    if len(written) > MAX_TAG_LENGTH:  # what is longer than it was given fits no field any more
        raise UnknownLocale(tag)
    return written


def check_locale(field: str, value: str) -> str:
    """The canonical spelling of what a caller typed. Raises InvalidArgument, naming the field."""
    try:
        return canonical(value)
    except UnknownLocale:
        raise InvalidArgument.of(field, "is not a known locale; give a BCP 47 language tag such as en, pt-BR or zh-Hant") from None


def choose(requested: str, available: Collection[str], default: str) -> str:
    """The nearest of `available`: the same, its parents by CLDR (`es-MX`, `es-419`, `es`), the language elsewhere, `default`.

    Another region serves only in the same script: `zh-TW` is served by `zh-Hant`, never by `zh`, which is in simplified characters. A
    macro-language stands for its members, and they for it and each other (`no`, `nb`, `nn`; `zh`, `cmn`). Never raises: a tag that makes
    no sense gets the default.
    """
    try:
        wanted = canonical(requested)
    except UnknownLocale:
        return default
    same_language = {_canonical_or_same(tag).casefold(): tag for tag in sorted(available, reverse=True) if _same_writing(tag, wanted)}
    for each in _with_parents(wanted):
        found = same_language.get(each.casefold())
        if found is not None:
            return found
    return min(same_language.values(), key=lambda tag: (tag_distance(wanted, tag), tag), default=default)


def chain(requested: str, chosen: str) -> tuple[str, ...]:
    """The locales that were looked for, in order, of which only the last was there: ("pt-BR", "pt"); that alone for a senseless tag."""
    try:
        tried = _with_parents(canonical(requested))
    except UnknownLocale:
        return (chosen,)
    matching = [tag.casefold() for tag in tried]
    folded = _canonical_or_same(chosen).casefold()
    return (*tried[: matching.index(folded) if folded in matching else None], chosen)


def format_locale(requested: str, chosen: str) -> str:
    """The locale that dates and numbers are written in: the person's own where it is of the chosen text's language and script, else the
    text's. An English text for `en-GB` has its dates in the British way.
    """
    try:
        wanted = canonical(requested)
    except UnknownLocale:
        return chosen
    return wanted if _same_writing(chosen, wanted) else chosen


@lru_cache(maxsize=4096)
def _with_parents(wanted: str) -> tuple[str, ...]:
    """A canonical tag and those that stand in for it, nearest first: `es-MX`, `es-419`, `es`. Only those in the same script."""
    from babel.core import get_global  # half of the processes that import this module never choose, and do without the tables

    parents = get_global("parent_exceptions")
    found = [wanted]
    while True:
        nearest = found[-1]
        parent = parents.get(nearest.replace("-", "_"), "").replace("_", "-")
        shorter = parent if _same_writing(parent, wanted) else nearest.rpartition("-")[0]
        if not shorter:
            return tuple(tag for tag in found if _same_writing(tag, wanted))
        found.append(shorter)


def _canonical_or_same(tag: str) -> str:
    """What was stored before an alias entered CLDR must still be found."""
    try:
        return canonical(tag)
    except UnknownLocale:
        return tag


def _same_writing(tag: str, wanted: str) -> bool:
    """False for what is no tag."""
    try:
        return _writing(tag) == _writing(wanted)
    except LanguageTagError:
        return False


@lru_cache(maxsize=4096)
def _writing(tag: str) -> tuple[str | None, str | None]:
    """The macro-language, and the script that the tag names or implies."""
    language = Language.get(tag, normalize=True)
    name = language.prefer_macrolanguage().language
    return _MACRO_LANGUAGE.get(name or "", name), language.maximize().script
