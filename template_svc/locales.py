"""BCP 47 locale tags: one canonical spelling, and the choice of the content that comes nearest to a person's."""

from collections.abc import Collection

from langcodes import Language
from langcodes.tag_parser import LanguageTagError

MAX_TAG_LENGTH = 35

# Well-formed languages that no text is written in: undetermined, multiple, no linguistic content.
_NO_LANGUAGE = frozenset({"und", "mul", "zxx"})


class UnknownLocale(ValueError):
    """A tag that names no language, script or region that exists."""


def canonical(tag: str) -> str:
    """The canonical spelling: `PT_br` is `pt-BR`. Raises UnknownLocale for what does not exist, such as `xx-YY` or `english`."""
    if not tag or len(tag) > MAX_TAG_LENGTH or not tag.isascii():
        raise UnknownLocale(tag)
    try:
        language = Language.get(tag, normalize=True)
    except LanguageTagError:
        raise UnknownLocale(tag) from None
    if not language.language or language.language in _NO_LANGUAGE or not language.is_valid():
        raise UnknownLocale(tag)
    return language.to_tag()


def choose(requested: str, available: Collection[str], default: str) -> str:
    """The nearest of `available` (canonical tags): the same, then shorter forms, then the language elsewhere, then `default`.

    Another region serves only in the same script: who asked for `zh-TW` is not given simplified characters. Never raises: a tag that
    makes no sense gets the default.
    """
    by_fold = {tag.casefold(): tag for tag in available}
    try:
        requested = canonical(requested)
    except UnknownLocale:
        return default
    subtags = requested.casefold().split("-")
    for length in range(len(subtags), 0, -1):
        found = by_fold.get("-".join(subtags[:length]))
        if found is not None and _script(found) == _script(requested):
            return found
    for tag in sorted(available):
        if tag.casefold().split("-")[0] == subtags[0] and _script(tag) == _script(requested):
            return tag
    return default


def _script(tag: str) -> str | None:
    """The script that a tag names or implies."""
    return Language.get(tag).maximize().script
