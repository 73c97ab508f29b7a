"""clarion.notification.v1.NotificationService: messages in, one use case, messages out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from clarion.notification.v1 import notification_service_pb2 as rpc
from clarion.notification.v1.notification_service_pb2_grpc import NotificationServiceServicer
from gateway.accepting.convert import (
    addressee_of,
    draft_of,
    evaluation_message,
    fingerprint_of,
    question_of,
    resend_response,
    send_response,
)
from gateway.accepting.evaluation import Evaluation
from gateway.accepting.pacing import paced
from gateway.accepting.use_cases import Key, Sender, choose_key
from gateway.contents.resending import Resending
from gateway.contents.use_cases import SentContents
from gateway.notifications.convert import filters_of, notification_message
from gateway.notifications.use_cases import Notifications
from mesh.context import current
from mesh.errors import InvalidArgument, ServiceError
from mesh.rpc.pipelining import in_order
from mesh.rpc.status import to_status
from mesh.rpc.validation import validate

IDEMPOTENCY_KEY = "idempotency-key"
_ITEM_BYTES = 1024


class NotificationServicer(NotificationServiceServicer):
    """Serves notifications. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(
        self,
        *,
        sender: Sender,
        evaluation: Evaluation,
        notifications: Notifications,
        contents: SentContents,
        resending: Resending,
        bulk_in_flight: int,
    ) -> None:
        self._sender = sender
        self._evaluation = evaluation
        self._notifications = notifications
        self._contents = contents
        self._resending = resending
        self._bulk_in_flight = bulk_in_flight

    async def SendNotification(self, request: rpc.SendNotificationRequest, context: object) -> rpc.SendNotificationResponse:
        text = choose_key(current().metadata.get(IDEMPOTENCY_KEY, ""), request.request_id)
        key = Key(text, fingerprint_of(request)) if text else None
        return send_response(await self._sender.send(draft_of(request), key))

    async def BatchSendNotifications(
        self, request: rpc.BatchSendNotificationsRequest, context: object
    ) -> rpc.BatchSendNotificationsResponse:
        header = choose_key(current().metadata.get(IDEMPOTENCY_KEY, ""), "")
        results = await asyncio.gather(*(self._send_item(item, header, index) for index, item in enumerate(request.requests)))
        accepted = sum(result.HasField("accepted") for result in results)
        return rpc.BatchSendNotificationsResponse(results=results, accepted_count=accepted)

    async def _send_item(self, item: rpc.SendNotificationRequest, header: str, index: int) -> rpc.BatchSendResult:
        """A header's key makes each item without a `request_id` of its own safe to repeat, at its place in the batch."""
        text = item.request_id or (f"{header}/{index}" if header else "")
        try:
            validate(item)
            key = Key(text, fingerprint_of(item)) if text else None
            return rpc.BatchSendResult(accepted=send_response(await self._sender.send(draft_of(item), key, report=False)))
        except ServiceError as error:
            return rpc.BatchSendResult(error=to_status(error))

    async def BulkSendNotifications(
        self, request_iterator: AsyncIterator[rpc.BulkSendNotificationsRequest], context: object
    ) -> AsyncIterator[rpc.BulkSendNotificationsResponse]:
        if IDEMPOTENCY_KEY in current().metadata:
            raise InvalidArgument.of(IDEMPOTENCY_KEY, "is not taken by a stream: give each item a request_id of its own")
        async with aclosing(in_order(request_iterator, self._send_group, weigh=_weight, most=self._bulk_in_flight)) as responses:
            async for response in responses:
                yield response

    async def _send_group(self, request: rpc.BulkSendNotificationsRequest) -> rpc.BulkSendNotificationsResponse:
        outcomes = await paced(request.notifications, self._send_keyed)
        results = [
            rpc.BulkSendResult(request_id=item.request_id, error=to_status(outcome))
            if isinstance(outcome, ServiceError)
            else rpc.BulkSendResult(request_id=item.request_id, accepted=outcome)
            for item, outcome in zip(request.notifications, outcomes, strict=True)
        ]
        return rpc.BulkSendNotificationsResponse(results=results)

    async def _send_keyed(self, item: rpc.SendNotificationRequest) -> rpc.SendNotificationResponse:
        validate(item)
        key = Key(item.request_id, fingerprint_of(item)) if item.request_id else None
        return send_response(await self._sender.send(draft_of(item), key, report=False))

    async def EvaluateDelivery(self, request: rpc.EvaluateDeliveryRequest, context: object) -> rpc.EvaluateDeliveryResponse:
        return evaluation_message(await self._evaluation.evaluate(current().caller, question_of(request)))

    async def GetNotification(self, request: rpc.GetNotificationRequest, context: object) -> rpc.GetNotificationResponse:
        found = await self._notifications.get(current().caller, request.id)
        return rpc.GetNotificationResponse(notification=notification_message(found))

    async def GetCapturedMessage(self, request: rpc.GetCapturedMessageRequest, context: object) -> rpc.GetCapturedMessageResponse:
        captured = await self._notifications.captured(current().caller, request.id)
        return rpc.GetCapturedMessageResponse(captured_message=captured)

    async def GetSentContent(self, request: rpc.GetSentContentRequest, context: object) -> rpc.GetSentContentResponse:
        return rpc.GetSentContentResponse(sent_content=await self._contents.get(current().caller, request.id))

    async def ResendNotification(self, request: rpc.ResendNotificationRequest, context: object) -> rpc.ResendNotificationResponse:
        text = choose_key(current().metadata.get(IDEMPOTENCY_KEY, ""), request.request_id)
        key = Key(text, fingerprint_of(request, kind=b"resend\n")) if text else None
        to = addressee_of(request.to) if request.HasField("to") else None
        accepted = await self._resending.resend(current().caller, request.id, user_id=request.user_id, to=to, key=key)
        return resend_response(accepted)

    async def ListNotifications(self, request: rpc.ListNotificationsRequest, context: object) -> rpc.ListNotificationsResponse:
        caller = current().caller
        page = await self._notifications.list_notifications(
            caller, request.user_id, filters_of(caller.project, request), request.page_size, request.page_token
        )
        return rpc.ListNotificationsResponse(notifications=map(notification_message, page.items), next_page_token=page.next_token)

    async def CancelNotification(self, request: rpc.CancelNotificationRequest, context: object) -> rpc.CancelNotificationResponse:
        cancelled = await self._notifications.cancel(current().caller, request.id)
        return rpc.CancelNotificationResponse(notification=notification_message(cancelled))

    async def SkipWait(self, request: rpc.SkipWaitRequest, context: object) -> rpc.SkipWaitResponse:
        return rpc.SkipWaitResponse(notification=notification_message(await self._notifications.skip_wait(current().caller, request.id)))

    async def WatchNotification(
        self, request: rpc.WatchNotificationRequest, context: object
    ) -> AsyncIterator[rpc.WatchNotificationResponse]:
        async for state in self._notifications.watch(current().caller, request.id):
            yield rpc.WatchNotificationResponse(notification=notification_message(state))


def _weight(request: rpc.BulkSendNotificationsRequest) -> int:
    """Items, of which large ones count for several, so that what is in hand is bounded in bytes too."""
    return max(len(request.notifications), request.ByteSize() // _ITEM_BYTES)
