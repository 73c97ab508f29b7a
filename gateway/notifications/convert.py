"""Pure mapping between messages and models."""

from collections.abc import Iterable, Sequence

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import notification_pb2, notification_service_pb2
from gateway.notifications.models import Channel, Entry, Fact, Filters, Notification, Status
from mesh.errors import InvalidArgument
from mesh.rpc.paging import filter_text
from mesh.rpc.timestamps import from_timestamp, to_timestamp


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
        status=status_number(notification.shown_status),
        reason=notification.reason,
        attempts=notification.progress.attempts,
        metadata=notification.metadata,
        correlation_id=notification.correlation_id,
        test=notification.test,
        timeline=_timeline(notification.timeline),
    )
    if notification.resent_from is not None:
        message.resent_from = str(notification.resent_from)
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
            status=status_number(entry.status),
            attempt=entry.attempt,
            reason=entry.reason,
            detail=entry.detail,
            next_attempt_time=to_timestamp(entry.next_attempt_time),
            devices=[notification_pb2.DeviceResult(device_id=d.device_id, accepted=d.accepted, reason=d.reason) for d in entry.devices],
            provider=entry.provider,
            fact=fact_number(entry.fact),
        )
        for entry in entries
    ]


def filters_of(project: str, request: notification_service_pb2.ListNotificationsRequest) -> Filters:
    """The filters of a list, without the person. Raises InvalidArgument for an enum number or a time that does not exist."""
    return Filters(
        project,
        channel=channel_of(request.channel) if request.channel else None,
        status=status_of(request.status) if request.status else None,
        template=filter_text(request.template),
        created_after=from_timestamp("created_after", request.created_after) if request.HasField("created_after") else None,
        created_before=from_timestamp("created_before", request.created_before) if request.HasField("created_before") else None,
        updated_after=from_timestamp("updated_after", request.updated_after) if request.HasField("updated_after") else None,
        updated_before=from_timestamp("updated_before", request.updated_before) if request.HasField("updated_before") else None,
        correlation_id=filter_text(request.correlation_id),
        metadata=labels_of("metadata", request.metadata) or None,
        test=True if request.test else None,
    )


def labels_of(field: str, given: Iterable[str]) -> dict[str, str]:
    """Labels that are written as `name=value`. Raises InvalidArgument."""
    labels: dict[str, str] = {}
    for index, label in enumerate(given):
        name, equals, value = (filter_text(label) or "").partition("=")
        if not (name and equals):
            raise InvalidArgument.of(f"{field}[{index}]", "must be a label as name=value")
        if labels.setdefault(name, value) != value:
            raise InvalidArgument.of(f"{field}[{index}]", f"can't be matched together with {name}={labels[name]}")
    return labels


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


def status_number(status: Status) -> "notification_pb2.NotificationStatus.ValueType":
    """The status as its number in the schema."""
    return notification_pb2.NotificationStatus.ValueType(status)


def fact_number(fact: Fact | None) -> "notification_pb2.Fact.ValueType":
    """The fact as its number in the schema."""
    return notification_pb2.FACT_UNSPECIFIED if fact is None else notification_pb2.Fact.ValueType(fact)
