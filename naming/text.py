"""One line of text, such as a name."""

import unicodedata

from mesh.errors import InvalidArgument


def check_text(field: str, value: str) -> str:
    """One line of text for people. Raises InvalidArgument when it holds control characters."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidArgument.of(field, "must not contain line breaks or other control characters")
    return value


def check_name(field: str, value: str) -> str:
    """A line of text that stands alone on a page, or nothing. Raises InvalidArgument, also when it is only spaces."""
    if value.isspace():
        raise InvalidArgument.of(field, "must not be blank")
    return check_text(field, value)
