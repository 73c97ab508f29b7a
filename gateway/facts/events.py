"""What the providers' events have in common: the values of a JSON document that anyone may have written, and the source of a report."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from gateway.facts.models import Report, settled
from mesh.errors import InvalidArgument, Unauthenticated
from mesh.ids import parse

# What the e-mail worker puts on each mail for the provider to hand back (email_worker/message.py).
ARGUMENT = "clarion_notification_id"
_MOST_KEY = 200


class EventSource(Protocol):
    """A provider that posts events."""

    async def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Report]:
        """The reports that a request holds. Raises BadSignature or InvalidArgument; Unavailable where it can't be checked now."""


class BadSignature(Unauthenticated):
    """The provider has not signed this."""

    reason = "SIGNATURE_INVALID"


def document(body: bytes | str, field: str = "body") -> Any:
    """Raises InvalidArgument for what is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidArgument.of(field, "must be JSON") from None


def part(of: Any, *path: str) -> Any:
    """What stands at the path; None where it does not exist."""
    for name in path:
        of = of.get(name) if isinstance(of, dict) else None
    return of


def text(of: Any, *path: str) -> str:
    """The text at the path; empty where there is none."""
    found = part(of, *path)
    return found if isinstance(found, str) else ""


def key(provider: str, identifier: str) -> str:
    """The provider's name for an event."""
    return f"{provider}:{identifier.replace(chr(0), '')}"[:_MOST_KEY]


def notification_id(value: Any) -> UUID | None:
    """The notification that an argument names; None for what we did not put there."""
    return parse(value) if isinstance(value, str) else None


def moment(value: Any) -> datetime:
    """A time as seconds or in ISO 8601; now where it is neither."""
    try:
        return settled(datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(float(value), UTC))
    except (ValueError, TypeError, OverflowError, OSError):
        return datetime.now(UTC)
