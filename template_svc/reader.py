"""Whom a text is for, as far as it decides how dates, numbers and plurals are written. The data is that of the CLDR, through Babel."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from langcodes import Language

PLURAL_CLASSES = ("zero", "one", "two", "few", "many", "other")
# The scripts of ISO 15924 that CLDR's scriptMetadata.txt says are written from right to left.
_RIGHT_TO_LEFT = frozenset(
    {
        "Adlm", "Arab", "Aran", "Armi", "Avst", "Chrs", "Cprt", "Elym", "Gara", "Hatr", "Hebr", "Hung", "Khar", "Lydi", "Mand", "Mani",
        "Mend", "Merc", "Mero", "Narb", "Nbat", "Nkoo", "Orkh", "Palm", "Phli", "Phlp", "Phnx", "Prti", "Rohg", "Samr", "Sarb", "Sogd",
        "Sogo", "Syrc", "Thaa", "Yezi",
    }
)  # fmt: skip


class Reader(NamedTuple):
    """Whom a text is for: how dates and numbers are written, the time zone, and the present moment (for `relative`)."""

    locale: Locale
    zone: tzinfo
    now: datetime


def reader_of(tag: str, time_zone: str, now: datetime) -> Reader:
    """The reader with this BCP 47 locale and IANA time zone; UTC where there is none or it does not exist."""
    return Reader(locale_of(tag), _zone_of(time_zone), now)


@lru_cache(maxsize=1000)
def locale_of(tag: str) -> Locale:
    """The nearest that CLDR has data of: `en-US-u-va-posix` is read as `en-US`, a language without any as CLDR's root."""
    subtags = tag.partition("-u-")[0].split("-")
    for length in range(len(subtags), 0, -1):
        try:
            return Locale.parse("-".join(subtags[:length]), sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse("root")


def read_tables() -> None:
    """Reads what Babel would read at the first use: the tables that all languages share, and those of English."""
    locale = locale_of("en")
    locale.plural_form(1)
    locale.ordinal_form(1)
    len(locale.decimal_formats)


@lru_cache(maxsize=1000)
def right_to_left(tag: str) -> bool:
    """Whether the script that the locale names or implies is written from right to left: `ar-Latn` is not, `ky-CN` is."""
    return Language.get(tag).maximize().script in _RIGHT_TO_LEFT


@lru_cache(maxsize=1000)
def plural_classes(tag: str) -> tuple[str, ...]:
    """The classes that whole numbers have in this language, in CLDR's order: ("one", "few", "many") in Polish."""
    rule = locale_of(tag).plural_form
    found = {rule(count) for count in range(1001)}
    return tuple(each for each in PLURAL_CLASSES if each in found)


@lru_cache(maxsize=1000)
def _zone_of(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, KeyError):  # of which zoneinfo raises each
        return UTC
