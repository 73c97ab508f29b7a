"""What people may type into a field, beyond the lengths that the schema states. Each check answers the value as it is kept."""

import re

from mesh.errors import InvalidArgument
from naming.locales import check_locale
from naming.time_zones import check_time_zone

DEFAULT_LOCALE = "en"
DEFAULT_TIMEZONE = "UTC"


def locale_or_default(field: str, value: str) -> str:
    """The canonical BCP 47 tag; "en" for an empty one. Raises InvalidArgument."""
    return check_locale(field, value) if value else DEFAULT_LOCALE


def timezone_or_default(field: str, value: str) -> str:
    """The IANA zone's present name; "UTC" for an empty one. Raises InvalidArgument."""
    return check_time_zone(field, value) if value else DEFAULT_TIMEZONE


def check_word(field: str, value: str) -> str:
    """A short machine-readable word, such as "bounce". Raises InvalidArgument."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", value):
        raise InvalidArgument.of(field, "must be lower-case letters, digits, '_', '.' and '-'")
    return value
