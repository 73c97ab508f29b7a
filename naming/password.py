"""Passwords: one form for what different keyboards send for the same text."""

from functools import cache
from typing import Any

import precis_i18n


class UnusablePassword(ValueError):
    """A text with control or other invisible characters, or none at all."""


def canonical_password(text: str) -> str:
    """The OpaqueString form (RFC 8265 section 4.2): NFC, every kind of space as U+0020; case is kept. Raises UnusablePassword."""
    if text.isascii() and text.isprintable() and text:
        return text
    try:
        return str(_profile().enforce(text))
    except UnicodeError:
        raise UnusablePassword from None


@cache
def _profile() -> Any:
    return precis_i18n.get_profile("OpaqueString")
