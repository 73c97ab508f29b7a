"""Keyset pages: how many entries to read, where the next page starts, and the opaque token that carries it.

A token is bound to the list it came from and to the filters it was made with, so that a page is never continued in
another order or under another question. It is opaque, not secret: it holds only what the last entry already showed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from mesh.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

_FINGERPRINT_BYTES = 8
_MAX_BIGINT = 2**63 - 1

Value = str | int | datetime | UUID
T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some entries of a list, and the token of what follows (empty after the last)."""

    items: tuple[T, ...]
    next_token: str


def filter_text(given: str) -> str | None:
    """What a filter asks for, None where it asks for anything. PostgreSQL takes no NUL. Leaving it out would ask for
    another text, or for all; what stands in for it is in no name.
    """
    return given.replace("\0", "\ufffd") or None


def page_size(requested: int) -> int:
    """The number of entries to answer: 0 means 50; more than 200 or less than 0 is refused."""
    if requested < 0 or requested > MAX_PAGE_SIZE:
        raise InvalidArgument.of("page_size", f"must be between 0 and {MAX_PAGE_SIZE}")
    return requested or DEFAULT_PAGE_SIZE


class Cursor:
    """Reads and writes the page tokens of one list; `kinds` are the types of the columns it is ordered by."""

    def __init__(self, name: str, *kinds: type[Value]) -> None:
        self._name = name
        self._kinds = kinds

    def token(self, position: Sequence[Value], filters: Mapping[str, object] | None = None) -> str:
        """The token of the page that follows `position`, the ordering values of the last entry shown."""
        if tuple(type(value) for value in position) != self._kinds:
            raise TypeError(f"a position of {self._name} holds {[kind.__name__ for kind in self._kinds]}")
        values = json.dumps([_to_json(value) for value in position], separators=(",", ":"))
        return base64.urlsafe_b64encode(self._fingerprint(filters) + values.encode()).decode().rstrip("=")

    def position(self, token: str, filters: Mapping[str, object] | None = None) -> tuple[Value, ...] | None:
        """The position that a token stands for; None for the empty token. InvalidArgument when it does not fit."""
        if not token:
            return None
        raw = _decode(token)
        if raw[:_FINGERPRINT_BYTES] != self._fingerprint(filters):
            raise InvalidArgument.of("page_token", "was made by another list or with other filters; start from the first page")
        try:
            values = json.loads(raw[_FINGERPRINT_BYTES:])
            return tuple(_from_json(kind, value) for kind, value in zip(self._kinds, values, strict=True))
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise _malformed() from None

    def page(self, rows: Sequence[tuple[Sequence[Value], T]], size: int, filters: Mapping[str, object] | None = None) -> Page[T]:
        """A page of `size` entries out of up to `size + 1` rows of (position, entry): the extra one shows that more follow."""
        shown = rows[:size]
        more = len(rows) > size
        return Page(tuple(item for _, item in shown), self.token(shown[-1][0], filters) if more else "")

    def _fingerprint(self, filters: Mapping[str, object] | None) -> bytes:
        described = json.dumps([self._name, sorted((filters or {}).items())], default=str)
        return hashlib.sha256(described.encode()).digest()[:_FINGERPRINT_BYTES]


def _malformed() -> InvalidArgument:
    return InvalidArgument.of("page_token", "is not a token that this API made; use next_page_token of the page before")


def _decode(token: str) -> bytes:
    try:
        return base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _malformed() from None


def _to_json(value: Value) -> str | int:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, UUID) else value


def _from_json(kind: type[Value], value: object) -> Value:
    if kind is int:
        if type(value) is not int or abs(value) > _MAX_BIGINT:
            raise ValueError(value)
        return value
    # A forged token must not carry what PostgreSQL refuses: NUL, or half of a surrogate pair.
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    value.encode()  # raises a ValueError for half a pair
    if kind is UUID:
        return UUID(value)
    return datetime.fromisoformat(value).astimezone(UTC) if kind is datetime else value
