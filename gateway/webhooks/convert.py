"""Endpoints and deliveries between their messages and models."""

from collections.abc import Sequence
from datetime import timedelta

from google.protobuf.field_mask_pb2 import FieldMask

from clarion.channel.v1 import channel_pb2
from clarion.webhook.v1 import webhook_pb2
from clarion.webhook.v1 import webhook_service_pb2 as rpc
from gateway.notifications.convert import channel_of, labels_of, status_number, status_of
from gateway.webhooks.models import Attempt, Changes, Delivery, DeliveryState, Endpoint, EndpointState, Selection
from mesh.errors import InvalidArgument
from mesh.rpc.masks import masked_fields
from mesh.rpc.timestamps import to_timestamp

_CHANGEABLE = ("url", "description", "statuses", "channel", "template", "category", "user_id", "metadata", "disabled")
_FIELD = "webhook_endpoint"


def selection_of(endpoint: webhook_pb2.WebhookEndpoint) -> Selection:
    """Without the person. Raises InvalidArgument for an enum number or a label that can't be."""
    return Selection(
        statuses=tuple(status_of(number) for number in endpoint.statuses),
        channel=channel_of(endpoint.channel) if endpoint.channel else None,
        template=_word("template", endpoint.template),
        category=_word("category", endpoint.category),
        metadata=labels_of(f"{_FIELD}.metadata", endpoint.metadata),
    )


def description_of(endpoint: webhook_pb2.WebhookEndpoint) -> str:
    return _word("description", endpoint.description)


def changes_of(endpoint: webhook_pb2.WebhookEndpoint, mask: FieldMask) -> tuple[Changes, str]:
    """What the mask names (AIP-134), and the person where it names one. Raises InvalidArgument."""
    fields = masked_fields(mask, endpoint, _CHANGEABLE)
    selection = selection_of(endpoint)
    if "url" in fields and not endpoint.url:
        raise InvalidArgument.of(f"{_FIELD}.url", "is required")
    changes = Changes(
        url=endpoint.url if "url" in fields else None,
        description=description_of(endpoint) if "description" in fields else None,
        statuses=selection.statuses if "statuses" in fields else None,
        channel=selection.channel if "channel" in fields else None,
        any_channel="channel" in fields and selection.channel is None,
        template=selection.template if "template" in fields else None,
        category=selection.category if "category" in fields else None,
        metadata=selection.metadata if "metadata" in fields else None,
        any_user="user_id" in fields and not endpoint.user_id,
        disabled=endpoint.disabled if "disabled" in fields else None,
    )
    return changes, endpoint.user_id if "user_id" in fields else ""


def endpoint_message(endpoint: Endpoint) -> webhook_pb2.WebhookEndpoint:
    selection = endpoint.selection
    return webhook_pb2.WebhookEndpoint(
        id=str(endpoint.id),
        url=endpoint.url,
        description=endpoint.description,
        statuses=[status_number(status) for status in selection.statuses],
        channel=channel_pb2.Channel.ValueType(selection.channel or channel_pb2.CHANNEL_UNSPECIFIED),
        template=selection.template,
        category=selection.category,
        metadata=[f"{name}={value}" for name, value in sorted(selection.metadata.items())],
        user_id="" if selection.user_id is None else str(selection.user_id),
        disabled=endpoint.state is EndpointState.DISABLED,
        state=webhook_pb2.WebhookEndpointState.ValueType(endpoint.state),
        state_reason=endpoint.state_reason,
        failing_since=to_timestamp(endpoint.failing_since),
        waiting_count=max(0, endpoint.last - endpoint.position),
        create_time=to_timestamp(endpoint.create_time),
        update_time=to_timestamp(endpoint.update_time),
    )


def delivery_message(delivery: Delivery) -> webhook_pb2.WebhookDelivery:
    return webhook_pb2.WebhookDelivery(
        id=delivery.id,
        type=delivery.type,
        notification_id="" if delivery.notification_id is None else str(delivery.notification_id),
        cursor="" if delivery.position is None else str(delivery.position),
        state=webhook_pb2.WebhookDeliveryState.ValueType(delivery.state),
        next_attempt_time=to_timestamp(delivery.due_at if delivery.state is DeliveryState.WAITING else None),
        create_time=to_timestamp(delivery.create_time),
        attempts=map(attempt_message, delivery.attempts),
    )


def attempt_message(attempt: Attempt) -> webhook_pb2.WebhookAttempt:
    message = webhook_pb2.WebhookAttempt(time=to_timestamp(attempt.time), status=attempt.status, reason=attempt.reason, reply=attempt.reply)
    message.duration.FromTimedelta(timedelta(milliseconds=attempt.duration_ms))
    return message


def state_of(number: int) -> DeliveryState | None:
    """None for none. Raises InvalidArgument for a number that stands for no state."""
    if not number:
        return None
    try:
        return DeliveryState(number)
    except ValueError:
        raise InvalidArgument.of("state", "must be waiting, delivered or failed") from None


def page_of(deliveries: Sequence[Delivery], next_token: str) -> rpc.ListWebhookDeliveriesResponse:
    return rpc.ListWebhookDeliveriesResponse(deliveries=map(delivery_message, deliveries), next_page_token=next_token)


def _word(field: str, value: str) -> str:
    if "\0" in value:
        raise InvalidArgument.of(f"{_FIELD}.{field}", "must not contain NUL")
    return value
