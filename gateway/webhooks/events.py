"""What is posted: the payload of an event, small and without personal data beyond ids. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from gateway.changes.models import Change

MOST_BYTES = 20_000


def event_type(change: Change) -> str:
    """Such as "notification.sent", or "notification.hard_bounced" for a fact."""
    return f"notification.{(change.fact or change.status).name.lower()}"


def event_body(kind: str, moment: datetime, data: Mapping[str, Any]) -> bytes:
    """The JSON of an event, by the shape that Standard Webhooks recommends."""
    return orjson.dumps({"type": kind, "timestamp": _text(moment), "data": data})


def change_body(change: Change) -> bytes:
    """The event of a change; names and words are those of the REST API."""
    data = {
        "cursor": str(change.position),
        "notification_id": str(change.notification_id),
        "status": change.status.name.lower(),
        "reason": change.reason,
        "attempt": change.attempt,
        "run": change.run,
        "time": _text(change.time),
        "user_id": str(change.user_id),
        "channel": change.channel.key,
        "template": change.template,
        "category": change.category,
        "metadata": dict(change.metadata),
        "correlation_id": change.correlation_id,
        "test": change.test,
        **({"fact": change.fact.name.lower()} if change.fact is not None else {}),
    }
    body = event_body(event_type(change), change.time, data)
    if len(body) < MOST_BYTES:
        return body
    # labels are what can be so long
    return event_body(event_type(change), change.time, data | {"metadata": {}, "metadata_omitted": True})


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
