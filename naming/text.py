"""One line of text, such as a name."""

import unicodedata

from mesh.errors import InvalidArgument


def check_text(field: str, value: str) -> str:
    """One line of text for people. Raises InvalidArgument when it holds control characters."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidArgument.of(field, "must not contain line breaks or other control characters")
    return value
