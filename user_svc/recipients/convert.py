"""Recipients between their messages and models."""

import json

from clarion.channel.v1 import channel_pb2
from clarion.user.v1 import recipient_service_pb2
from mesh import ids
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import from_timestamp
from user_svc.accounts.convert import secret_to_proto
from user_svc.devices.convert import platform_from_proto
from user_svc.preferences.models import Channel
from user_svc.preferences.unsubscribing import Subscription
from user_svc.recipients.models import Contact, Decision, Ended, NewDevice, NewUser, Query, Recipient, UserReference

_CHANNELS = {channel_pb2.CHANNEL_EMAIL: Channel.EMAIL, channel_pb2.CHANNEL_PUSH: Channel.PUSH}
_DECISIONS = {
    Decision.SEND: recipient_service_pb2.DECISION_SEND,
    Decision.SKIP: recipient_service_pb2.DECISION_SKIP,
    Decision.DEFER: recipient_service_pb2.DECISION_DEFER,
    Decision.NOT_FOUND: recipient_service_pb2.DECISION_NOT_FOUND,
}


def queries_from_proto(request: recipient_service_pb2.BatchResolveRecipientsRequest) -> list[Query]:
    """Raises InvalidArgument for a number that stands for no channel."""
    return [_query(index, query) for index, query in enumerate(request.queries)]


def references_from_proto(request: recipient_service_pb2.BatchCheckUsersRequest) -> list[UserReference]:
    """Raises InvalidArgument unless there is a project for each id."""
    if len(request.projects) != len(request.user_ids):
        raise InvalidArgument.of("projects", "must hold one project for each id")
    return [UserReference(*pair) for pair in zip(request.projects, request.user_ids, strict=True)]


def new_users_from_proto(request: recipient_service_pb2.BatchEnsureUsersRequest) -> list[NewUser | NewDevice]:
    """By address, or else by device. Raises InvalidArgument for a number that stands for no platform."""
    return [
        NewDevice(one.project, one.device_token, platform_from_proto(one.platform), one.name, one.locale, one.timezone)
        if one.device_token
        else NewUser(one.project, one.email, one.name, one.locale, one.timezone)
        for one in request.users
    ]


def ended_from_proto(request: recipient_service_pb2.BatchUncountNotificationsRequest) -> list[Ended]:
    """Raises InvalidArgument unless there is a person for each notification."""
    if len(request.user_ids) != len(request.notification_ids):
        raise InvalidArgument.of("user_ids", "must hold one person for each notification")
    return [Ended(*pair) for pair in zip(request.user_ids, request.notification_ids, strict=True)]


def recipient_to_proto(recipient: Recipient, unsubscribe_token: str = "") -> recipient_service_pb2.Recipient:
    """Address and devices only where they are of use: for what is to be sent, on its own channel."""
    verdict, contact = recipient.verdict, recipient.contact
    message = recipient_service_pb2.Recipient(decision=_DECISIONS[verdict.decision], rule=verdict.rule)
    if verdict.wait:
        message.defer_for.FromTimedelta(verdict.wait)
    if contact is None:
        return message
    message.unsubscribe_token = unsubscribe_token
    message.locale, message.timezone, message.name = contact.locale, contact.timezone, contact.name
    if recipient.account is not None:
        message.account.CopyFrom(secret_to_proto(recipient.account))
    if recipient.decision is Decision.SEND:
        if contact.attributes:
            message.attributes.update(json.loads(contact.attributes))
        if recipient.channel is Channel.EMAIL:
            message.email = contact.email
        else:
            for device in contact.devices:
                message.devices.add(device_id=device.device_id, token=device.token)
    return message


def person_to_proto(contact: Contact) -> recipient_service_pb2.DescribePersonResponse:
    """What a text reads of the person."""
    message = recipient_service_pb2.DescribePersonResponse(locale=contact.locale, timezone=contact.timezone, name=contact.name)
    if contact.attributes:
        message.attributes.update(json.loads(contact.attributes))
    return message


def subscription_to_proto(subscription: Subscription) -> recipient_service_pb2.Subscription:
    return recipient_service_pb2.Subscription(**subscription._asdict())


def _query(index: int, query: recipient_service_pb2.RecipientQuery) -> Query:
    if query.channel not in _CHANNELS:
        raise InvalidArgument.of(f"queries[{index}].channel", "must be email or push")
    at = from_timestamp(f"queries[{index}].at", query.at) if query.HasField("at") else None
    return Query(
        query.user_id,
        _CHANNELS[query.channel],
        query.category,
        query.mandatory,
        query.email,
        ids.canonical(query.notification_id) or "",
        query.template,
        query.urgent,
        query.test,
        at,
        tuple(query.recipient_domains),
        tuple(query.device_ids),
    )
