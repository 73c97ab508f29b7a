"""Pure mapping between requests, drafts and the payload of a new notification."""

import hashlib
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import DecodeError

from clarion.channel.v1 import channel_pb2
from clarion.delivery.v1 import delivery_pb2
from clarion.notification.v1 import notification_pb2, notification_service_pb2
from clarion.user.v1 import recipient_service_pb2
from delivery.envelopes import envelope
from gateway.accepting import errors
from gateway.accepting.evaluation import Answer, Question
from gateway.accepting.models import Acceptance, Addressee, AttachedFile, Draft, TemplateSummary
from gateway.notifications.convert import channel_of, status_number
from gateway.notifications.models import Priority
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import from_timestamp
from naming.local_times import local_time_of

_DECISIONS = {
    recipient_service_pb2.DECISION_SEND: notification_service_pb2.DELIVERY_DECISION_SEND,
    recipient_service_pb2.DECISION_SKIP: notification_service_pb2.DELIVERY_DECISION_SKIP,
    recipient_service_pb2.DECISION_DEFER: notification_service_pb2.DELIVERY_DECISION_DEFER,
}

_Keyed = TypeVar("_Keyed", notification_service_pb2.SendNotificationRequest, notification_service_pb2.ResendNotificationRequest)


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
        to=addressee_of(request.to) if request.HasField("to") else None,
        send_at_local=local_time_of("send_at_local", request.send_at_local) if request.send_at_local else None,
        attachments=tuple(map(_file_of, request.attachments)) if request.attachments else (),
    )


def addressee_of(to: notification_service_pb2.Addressee) -> Addressee:
    """Someone who need not be a user yet."""
    return Addressee(to.email, to.name, to.locale, to.timezone, to.device_token, to.platform)


def _file_of(file: notification_service_pb2.AttachedFile) -> AttachedFile:
    return AttachedFile(file.filename, file.content_type, file.content, file.attachment_id, file.content_id)


def question_of(request: notification_service_pb2.EvaluateDeliveryRequest) -> Question:
    """What is asked about. Raises InvalidArgument for an enum number or a time that does not exist."""
    return Question(
        request.user_id,
        request.template,
        _priority_of(request.priority),
        request.category,
        from_timestamp("send_at", request.send_at) if request.HasField("send_at") else None,
    )


def evaluation_message(answer: Answer) -> notification_service_pb2.EvaluateDeliveryResponse:
    """Raises UserNotFound where the person is gone."""
    recipient = answer.recipient
    if recipient.decision not in _DECISIONS:
        raise errors.UserNotFound.of("user_id", errors.NO_SUCH_USER)
    response = notification_service_pb2.EvaluateDeliveryResponse(
        decision=_DECISIONS[recipient.decision],
        rule=recipient.rule,
        channel=channel_pb2.Channel.ValueType(answer.channel),
        category=answer.category,
    )
    if recipient.HasField("defer_for"):
        response.defer_until.FromDatetime(answer.at + recipient.defer_for.ToTimedelta())
    return response


def fingerprint_of(request: _Keyed, *, kind: bytes = b"") -> bytes:
    """SHA-256 of what is asked, whatever the transport: two requests with one idempotency key must agree in it.

    `kind` keeps requests of one type apart from those of another that are written alike.
    """
    canonical = request
    if request.request_id:
        canonical = type(request)()
        canonical.CopyFrom(request)
        canonical.ClearField("request_id")
    return hashlib.sha256(kind + canonical.SerializeToString(deterministic=True)).digest()


def resend_response(accepted: Acceptance) -> notification_service_pb2.ResendNotificationResponse:
    """The answer to sending one again."""
    response = notification_service_pb2.ResendNotificationResponse(id=str(accepted.id), status=status_number(accepted.status))
    response.create_time.FromDatetime(accepted.create_time)
    return response


def send_response(accepted: Acceptance) -> notification_service_pb2.SendNotificationResponse:
    """The answer to a send."""
    response = notification_service_pb2.SendNotificationResponse(id=str(accepted.id), status=status_number(accepted.status))
    response.create_time.FromDatetime(accepted.create_time)
    return response


def delivery_bytes(
    draft: Draft, identifier: str, template: TemplateSummary, *, accepted: datetime, correlation_id: str, traceparent: str, test: bool
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
        project=template.project,
        test=test,
        recipient_domains=draft.recipient_domains,
        device_ids=[draft.device_id] if draft.device_id else (),
    )
    for file in draft.attachments:
        named = {"filename": file.filename, "content_type": file.content_type, "content_id": file.content_id}
        delivery.attachments.add(attachment_id=file.attachment_id, size_bytes=file.size_bytes, **named)
    delivery.accept_time.FromDatetime(accepted)
    delivery.due_time.FromDatetime(accepted if draft.send_at is None else max(accepted, draft.send_at))
    if draft.expires_at is not None:
        delivery.expire_time.FromDatetime(draft.expires_at)
    payload = delivery.SerializeToString()
    if not _is_readable(payload, delivery):
        raise InvalidArgument.of("variables", "can't be carried: make them smaller and less deeply nested")
    return payload


def _is_readable(payload: bytes, delivery: delivery_pb2.Delivery) -> bool:
    """Whether every part after this one reads it so, in the envelope that adds a level."""
    try:
        return list(delivery_pb2.DeliveryRequested.FromString(envelope([payload])).deliveries) == [delivery]
    except DecodeError:
        return False


def _priority_of(number: int) -> Priority:
    if number == notification_pb2.PRIORITY_UNSPECIFIED:
        return Priority.NORMAL
    try:
        return Priority(number)
    except ValueError:
        raise InvalidArgument.of("priority", "must be normal or high") from None
