"""Pure mapping between messages and models."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from clarion.channel.v1 import channel_pb2
from clarion.delivery.v1 import delivery_pb2
from clarion.notification.v1 import notification_pb2, notification_service_pb2
from gateway.notifications.models import Channel, DeviceResult, Entry, Filters, Notification, Outcome, Priority, Status
from gateway.sending.models import Acceptance, Draft, TemplateSummary
from mesh.errors import InvalidArgument
from mesh.timestamps import from_timestamp, to_timestamp


def draft_of(request: notification_service_pb2.SendNotificationRequest) -> Draft:
    """What is asked for. Raises InvalidArgument for an enum number or a time that does not exist."""
    return Draft(
        user_id=request.user_id,
        channel=channel_of(request.channel),
        template=request.template,
        variables=request.variables,
        locale=request.locale,
        priority=_priority_of(request.priority),
        send_at=from_timestamp("send_at", request.send_at) if request.HasField("send_at") else None,
        expires_at=from_timestamp("expires_at", request.expires_at) if request.HasField("expires_at") else None,
        category=request.category,
        metadata=dict(request.metadata) if request.metadata else {},
    )


def fingerprint_of(request: notification_service_pb2.SendNotificationRequest) -> bytes:
    """SHA-256 of what is asked, whatever the transport: two requests with one idempotency key must agree in it."""
    canonical = request
    if request.request_id:
        canonical = notification_service_pb2.SendNotificationRequest()
        canonical.CopyFrom(request)
        canonical.ClearField("request_id")
    return hashlib.sha256(canonical.SerializeToString(deterministic=True)).digest()


def send_response(accepted: Acceptance) -> notification_service_pb2.SendNotificationResponse:
    """The answer to a send."""
    response = notification_service_pb2.SendNotificationResponse(id=str(accepted.id), status=_status(accepted.status))
    response.create_time.FromDatetime(accepted.create_time)
    return response


def delivery_bytes(
    draft: Draft, identifier: str, template: TemplateSummary, *, accepted: datetime, correlation_id: str, traceparent: str
) -> bytes:
    """The payload of a new notification: the serialized Delivery of its first attempt."""
    delivery = delivery_pb2.Delivery(
        notification_id=identifier,
        attempt=1,
        channel=channel_pb2.Channel.ValueType(draft.channel),
        priority=notification_pb2.Priority.ValueType(draft.priority),
        user_id=draft.user_id,
        template=draft.template,
        template_version=template.published_version,
        locale=draft.locale,
        variables=draft.variables,
        category=draft.category or template.category,
        mandatory=template.mandatory,
        on_unknown=template.on_unknown,  # type: ignore[arg-type]  # a number of the same enum
        correlation_id=correlation_id,
        traceparent=traceparent,
    )
    delivery.accept_time.FromDatetime(accepted)
    if draft.expires_at is not None:
        delivery.expire_time.FromDatetime(draft.expires_at)
    return delivery.SerializeToString()


def envelope(payloads: Iterable[bytes]) -> bytes:
    """A serialized DeliveryRequested around serialized deliveries, without parsing them: field 1, length-delimited."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (b"\x0a", _varint(len(payload)), payload)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def outcome_of(message: delivery_pb2.Outcome) -> Outcome | None:
    """A worker's outcome; None when it names no notification or no status that we know."""
    try:
        identifier, status = UUID(message.notification_id), Status(message.status)
        when = message.time.ToDatetime(UTC) if message.HasField("time") else datetime.now(UTC)
        entry = Entry(
            time=when,
            status=status,
            run=message.run,
            attempt=message.attempt,
            reason=message.reason.replace("\0", ""),
            detail=message.detail.replace("\0", ""),
            next_attempt_time=message.next_attempt_time.ToDatetime(UTC) if message.HasField("next_attempt_time") else None,
            start_time=message.start_time.ToDatetime(UTC) if message.HasField("start_time") else None,
            devices=tuple(DeviceResult(d.device_id, d.accepted, d.reason) for d in message.devices),
            provider=message.provider.replace("\0", ""),
        )
    except (ValueError, OverflowError):
        return None
    return Outcome(identifier, entry, message.locale)


def notification_message(notification: Notification) -> notification_pb2.Notification:
    """A notification for its readers."""
    message = notification_pb2.Notification(
        id=str(notification.id),
        user_id=str(notification.user_id),
        channel=channel_pb2.Channel.ValueType(notification.channel),
        template=notification.template,
        template_version=notification.template_version,
        locale=notification.locale,
        priority=notification_pb2.Priority.ValueType(notification.priority),
        category=notification.category,
        status=_status(notification.status),
        reason=notification.reason,
        attempts=notification.progress.attempts,
        metadata=notification.metadata,
        correlation_id=notification.correlation_id,
        timeline=_timeline(notification.timeline),
    )
    message.create_time.FromDatetime(notification.create_time)
    message.update_time.FromDatetime(notification.update_time)
    if notification.send_at is not None:
        message.send_at.FromDatetime(notification.send_at)
    if notification.expires_at is not None:
        message.expires_at.FromDatetime(notification.expires_at)
    return message


def _timeline(entries: Sequence[Entry]) -> list[notification_pb2.TimelineEntry]:
    return [
        notification_pb2.TimelineEntry(
            time=to_timestamp(entry.time),
            status=_status(entry.status),
            attempt=entry.attempt,
            reason=entry.reason,
            detail=entry.detail,
            next_attempt_time=to_timestamp(entry.next_attempt_time),
            devices=[notification_pb2.DeviceResult(device_id=d.device_id, accepted=d.accepted, reason=d.reason) for d in entry.devices],
            provider=entry.provider,
        )
        for entry in entries
    ]


def filters_of(request: notification_service_pb2.ListNotificationsRequest) -> Filters:
    """The filters of a list, without the person. Raises InvalidArgument for an enum number or a time that does not exist."""
    return Filters(
        channel=channel_of(request.channel) if request.channel else None,
        status=status_of(request.status) if request.status else None,
        template=request.template.replace("\0", "") or None,
        created_after=from_timestamp("created_after", request.created_after) if request.HasField("created_after") else None,
        created_before=from_timestamp("created_before", request.created_before) if request.HasField("created_before") else None,
    )


def channel_of(number: int, field: str = "channel") -> Channel:
    """The channel of a number. Raises InvalidArgument."""
    try:
        return Channel(number)
    except ValueError:
        raise InvalidArgument.of(field, f"must be one of {', '.join(channel.key for channel in Channel)}") from None


def status_of(number: int) -> Status:
    """The status of a number. Raises InvalidArgument."""
    try:
        return Status(number)
    except ValueError:
        raise InvalidArgument.of("status", f"must be one of {', '.join(status.name.lower() for status in Status)}") from None


def _priority_of(number: int) -> Priority:
    if number == notification_pb2.PRIORITY_UNSPECIFIED:
        return Priority.NORMAL
    try:
        return Priority(number)
    except ValueError:
        raise InvalidArgument.of("priority", "must be normal or high") from None


def _status(status: Status) -> "notification_pb2.NotificationStatus.ValueType":
    return notification_pb2.NotificationStatus.ValueType(status)
