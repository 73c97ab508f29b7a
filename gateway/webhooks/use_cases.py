"""The rules about webhook endpoints, for their owners."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

from gateway.changes.use_cases import People
from gateway.webhooks.addresses import Network, check_url
from gateway.webhooks.errors import EndpointNotEnabled, NotPosted, TooManyEndpoints, WebhookEndpointNotFound
from gateway.webhooks.models import TEST_TYPE, Attempt, Changes, Delivery, DeliveryState, Endpoint, EndpointState, Selection
from gateway.webhooks.signing import new_secret
from mesh.context import Caller
from mesh.errors import InvalidArgument
from mesh.ids import new_uuid, parse
from mesh.rpc.paging import Cursor, Page, page_size
from mesh.sealing import Sealer

SEALED_FOR = "clarion webhook secrets v1"
_ENDPOINTS = Cursor("webhook_endpoints", UUID)
_DELIVERIES = Cursor("webhook_deliveries", datetime, int, str)
_FIRST = UUID(int=0)
_OVERLAP_S = 86_400.0
_LOOK_EVERY_S, _TEST_S = 0.1, 25.0


class EndpointStore(Protocol):
    """Where endpoints and deliveries are kept."""

    async def add(
        self,
        identifier: UUID,
        project: str,
        url: str,
        *,
        description: str,
        selection: Selection,
        sealed_secret: bytes,
        disabled: bool = False,
    ) -> bool:
        """False when the project has as many as it may have."""

    async def find(self, project: str, identifier: UUID) -> Endpoint | None: ...

    async def list_by_id(self, project: str, after: UUID, limit: int) -> Sequence[Endpoint]: ...

    async def update(self, project: str, identifier: UUID, changes: Changes) -> Endpoint | None: ...

    async def delete(self, project: str, identifier: UUID) -> None: ...

    async def rotate(self, project: str, identifier: UUID, sealed_secret: bytes, *, overlap_s: float) -> datetime | None:
        """When the old secret ends; None when there is no such endpoint."""

    async def add_test(self, endpoint: UUID, identifier: str, kind: str) -> None:
        """A delivery that is due now."""

    async def find_delivery(self, endpoint: UUID, identifier: str) -> Delivery | None: ...

    async def list_deliveries(
        self, endpoint: UUID, state: DeliveryState | None, notification_id: UUID | None, before: tuple[Any, ...] | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first."""

    async def replay(
        self, endpoint: UUID, identifiers: Sequence[str], since: datetime | None, until: datetime | None, state: DeliveryState | None
    ) -> int:
        """Makes those that fit all conditions due now; how many they are."""


class WebhookDesk:
    """Makes, changes and watches endpoints. `allowed` are the networks that events may go to beside public addresses."""

    def __init__(
        self,
        store: EndpointStore,
        sealer: Sealer,
        people: People,
        *,
        allowed: Sequence[Network] = (),
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._people = people
        self._sealer = sealer
        self._allowed = allowed
        self._sleep = sleep

    async def create(
        self, caller: Caller, url: str, description: str, selection: Selection, *, person: str, disabled: bool
    ) -> tuple[Endpoint, str]:
        """The endpoint and its secret. Raises InvalidArgument, TooManyEndpoints or Unavailable."""
        if not url:
            raise InvalidArgument.of("webhook_endpoint.url", "is required")
        check_url("webhook_endpoint.url", url, allowed=self._allowed)
        if person:
            selection = selection._replace(user_id=await self._person(caller, person))
        identifier, secret = new_uuid(), new_secret()
        sealed = self._sealer.seal(secret.encode(), str(identifier))
        added = await self._store.add(
            identifier, caller.project, url, description=description, selection=selection, sealed_secret=sealed, disabled=disabled
        )
        if not added:
            raise TooManyEndpoints
        return await self._existing(caller, identifier), secret

    async def get(self, caller: Caller, identifier: str) -> Endpoint:
        """Raises WebhookEndpointNotFound."""
        return await self._existing(caller, _id_of(identifier))

    async def list_endpoints(self, caller: Caller, requested_size: int, token: str) -> Page[Endpoint]:
        """A page, oldest first. Raises InvalidArgument for a size or token that does not fit."""
        size, filters = page_size(requested_size), {"project": caller.project}
        position = _ENDPOINTS.position(token, filters)
        found = await self._store.list_by_id(caller.project, _FIRST if position is None else position[0], size + 1)  # type: ignore[arg-type]  # the cursor's kind
        return _ENDPOINTS.page([((endpoint.id,), endpoint) for endpoint in found], size, filters)

    async def update(self, caller: Caller, identifier: str, changes: Changes, *, person: str) -> Endpoint:
        """Raises WebhookEndpointNotFound, InvalidArgument or Unavailable."""
        if changes.url is not None:
            check_url("webhook_endpoint.url", changes.url, allowed=self._allowed)
        if person:
            await self.get(caller, identifier)
            changes = replace(changes, user_id=await self._person(caller, person))
        endpoint = await self._store.update(caller.project, _id_of(identifier), changes)
        if endpoint is None:
            raise WebhookEndpointNotFound
        return endpoint

    async def delete(self, caller: Caller, identifier: str) -> None:
        """What does not exist is no error."""
        key = parse(identifier)
        if key is not None:
            await self._store.delete(caller.project, key)

    async def rotate(self, caller: Caller, identifier: str) -> tuple[str, datetime]:
        """The new secret, and when the old one ends. Raises WebhookEndpointNotFound."""
        key, secret = _id_of(identifier), new_secret()
        sealed = self._sealer.seal(secret.encode(), str(key))
        until = await self._store.rotate(caller.project, key, sealed, overlap_s=_OVERLAP_S)
        if until is None:
            raise WebhookEndpointNotFound
        return secret, until

    async def test(self, caller: Caller, identifier: str) -> Attempt:
        """What the endpoint answers to an event. Raises WebhookEndpointNotFound, EndpointNotEnabled or NotPosted."""
        endpoint = await self.get(caller, identifier)
        if endpoint.state is not EndpointState.ENABLED:
            raise EndpointNotEnabled(endpoint.state.name.lower())
        delivery_id = f"msg_{uuid4().hex}"
        await self._store.add_test(endpoint.id, delivery_id, TEST_TYPE)
        for _ in range(round(_TEST_S / _LOOK_EVERY_S)):
            await self._sleep(_LOOK_EVERY_S)  # another process posts it
            found = await self._store.find_delivery(endpoint.id, delivery_id)
            if found is None:
                raise WebhookEndpointNotFound
            if found.attempts:
                return found.attempts[-1]
        raise NotPosted

    async def list_deliveries(
        self, caller: Caller, identifier: str, state: DeliveryState | None, notification_id: str, *, requested_size: int, token: str
    ) -> Page[Delivery]:
        """A page, newest first. Raises WebhookEndpointNotFound, or InvalidArgument for a size or token that does not fit."""
        endpoint = await self.get(caller, identifier)
        size = page_size(requested_size)
        filters = {"endpoint": str(endpoint.id), "state": str(state), "notification_id": notification_id}
        position = _DELIVERIES.position(token, filters)
        wanted = parse(notification_id) if notification_id else None
        if notification_id and wanted is None:
            return Page((), "")
        found = await self._store.list_deliveries(endpoint.id, state, wanted, position, size + 1)
        return _DELIVERIES.page(
            [((delivery.create_time, delivery.position or 0, delivery.id), delivery) for delivery in found], size, filters
        )

    async def replay(
        self,
        caller: Caller,
        identifier: str,
        delivery_ids: Sequence[str],
        *,
        since: datetime | None,
        until: datetime | None,
        state: DeliveryState | None,
    ) -> int:
        """How many are tried again. Raises WebhookEndpointNotFound, EndpointNotEnabled, or InvalidArgument without a condition."""
        endpoint = await self.get(caller, identifier)
        if not (delivery_ids or since or until or state):
            raise InvalidArgument.of("delivery_ids", "or since, until or state must say which deliveries to replay")
        if endpoint.state is not EndpointState.ENABLED:
            raise EndpointNotEnabled(endpoint.state.name.lower())
        return await self._store.replay(endpoint.id, [one.replace("\0", "") for one in delivery_ids], since, until, state)

    async def _person(self, caller: Caller, reference: str) -> UUID:
        found = await self._people.find(caller.project, reference)
        if found is None:
            raise InvalidArgument.of("webhook_endpoint.user_id", "must be a person of the project, by Clarion's id or your own")
        return UUID(found)

    async def _existing(self, caller: Caller, identifier: UUID) -> Endpoint:
        endpoint = await self._store.find(caller.project, identifier)
        if endpoint is None:
            raise WebhookEndpointNotFound
        return endpoint


def _id_of(identifier: str) -> UUID:
    key = parse(identifier)
    if key is None:
        raise WebhookEndpointNotFound
    return key
