"""clarion.webhook.v1.WebhookService: messages in, one use case, messages out."""

from clarion.webhook.v1 import webhook_service_pb2 as rpc
from clarion.webhook.v1.webhook_service_pb2_grpc import WebhookServiceServicer
from gateway.webhooks.convert import attempt_message, changes_of, description_of, endpoint_message, page_of, selection_of, state_of
from gateway.webhooks.use_cases import WebhookDesk
from mesh.context import current
from mesh.rpc.timestamps import from_timestamp, to_timestamp


class WebhookServicer(WebhookServiceServicer):
    """Serves webhooks. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, desk: WebhookDesk) -> None:
        self._desk = desk

    async def CreateWebhookEndpoint(self, request: rpc.CreateWebhookEndpointRequest, context: object) -> rpc.CreateWebhookEndpointResponse:
        given = request.webhook_endpoint
        endpoint, secret = await self._desk.create(
            current().caller, given.url, description_of(given), selection_of(given), person=given.user_id, disabled=given.disabled
        )
        return rpc.CreateWebhookEndpointResponse(webhook_endpoint=endpoint_message(endpoint), secret=secret)

    async def GetWebhookEndpoint(self, request: rpc.GetWebhookEndpointRequest, context: object) -> rpc.GetWebhookEndpointResponse:
        return rpc.GetWebhookEndpointResponse(webhook_endpoint=endpoint_message(await self._desk.get(current().caller, request.id)))

    async def ListWebhookEndpoints(self, request: rpc.ListWebhookEndpointsRequest, context: object) -> rpc.ListWebhookEndpointsResponse:
        page = await self._desk.list_endpoints(current().caller, request.page_size, request.page_token)
        return rpc.ListWebhookEndpointsResponse(webhook_endpoints=map(endpoint_message, page.items), next_page_token=page.next_token)

    async def UpdateWebhookEndpoint(self, request: rpc.UpdateWebhookEndpointRequest, context: object) -> rpc.UpdateWebhookEndpointResponse:
        changes, person = changes_of(request.webhook_endpoint, request.update_mask)
        endpoint = await self._desk.update(current().caller, request.id, changes, person=person)
        return rpc.UpdateWebhookEndpointResponse(webhook_endpoint=endpoint_message(endpoint))

    async def DeleteWebhookEndpoint(self, request: rpc.DeleteWebhookEndpointRequest, context: object) -> rpc.DeleteWebhookEndpointResponse:
        await self._desk.delete(current().caller, request.id)
        return rpc.DeleteWebhookEndpointResponse()

    async def RotateWebhookSecret(self, request: rpc.RotateWebhookSecretRequest, context: object) -> rpc.RotateWebhookSecretResponse:
        secret, until = await self._desk.rotate(current().caller, request.id)
        return rpc.RotateWebhookSecretResponse(secret=secret, old_secret_expire_time=to_timestamp(until))

    async def TestWebhookEndpoint(self, request: rpc.TestWebhookEndpointRequest, context: object) -> rpc.TestWebhookEndpointResponse:
        return rpc.TestWebhookEndpointResponse(attempt=attempt_message(await self._desk.test(current().caller, request.id)))

    async def ListWebhookDeliveries(self, request: rpc.ListWebhookDeliveriesRequest, context: object) -> rpc.ListWebhookDeliveriesResponse:
        page = await self._desk.list_deliveries(
            current().caller,
            request.id,
            state_of(request.state),
            request.notification_id,
            requested_size=request.page_size,
            token=request.page_token,
        )
        return page_of(page.items, page.next_token)

    async def ReplayWebhookDeliveries(
        self, request: rpc.ReplayWebhookDeliveriesRequest, context: object
    ) -> rpc.ReplayWebhookDeliveriesResponse:
        since = from_timestamp("since", request.since) if request.HasField("since") else None
        until = from_timestamp("until", request.until) if request.HasField("until") else None
        state = state_of(request.state)
        count = await self._desk.replay(current().caller, request.id, request.delivery_ids, since=since, until=until, state=state)
        return rpc.ReplayWebhookDeliveriesResponse(replayed_count=count)
