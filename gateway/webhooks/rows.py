"""Rows of the webhook tables as models, for the repository of owners and that of the process that posts."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gateway.notifications.models import Channel, Status
from gateway.webhooks.models import MAX_ATTEMPTS_KEPT, Attempt, Delivery, DeliveryState, Selection

# The end of the feed of an endpoint's project.
LAST = """
COALESCE((
    SELECT b.first_position + cardinality(b.seqs) - 1 FROM change_batches b
    WHERE b.project = e.project ORDER BY b.first_position DESC LIMIT 1
), 0)
"""
# What `delivery_of` reads.
DELIVERY = "id, type, position, notification_id, state, due_at, create_time, attempts, tries"


def selection_of(row: Any) -> Selection:
    return Selection(
        statuses=tuple(map(Status, row["statuses"])),
        channel=None if row["channel"] is None else Channel(row["channel"]),
        template=row["template"],
        category=row["category"],
        metadata=_json(row["metadata"]),
        user_id=None if row["user_id"] is None else UUID(int=row["user_id"].int),
    )


def delivery_of(row: Any) -> Delivery:
    attempts = tuple(Attempt(datetime.fromtimestamp(unix_ms / 1000, UTC), *rest) for unix_ms, *rest in _json(row["attempts"]))
    return Delivery(
        id=row["id"],
        type=row["type"],
        position=row["position"],
        notification_id=None if row["notification_id"] is None else UUID(int=row["notification_id"].int),
        state=DeliveryState(row["state"]),
        due_at=row["due_at"],
        create_time=row["create_time"],
        attempts=attempts,
        tries=row["tries"],
    )


def attempts_text(attempts: Sequence[Attempt]) -> str:
    """The last ones, as the table holds them."""
    kept = attempts[-MAX_ATTEMPTS_KEPT:]
    return json.dumps([[round(one.time.timestamp() * 1000), one.duration_ms, one.status, one.reason, one.reply] for one in kept])


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
