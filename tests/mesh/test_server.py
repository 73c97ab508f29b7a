"""The dispatcher, the gRPC server and the client channel together, over a real socket."""

import asyncio
import hashlib

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import error_details_pb2, status_pb2

from clarion.user.v1 import user_service_pb2
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.context import current
from mesh.errors import DeadlineExceeded, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from mesh.resilience.breaker import Breaker
from mesh.rpc.channel import open_channel
from mesh.rpc.identity import ApiKeyInfo, ServiceIdentity
from mesh.rpc.interceptors import client_chain
from mesh.rpc.settings import ChannelSettings
from mesh.testing import SECRET, FakeCredentials, free_port, operator_metadata, serving, serving_port

USER_SERVICE: ServiceDescriptor = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
PEERS = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=5, breaker_open_s=60)


class Servicer:
    """Answers GetUser by what the id says."""

    def __init__(self) -> None:
        self.remaining: list[float] = []
        self.correlation: list[str] = []

    def __getattr__(self, name: str) -> object:
        """Every other method of the service: bound, never called."""
        return None

    async def GetUser(self, request: user_service_pb2.GetUserRequest, _: None) -> user_service_pb2.GetUserResponse:  # noqa: N802  the schema's name
        """One behaviour per id."""
        call = current()
        assert call.deadline is not None
        self.remaining.append(call.deadline.remaining_s())
        self.correlation.append(call.correlation_id)
        match request.id:
            case "crash":
                raise ValueError("SELECT secret FROM users")
            case "none":
                raise NotFound("there is no such user", reason="USER_NOT_FOUND")
            case "slow":
                await asyncio.sleep(30)
            case "limited":
                call.set_header("ratelimit", '"caller";r=0;t=3')
                raise ResourceExhausted("slow down", retry_after_s=3, quota="caller")
        response = user_service_pb2.GetUserResponse()
        response.user.id = request.id
        return response


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    details = next(value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin")
    assert isinstance(details, bytes)
    return status_pb2.Status.FromString(details)


async def test_an_unknown_exception_reaches_the_client_without_its_class_or_text() -> None:
    """A crash is INTERNAL with a correlation id and nothing else."""
    async with serving((USER_SERVICE, Servicer())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(id="crash"), metadata=operator_metadata())
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "SELECT" not in str(caught.value)
    assert "ValueError" not in str(caught.value)
    assert "correlation id" in (caught.value.details() or "")


async def test_errors_carry_error_info_and_headers() -> None:
    """A refusal has ErrorInfo, RetryInfo, QuotaFailure and the headers that were set before it."""
    async with serving((USER_SERVICE, Servicer())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(id="limited"), metadata=operator_metadata())
    status = _status(caught.value)
    kinds = {detail.TypeName() for detail in status.details}
    assert kinds == {"google.rpc.ErrorInfo", "google.rpc.RetryInfo", "google.rpc.QuotaFailure"}
    assert ("ratelimit", '"caller";r=0;t=3') in [(k, v) for k, v in caught.value.trailing_metadata() or ()]


async def test_a_breach_of_the_schemas_rules_names_field_and_rule() -> None:
    """An empty id is refused before the handler."""
    async with serving((USER_SERVICE, Servicer())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(), metadata=operator_metadata())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in _status(caught.value).details)
    assert [(v.field, v.description) for v in bad.field_violations] == [("id", "is required")]


async def test_a_call_without_credentials_is_refused() -> None:
    """No Authorization, no answer."""
    async with serving((USER_SERVICE, Servicer())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(id="a"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_api_key_needs_the_methods_scope() -> None:
    """A key with another scope is refused, and the scope that is missing is named."""
    credentials = FakeCredentials()
    credentials.keys[hashlib.sha256(b"clk_test_x").digest()] = ApiKeyInfo("k", "k", frozenset({"templates:read"}))
    async with serving((USER_SERVICE, Servicer()), credentials=credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await UserServiceStub(channel).GetUser(
                user_service_pb2.GetUserRequest(id="a"), metadata=(("authorization", "Bearer clk_test_x"),)
            )
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "users:read" in (caught.value.details() or "")


async def test_a_proven_key_is_not_looked_up_again_at_once() -> None:
    """Ten calls with one key cost one look-up."""
    credentials = FakeCredentials()
    credentials.keys[hashlib.sha256(b"clk_test_x").digest()] = ApiKeyInfo("k", "k", frozenset({"users:read"}))
    async with serving((USER_SERVICE, Servicer()), credentials=credentials) as channel:
        for _ in range(10):
            await UserServiceStub(channel).GetUser(
                user_service_pb2.GetUserRequest(id="a"), metadata=(("authorization", "Bearer clk_test_x"),)
            )
    assert credentials.look_ups == 1


async def test_mesh_channels_raise_service_errors_and_pass_identity_deadline_and_correlation() -> None:
    """Our own channel authenticates itself, shrinks the deadline and turns failures into ServiceError."""
    servicer = Servicer()
    async with serving_port((USER_SERVICE, servicer)) as port:
        target = f"ipv4:127.0.0.1:{port}"
        chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test"))
        async with open_channel(target, settings=PEERS, chain=chain, services=[USER_SERVICE]) as channel:
            stub = UserServiceStub(channel)
            response = await stub.GetUser(user_service_pb2.GetUserRequest(id="a"), timeout=1.5, metadata=operator_metadata())
            assert response.user.id == "a"
            # gRPC's core sends a time-out of 1 to 10 s in steps of 10 ms, rounded up.
            assert 0 < servicer.remaining[0] <= 1.51
            with pytest.raises(NotFound) as missing:
                await stub.GetUser(user_service_pb2.GetUserRequest(id="none"), metadata=operator_metadata())
            assert missing.value.reason == "USER_NOT_FOUND"
            with pytest.raises(InvalidArgument):
                await stub.GetUser(user_service_pb2.GetUserRequest(id="x" * 129), metadata=operator_metadata())
            with pytest.raises(DeadlineExceeded):
                await stub.GetUser(user_service_pb2.GetUserRequest(id="slow"), timeout=0.05, metadata=operator_metadata())


async def test_five_failures_open_the_breaker_of_a_target() -> None:
    """A target that nobody listens on is left alone after five calls, without a word about its address."""
    chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test"))
    async with open_channel(f"ipv4:127.0.0.1:{free_port()}", settings=PEERS, chain=chain, services=[USER_SERVICE]) as channel:
        reasons = []
        for _ in range(6):
            with pytest.raises(Unavailable) as caught:
                await UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(id="a"))
            assert "127.0.0.1" not in caught.value.message
            assert (caught.value.retry_after_s or 0) >= 1, "who is told that it is down is told when to come again"
            reasons.append(caught.value.reason)
    assert reasons == ["UPSTREAM_UNAVAILABLE"] * 5 + ["BREAKER_OPEN"]


async def test_another_service_may_not_pretend() -> None:
    """A service token signed with another secret is refused."""
    forged = ServiceIdentity("gateway", "another-secret-that-is-32-characters!").token("test")
    async with serving((USER_SERVICE, Servicer())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await UserServiceStub(channel).GetUser(
                user_service_pb2.GetUserRequest(id="a"), metadata=(("authorization", f"Bearer {forged}"),)
            )
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
