"""What people may type into a field, beyond the lengths that the schema states. Each check answers the value as it is kept."""

import re
import unicodedata
from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mesh.errors import InvalidArgument
from naming.locales import check_locale
from naming.time_zones import check_time_zone

_LONGEST_PATH, _MOST_PATHS = 64, 10  # characters of a path, and paths, that an error repeats
DEFAULT_LOCALE = "en"
DEFAULT_TIMEZONE = "UTC"


def locale_or_default(field: str, value: str) -> str:
    """The canonical BCP 47 tag; "en" for an empty one. Raises InvalidArgument."""
    return check_locale(field, value) if value else DEFAULT_LOCALE


def timezone_or_default(field: str, value: str) -> str:
    """The IANA zone's present name; "UTC" for an empty one. Raises InvalidArgument."""
    return check_time_zone(field, value) if value else DEFAULT_TIMEZONE


def masked_fields(mask: FieldMask, given: Message, changeable: Sequence[str]) -> set[str]:
    """The fields to change (AIP-134): those that the mask names, all of them for "*", those that are set in `given` without one.

    A part of a field stands for the field. Raises InvalidArgument for one that can't be changed.
    """
    paths = {path.partition(".")[0] for path in mask.paths}
    if "*" in paths:
        return set(changeable)
    if not paths:
        return {field.name for field, _ in given.ListFields() if field.name in changeable}
    unknown = sorted(paths.difference(changeable))
    if unknown:
        names = ", ".join(path[:_LONGEST_PATH] for path in unknown[:_MOST_PATHS])
        raise InvalidArgument.of("update_mask", f"can't change {names}; it may hold {', '.join(changeable)} or *")
    return paths


def check_text(field: str, value: str) -> str:
    """One line of text for people. Raises InvalidArgument when it holds control characters."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidArgument.of(field, "must not contain line breaks or other control characters")
    return value


def check_word(field: str, value: str) -> str:
    """A short machine-readable word, such as "bounce". Raises InvalidArgument."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", value):
        raise InvalidArgument.of(field, "must be lower-case letters, digits, '_', '.' and '-'")
    return value
