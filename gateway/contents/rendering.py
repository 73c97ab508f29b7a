"""What a sent notification said: rendered again, since finished texts are not kept.

Its version never changes and its variables are those that were sent; the person is as they are now, in the locale that was sent.
"""

from typing import Any, Protocol

import grpc.aio
from google.protobuf.message import DecodeError

from clarion.channel.v1 import channel_pb2
from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.template.v1.render_service_pb2 import Rendered, RenderItem
from clarion.user.v1.recipient_service_pb2 import DescribePersonRequest, Recipient
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from delivery.models import Renderer, render_item
from gateway.contents.errors import ContentGone
from gateway.contents.models import SentContent
from gateway.notifications.models import Notification
from mesh.context import Caller
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, ServiceError
from mesh.ids import new_id


class Readers(Protocol):
    """user_svc."""

    async def describe(self, project: str, user_id: str, *, content_of: str, asked_by: str, audit_id: str) -> Recipient | None:
        """What a text reads of a person, once it is in the audit log who asks, for each `audit_id` (a UUID) once; None where they are gone.

        Raises Unavailable.
        """


class ReaderClient:
    """Implements `Readers` over a channel to user_svc, which keeps the audit log."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = RecipientServiceStub(channel)

    async def describe(self, project: str, user_id: str, *, content_of: str, asked_by: str, audit_id: str) -> Recipient | None:
        """Raises Unavailable while user_svc is down."""
        request = DescribePersonRequest(project=project, reference=user_id, content_of=content_of, asked_by=asked_by, audit_id=audit_id)
        try:
            found = await self._stub.DescribePerson(request)
        except NotFound:
            return None
        return Recipient(locale=found.locale, timezone=found.timezone, name=found.name, attributes=found.attributes)


class RenderedAgain:
    """Implements `use_cases.Texts`."""

    def __init__(self, readers: Readers, renderer: Renderer) -> None:
        self._readers = readers
        self._renderer = renderer

    async def text_of(self, found: Notification, payload: bytes, caller: Caller) -> SentContent:
        """Raises ContentGone, or Unavailable while user_svc or template_svc is away."""
        try:
            delivery = Delivery.FromString(payload)
        except DecodeError:
            raise ContentGone.by_time() from None
        person = await self._readers.describe(
            caller.project, str(found.user_id), content_of=str(found.id), asked_by=caller.label, audit_id=new_id()
        )
        if person is None:
            raise ContentGone.by_time()
        rendered = await self._rendered(caller.project, found, delivery, person)
        message = SentContent(
            notification_id=str(found.id),
            channel=channel_pb2.Channel.ValueType(found.channel),
            template=found.template,
            template_version=found.template_version,
            locale=rendered.locale,
            content=rendered.content,
            masked_variables=rendered.masked_variables,
        )
        if rendered.HasField("sender"):
            message.sender.CopyFrom(rendered.sender)
        return message

    async def _rendered(self, project: str, found: Notification, delivery: Delivery, person: Recipient) -> Rendered:
        """In the locale that was sent, also where the person has chosen another one meanwhile."""
        item = render_item(delivery, person)
        item.MergeFrom(RenderItem(project=project, template=found.template, version=found.template_version, mask_sensitive=True))
        rendered = await self._one(item)
        if found.locale and rendered.locale != found.locale:
            item.locale = found.locale
            return await self._one(item)
        return rendered

    async def _one(self, item: RenderItem) -> Rendered:
        [rendered] = await self._renderer.render([item])
        if isinstance(rendered, FailedPrecondition | InvalidArgument | NotFound):
            raise ContentGone.by_reason(rendered.reason)
        if isinstance(rendered, ServiceError):
            raise rendered
        return rendered
