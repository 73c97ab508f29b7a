"""What the page asks user_svc."""

from typing import Any

import grpc.aio

from clarion.user.v1.recipient_service_pb2 import DescribeUnsubscribeRequest, UnsubscribeRequest
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from gateway.unsubscribe.page import Subscription


class UnsubscribeClient:
    """Implements `gateway.unsubscribe.page.Subscriptions`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = RecipientServiceStub(channel)

    async def describe(self, token: str) -> Subscription:
        """Raises NotFound, or Unavailable while user_svc is down."""
        found = (await self._stub.DescribeUnsubscribe(DescribeUnsubscribeRequest(token=token))).subscription
        return Subscription(found.category, found.locale, found.refused, found.mandatory)

    async def unsubscribe(self, token: str) -> Subscription:
        """Raises NotFound, or Unavailable while user_svc is down."""
        done = (await self._stub.Unsubscribe(UnsubscribeRequest(token=token))).subscription
        return Subscription(done.category, done.locale, done.refused, done.mandatory)
