"""Rows that are valid by default; keywords say what matters to a test."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.accepting.models import Acceptance, Row
from gateway.notifications.models import Channel, Priority, Status
from mesh.context import FIRST_PROJECT
from mesh.ids import new_uuid


def make_row(*, key: bytes | None = None, fingerprint: bytes = b"f" * 32, **changes: Any) -> Row:
    """A pending notification whose lease runs; `key` gives it an idempotency record."""
    now = datetime.now(UTC)
    identifier = changes.pop("id", new_uuid())
    row = Row(
        id=identifier,
        project=FIRST_PROJECT,
        test=False,
        user_id=new_uuid(),
        channel=Channel.EMAIL,
        template="welcome",
        template_version=1,
        locale="",
        priority=Priority.NORMAL,
        category="",
        status=Status.PENDING,
        metadata=None,
        create_time=now,
        send_at=None,
        expires_at=None,
        dispatch_at=now + timedelta(seconds=3),
        caller="api_key:test",
        correlation_id="c-1",
        payload=b"",
        resent_from=None,
        digest=None,
        fingerprint=None,
        response=None,
    )._replace(**changes)
    if not row.payload:
        row = row._replace(payload=make_delivery(row).SerializeToString())
    if key is not None:
        response = Acceptance(identifier, Status(row.status), row.create_time).pack()
        row = row._replace(digest=key * 32, fingerprint=fingerprint, response=response)
    return row


def make_delivery(row: Row) -> Delivery:
    """The delivery of a row."""
    return Delivery(
        notification_id=str(row.id),
        project=row.project,
        test=row.test,
        attempt=1,
        channel=row.channel,  # type: ignore[arg-type]  # a number of the same enum
        priority=row.priority,  # type: ignore[arg-type]  # enum numbers are ints
        user_id=str(row.user_id),
        template=row.template,
        template_version=row.template_version,
        correlation_id=row.correlation_id,
    )
