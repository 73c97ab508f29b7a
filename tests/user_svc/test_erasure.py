"""Facts about user_svc's part of erasing a person, over loopback, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest

from clarion.user.v1 import auth_service_pb2, device_pb2, erasure_service_pb2, suppression_pb2, user_service_pb2
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh import ids
from mesh.process.settings import Env
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import SECRET, service_metadata
from tests.fixtures_postgres import NewDatabase
from tests.rows import rows_that_hold
from user_svc.app import open_app
from user_svc.settings import Settings

API_KEY = "clk_live_0123456789012345678901234567890123456789"
OPERATOR = (("authorization", f"Bearer {API_KEY}"),)
GATEWAY = service_metadata("gateway")
EMAIL, NAME, PASSWORD, TOKEN = "Ada.Lovelace@example.com", "Countess Ada", "correct horse battery", "device-token-of-ada"


@dataclass(frozen=True)
class Service:
    """Stubs of a running user_svc, and its database."""

    users: Any
    auth: Any
    erasure: Any
    database: Database

    async def make_ada(self) -> str:
        """A person with everything that a person can have; her id."""
        request = user_service_pb2.CreateUserRequest(email=EMAIL, name=NAME, password=PASSWORD)
        user_id: str = (await self.users.CreateUser(request, metadata=OPERATOR)).user.id
        device = device_pb2.CreateDeviceRequest(user_id=user_id, token=TOKEN, platform=device_pb2.PLATFORM_ANDROID)
        await self.users.CreateDevice(device, metadata=OPERATOR)
        for category in ("", "news"):
            suppressed = suppression_pb2.CreateSuppressionRequest(address=EMAIL, reason="bounce", category=category)
            await self.users.CreateSuppression(suppressed, metadata=OPERATOR)
        return user_id

    async def log_in(self) -> str:
        """A refresh token."""
        token: str = (await self.auth.Login(auth_service_pb2.LoginRequest(email=EMAIL, password=PASSWORD))).refresh_token
        return token

    async def erase(self, user_id: str) -> None:
        await self.erasure.EraseUser(erasure_service_pb2.EraseUserRequest(user_id=user_id), metadata=GATEWAY)

    async def revoke(self, user_id: str) -> None:
        await self.erasure.RevokeCredentials(erasure_service_pb2.RevokeCredentialsRequest(user_id=user_id), metadata=GATEWAY)


@pytest.fixture
async def service(postgres_url: NewDatabase) -> AsyncIterator[Service]:
    url = await postgres_url("user_svc")
    environ = {
        "CLARION_DATABASE_URL": url,
        "CLARION_SERVICE_SECRET": SECRET,
        "CLARION_BOOTSTRAP_API_KEY": API_KEY,
        "CLARION_DIRECT_CALLERS": "true",
        "CLARION_HOST": "127.0.0.1",
        "CLARION_GRPC_PORT": "0",
    }
    async with (
        open_app(Settings.from_env(Env(environ))) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        open_database(DatabaseSettings(url)) as database,
    ):
        yield Service(UserServiceStub(channel), AuthServiceStub(channel), ErasureServiceStub(channel), database)


async def test_nothing_of_a_person_is_left(service: Service) -> None:
    """Not in any row of any table: the address in any case, the name, the device's token; the id in the audit log only."""
    user_id = await service.make_ada()
    await service.log_in()
    traces = [EMAIL.lower(), NAME.lower(), TOKEN, user_id]
    assert {table for table, _ in await rows_that_hold(service.database, traces)} == {
        "users", "devices", "suppressions", "category_suppressions", "refresh_tokens", "audit_events"
    }  # fmt: skip
    await service.erase(user_id)
    assert await rows_that_hold(service.database, traces[:-1]) == []
    assert {table for table, _ in await rows_that_hold(service.database, traces)} == {"audit_events"}


async def test_others_are_left_alone_and_the_address_is_free_again(service: Service) -> None:
    user_id = await service.make_ada()
    other = (await service.users.CreateUser(user_service_pb2.CreateUserRequest(email="bob@example.com"), metadata=OPERATOR)).user
    await service.erase(user_id)
    assert (await service.users.GetUser(user_service_pb2.GetUserRequest(id=other.id), metadata=OPERATOR)).user == other
    assert await service.make_ada() != user_id


async def test_revoking_ends_the_sessions_and_leaves_the_person(service: Service) -> None:
    user_id = await service.make_ada()
    refresh_token = await service.log_in()
    await service.revoke(user_id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await service.auth.Refresh(auth_service_pb2.RefreshRequest(refresh_token=refresh_token))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert await service.log_in(), "a saga that turns back leaves a person who can log in again"


@pytest.mark.parametrize("user_id", [ids.new_id(), "not an id"])
async def test_who_is_gone_is_no_error(service: Service, user_id: str) -> None:
    for _ in range(2):
        await service.revoke(user_id)
        await service.erase(user_id)


async def test_no_person_and_no_api_key_may_call_it(service: Service) -> None:
    user_id = await service.make_ada()
    tokens = await service.auth.Login(auth_service_pb2.LoginRequest(email=EMAIL, password=PASSWORD))
    own = (("authorization", f"Bearer {tokens.access_token}"),)
    for call in (
        service.erasure.EraseUser(erasure_service_pb2.EraseUserRequest(user_id=user_id), metadata=own),
        service.erasure.RevokeCredentials(erasure_service_pb2.RevokeCredentialsRequest(user_id=user_id), metadata=own),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
