"""One line of text, such as a name."""

import unicodedata

from mesh.errors import InvalidArgument

# Letters of Hangul and a pattern of Braille that are blank.
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"


def check_text(field: str, value: str) -> str:
    """One line of text for people. Raises InvalidArgument when it holds control characters."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidArgument.of(field, "must not contain line breaks or other control characters")
    return value


def check_name(field: str, value: str) -> str:
    """What people call a thing or a person by, or nothing. Raises InvalidArgument, also when nothing of it would be seen."""
    if value and not any(_is_seen(character) for character in value):
        raise InvalidArgument.of(field, "must not be blank")
    return check_text(field, value)


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMNPS" and character not in _FILLERS
