"""What a requeue would send now: recipient, decision and finished text, as the worker would get them."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.user.v1.recipient_service_pb2 import Decision, Recipient
from delivery.models import Recipients, Renderer, query_of, render_item
from gateway.dead_letters.models import Edit, Preview
from mesh.errors import FailedPrecondition, InvalidArgument, ServiceError
from mesh.rpc.finite import MOST_BYTES
from mesh.rpc.redaction import redacted

T = TypeVar("T")

_TIMEOUT_S = 3.0


class Previewer:
    """Asks user_svc and template_svc. What they can't answer becomes the preview's `problem`, never an error of the call."""

    def __init__(self, recipients: Recipients, renderer: Renderer) -> None:
        self._recipients = recipients
        self._renderer = renderer

    async def preview(self, payload: bytes | None, *, full: bool) -> Preview:
        """The preview of a serialized Delivery. Unless it is `full`, texts are made of masked values, so that they can't hold real ones."""
        delivery = _delivery_of(payload)
        if not delivery.notification_id:
            return Preview(redacted=not full, problem="ERASED")
        shown = delivery if full else redacted(delivery)
        preview = Preview(redacted=not full, recipient_edited=bool(delivery.email), variables=shown.variables)
        recipient = await self._recipient(delivery)
        if isinstance(recipient, str):
            return await self._rendered(replace(preview, problem=recipient), shown, Recipient())
        seen = recipient if full else redacted(recipient)
        wanted = set(delivery.device_ids)
        preview = replace(
            preview,
            recipient=seen.email,
            devices=sum(not wanted or device.device_id in wanted for device in recipient.devices),
            decision=Decision.Name(recipient.decision).removeprefix("DECISION_").lower(),
            rule=recipient.rule,
        )
        return await self._rendered(preview, shown, seen)

    async def check(self, payload: bytes | None, edit: Edit) -> None:
        """Raises InvalidArgument where the variables that an edit would leave are too large, or no text can be made of them as far as that
        can be found out.
        """
        delivery = _delivery_of(payload)
        if not delivery.notification_id:
            return
        if edit.user_id is not None:
            delivery.user_id = str(edit.user_id)
        edit.vary(delivery)
        # what is given is within the limit, but comes to what other requeues have given
        if (size := delivery.variables.ByteSize()) > MOST_BYTES:
            much = f"with those that stay takes {size:,} bytes as protobuf and must take at most {MOST_BYTES:,}"
            raise InvalidArgument.of("variables", much)
        recipient = await self._recipient(delivery)
        if isinstance(recipient, str):
            return
        item = render_item(delivery, recipient)
        item.check_variables = True
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                [rendered] = await self._renderer.render([item])
        except (ServiceError, TimeoutError):
            return
        if isinstance(rendered, InvalidArgument | FailedPrecondition):
            raise InvalidArgument(rendered.message, reason=rendered.reason, violations=rendered.violations)

    async def _recipient(self, delivery: Delivery) -> Recipient | str:
        query = query_of(delivery)
        query.ClearField("notification_id")  # a look counts for no limit
        return await _only(self._recipients.resolve([query]))

    async def _rendered(self, preview: Preview, shown: Delivery, recipient: Recipient) -> Preview:
        rendered = await _only(self._renderer.render([render_item(shown, recipient)]))
        if isinstance(rendered, str):
            return replace(preview, problem=preview.problem or rendered)
        return replace(preview, content=rendered.content, locale=rendered.locale)


def variables_of(payload: bytes | None) -> Struct:
    """The variables in a serialized Delivery; none when it can't be read."""
    return _delivery_of(payload).variables


def _delivery_of(payload: bytes | None) -> Delivery:
    try:
        return Delivery.FromString(payload or b"")
    except DecodeError:
        return Delivery()


async def _only(answers: Awaitable[Sequence[T | ServiceError]]) -> T | str:
    """The one answer, or the reason why there is none. The words of an error may hold data, its reason can't."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            [answer] = await answers
    except TimeoutError:
        return "DEADLINE_EXCEEDED"
    except ServiceError as error:
        return error.reason
    return answer.reason if isinstance(answer, ServiceError) else answer
