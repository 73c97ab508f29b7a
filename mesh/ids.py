"""Identifiers: UUIDv7 (RFC 9562), so that ids sort by creation time and a table can be partitioned by them."""

import os
import re
import time
import uuid
from datetime import UTC, datetime

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LAST_MS = (1 << 48) - 1
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_last_ms = 0
_counter = 0


def new_uuid() -> uuid.UUID:
    """A UUIDv7 that is greater than every other made in this process (RFC 9562 method 1: 12-bit counter in rand_a)."""
    global _last_ms, _counter  # noqa: PLW0603  one clock per process
    now_ms = time.time_ns() // 1_000_000
    if now_ms > _last_ms:
        _last_ms, _counter = now_ms, int.from_bytes(os.urandom(2)) & 0x7FF
    else:
        _counter += 1
        if _counter > 0xFFF:  # the counter ran over within a millisecond: borrow from the next one
            _last_ms, _counter = _last_ms + 1, 0
    random_62 = int.from_bytes(os.urandom(8)) >> 2
    return uuid.UUID(int=(_last_ms << 80) | _VERSION_7 | (_counter << 64) | _VARIANT | random_62)


def new_id() -> str:
    """A UUIDv7 in its text form."""
    return str(new_uuid())


def time_of(identifier: uuid.UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def least_at(moment: datetime, *, slack_s: float = 0) -> uuid.UUID:
    """The least UUIDv7 that can have been made `slack_s` seconds after `moment`: the bound for ranges and partitions.

    A UUIDv7 counts milliseconds from 1970 in 48 bits; a moment before counts as the first one, a later one than they reach as the last.
    """
    milliseconds = min(max(0, int((moment.timestamp() + slack_s) * 1000)), _LAST_MS)
    return uuid.UUID(int=(milliseconds << 80) | _VERSION_7 | _VARIANT)


def parse(text: str) -> uuid.UUID | None:
    """The id in `text`, or None when it is not a UUID in its 36-character form."""
    if len(text) != 36:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def canonical(text: str) -> str | None:
    """The id in `text` in lower case, or None when it is not one. Costs next to nothing where it is in lower case already."""
    if _CANONICAL.fullmatch(text):
        return text
    parsed = parse(text)
    return None if parsed is None else str(parsed)
