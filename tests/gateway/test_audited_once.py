"""What stands in the audit log where a call to user_svc hangs and is made a second time beside the first: over real gRPC."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from clarion.user.v1 import erasure_service_pb2, recipient_service_pb2
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceServicer
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceServicer
from gateway.accepting.clients import UserClient
from gateway.contents.rendering import ReaderClient
from gateway.sagas.clients import PeopleClient
from mesh.context import FIRST_PROJECT
from mesh.ids import canonical, new_id
from mesh.resilience.breaker import Breaker
from mesh.rpc.channel import open_channel
from mesh.rpc.identity import ServiceIdentity
from mesh.rpc.interceptors import client_chain
from mesh.testing import SECRET, serving_port
from tests.gateway.test_clients import SETTINGS

ERASURE = erasure_service_pb2.DESCRIPTOR.services_by_name["ErasureService"]
RECIPIENT = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]


class Hanging(ErasureServiceServicer, RecipientServiceServicer):
    """A user_svc of which the first call has had its effect and is never answered."""

    def __init__(self) -> None:
        self.audit_ids: list[str] = []

    async def _take(self, audit_id: str) -> None:
        self.audit_ids.append(audit_id)
        if len(self.audit_ids) == 1:
            await asyncio.Event().wait()

    async def GetPersonalData(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        await self._take(request.audit_id)
        return erasure_service_pb2.GetPersonalDataResponse()

    async def DescribePerson(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        await self._take(request.audit_id)
        return recipient_service_pb2.DescribePersonResponse(name="Ada")


@pytest.fixture
def service() -> Hanging:
    return Hanging()  # type: ignore[abstract]  # no other method is called here


@pytest.fixture
async def channel(service: Hanging) -> AsyncIterator[grpc.aio.Channel]:
    chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test", failures=100))
    async with (
        serving_port((ERASURE, service), (RECIPIENT, service)) as port,
        open_channel(f"dns:///127.0.0.1:{port}", settings=SETTINGS, chain=chain, services=[ERASURE, RECIPIENT]) as opened,
    ):
        yield opened


def once(audit_ids: list[str]) -> bool:
    """Whether they are those of one entry that was asked for more than once."""
    return len(audit_ids) > 1 and len(set(audit_ids)) == 1 and canonical(audit_ids[0]) is not None


async def test_an_export_that_is_asked_for_twice_has_one_entry(service: Hanging, channel: grpc.aio.Channel) -> None:
    users = UserClient(channel, fresh_s=60, stale_s=600)
    await PeopleClient(channel, users).held(FIRST_PROJECT, new_id(), "api_key:k1")
    await users.close()
    assert once(service.audit_ids)


async def test_a_text_that_is_asked_for_twice_has_one_entry(service: Hanging, channel: grpc.aio.Channel) -> None:
    readers = ReaderClient(channel)
    asked = {"content_of": new_id(), "asked_by": "api_key:k1", "audit_id": new_id()}
    assert await readers.describe(FIRST_PROJECT, new_id(), **asked) is not None
    assert once(service.audit_ids)
