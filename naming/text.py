"""One line of text, such as a name."""

import unicodedata

from mesh.errors import InvalidArgument

# Letters of Hangul and a pattern of Braille that are blank.
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"
# Control characters, and the two separators that Python and some mail programs take for line ends.
_BREAKS = ("Cc", "Zl", "Zp")
# Embeddings, overrides and isolates: with one of them "photo<RLO>gpj.docm" is shown as "photomcod.jpg".
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_text(field: str, value: str) -> str:
    """One line of text for people. Raises InvalidArgument when it holds control characters."""
    if any(unicodedata.category(character) in _BREAKS for character in value):
        raise InvalidArgument.of(field, "must not contain line breaks or other control characters")
    return value


def check_label(field: str, value: str) -> str:
    """One line that people judge a thing by, such as the name of a file. Raises InvalidArgument, also where it would be shown in another
    order than it is written in.
    """
    if not _TURNING.isdisjoint(value):
        raise InvalidArgument.of(
            field, "must not contain characters that turn the direction of the text (U+202A to U+202E, U+2066 to U+2069)"
        )
    return check_text(field, value)


def check_name(field: str, value: str) -> str:
    """What people call a thing or a person by, or nothing. Raises InvalidArgument, also when nothing of it would be seen."""
    if value and not any(_is_seen(character) for character in value):
        raise InvalidArgument.of(field, "must not be blank")
    return check_text(field, value)


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMNPS" and character not in _FILLERS
