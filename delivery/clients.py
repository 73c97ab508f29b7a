"""The two services that a worker calls, behind the Protocols of `delivery/models.py`: one RPC for all deliveries in hand."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc.aio

from clarion.template.v1.render_service_pb2 import BatchRenderRequest, Rendered, RenderItem
from clarion.template.v1.render_service_pb2_grpc import RenderServiceStub
from clarion.user.v1.recipient_service_pb2 import (
    BatchRemoveDevicesRequest,
    BatchResolveRecipientsRequest,
    Recipient,
    RecipientQuery,
    SuppressAddressRequest,
)
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from mesh.errors import Code, Internal, ServiceError
from mesh.resilience.batching import Batcher
from mesh.rpc.status import from_status

MAX_ITEMS = 100
_MAX_CONCURRENT = 4

T = TypeVar("T")
R = TypeVar("R")


class RecipientClient:
    """Asks user_svc where deliveries go. One per process."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = RecipientServiceStub(channel)
        self._queries: Batcher[RecipientQuery, Recipient] = Batcher(
            lambda queries: in_parts(self._resolve, queries), max_items=MAX_ITEMS, max_concurrent=_MAX_CONCURRENT, name="resolve"
        )

    async def resolve(self, queries: Sequence[RecipientQuery]) -> list[Recipient | ServiceError]:
        """One answer per query, in order."""
        return known_errors(await self._queries.submit_all(queries))

    async def remove_devices(self, device_ids: Sequence[str], reason: str) -> None:
        """Has devices removed whose tokens are gone. Raises ServiceError."""
        await self._stub.BatchRemoveDevices(BatchRemoveDevicesRequest(device_ids=device_ids, reason=reason))

    async def suppress(
        self, project: str, user_id: str, address: str, evidence: str, *, reason: str = "", only_their_own: bool = False
    ) -> None:
        """Has an address of a project suppressed at which a person's mail has bounced. Raises ServiceError."""
        await self._stub.SuppressAddress(
            SuppressAddressRequest(
                project=project, user_id=user_id, address=address, evidence=evidence, reason=reason, only_their_own=only_their_own
            )
        )

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._queries.close()

    async def _resolve(self, queries: Sequence[RecipientQuery]) -> Sequence[Recipient]:
        response = await self._stub.BatchResolveRecipients(BatchResolveRecipientsRequest(queries=queries))
        recipients: Sequence[Recipient] = response.recipients
        return recipients


class RenderClient:
    """Asks template_svc for finished texts. One per process; `preview` says that only a person looks at them."""

    def __init__(self, channel: grpc.aio.Channel, *, preview: bool = False) -> None:
        self._preview = preview
        self._stub: Any = RenderServiceStub(channel)
        self._items: Batcher[RenderItem, Rendered] = Batcher(
            lambda items: in_parts(self._render, items), max_items=MAX_ITEMS, max_concurrent=_MAX_CONCURRENT, name="render"
        )

    async def render(self, items: Sequence[RenderItem]) -> list[Rendered | ServiceError]:
        """One answer per item, in order."""
        return known_errors(await self._items.submit_all(items))

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._items.close()

    async def _render(self, items: Sequence[RenderItem]) -> Sequence[Rendered | ServiceError]:
        response = await self._stub.BatchRender(BatchRenderRequest(items=items, preview=self._preview))
        return [result.rendered if result.HasField("rendered") else from_status(result.error) for result in response.results]


async def in_parts(call: Callable[[Sequence[T]], Awaitable[Sequence[R | ServiceError]]], items: Sequence[T]) -> Sequence[R | ServiceError]:
    """Asks for all at once; where one question spoils the request, or the answer is too long for a message, the halves one by one."""
    try:
        answers = await call(items)
    except ServiceError as error:
        if len(items) == 1 or error.code not in {Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED}:
            return [error] * len(items)
    else:
        if len(answers) != len(items):
            return [Internal(f"{len(answers)} answers to {len(items)} questions")] * len(items)
        return answers
    half = len(items) // 2
    return [*await in_parts(call, items[:half]), *await in_parts(call, items[half:])]


def known_errors(results: Sequence[R | BaseException]) -> list[R | ServiceError]:
    """The results, once every exception among them is a ServiceError; else raises the first that is not."""
    known: list[R | ServiceError] = []
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, ServiceError):
            raise result
        known.append(result)
    return known
