"""What people may type into a field, beyond the lengths that the schema states. Each check answers the value as it is kept."""

import re
import unicodedata
from functools import cache
from zoneinfo import available_timezones

from langcodes import Language
from langcodes.tag_parser import LanguageTagError

from mesh.errors import InvalidArgument

DEFAULT_LOCALE = "en"
DEFAULT_TIMEZONE = "UTC"
MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 256

# Well-formed tags that no text is written in: undetermined, multiple, no linguistic content.
_NO_LANGUAGE = {None, "und", "mul", "zxx"}


def check_locale(field: str, value: str) -> str:
    """The BCP 47 tag in its usual case, such as "pt-BR"; "en" for an empty one. Raises InvalidArgument."""
    if not value:
        return DEFAULT_LOCALE
    if not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", value):
        raise InvalidArgument.of(field, "must be a BCP 47 language tag such as en or pt-BR")
    try:
        language = Language.get(value, normalize=False)
    except LanguageTagError:
        raise InvalidArgument.of(field, "must be a BCP 47 language tag such as en or pt-BR") from None
    if not language.is_valid() or language.language in _NO_LANGUAGE:
        raise InvalidArgument.of(field, "names no known language; use a BCP 47 tag such as en or pt-BR")
    return str(language.to_tag())


def check_timezone(field: str, value: str) -> str:
    """The IANA zone; "UTC" for an empty one. Raises InvalidArgument."""
    if not value:
        return DEFAULT_TIMEZONE
    if value not in _timezones():
        raise InvalidArgument.of(field, "must be an IANA time zone such as Europe/Paris")
    return value


def check_text(field: str, value: str) -> str:
    """One line of text for people. Raises InvalidArgument when it holds control characters."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidArgument.of(field, "must not contain line breaks or other control characters")
    return value


def check_password(field: str, value: str) -> str:
    """Raises InvalidArgument when the password is too short or too long."""
    if not MIN_PASSWORD_LENGTH <= len(value) <= MAX_PASSWORD_LENGTH:
        raise InvalidArgument.of(field, f"must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters")
    return value


def check_word(field: str, value: str) -> str:
    """A short machine-readable word, such as "bounce". Raises InvalidArgument."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", value):
        raise InvalidArgument.of(field, "must be lower-case letters, digits, '_', '.' and '-'")
    return value


@cache
def _timezones() -> frozenset[str]:
    # Reading the whole database takes tens of milliseconds, and it changes with an update of the package only.
    return frozenset(available_timezones())
