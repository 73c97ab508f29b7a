"""What strangers can't do to a gRPC server: real attacks over a real socket."""

import asyncio
import hashlib
import logging
import struct
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from clarion.notification.v1 import notification_service_pb2
from clarion.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from clarion.user.v1 import user_service_pb2
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.context import current
from mesh.rpc.identity import ApiKeyInfo
from mesh.rpc.metadata import CLIENT_ADDRESS
from mesh.rpc.settings import CallLimits
from mesh.testing import FakeCredentials, operator_metadata, serving, serving_port
from tests.waiting import until

USER_SERVICE: ServiceDescriptor = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
NOTIFICATION_SERVICE: ServiceDescriptor = notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"]
GET_USER = "/clarion.user.v1.UserService/GetUser"
KEY = "clk_test_watcher"


class Users:
    """Answers when it may."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    def __getattr__(self, name: str) -> object:
        return None

    async def GetUser(self, request: Any, _: None) -> user_service_pb2.GetUserResponse:  # noqa: N802  the schema's name
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return user_service_pb2.GetUserResponse()


class Watches:
    """A stream with one message that never ends by itself. `addresses` are those that its calls came from."""

    def __init__(self) -> None:
        self.inside = 0
        self.addresses: list[str] = []

    def __getattr__(self, name: str) -> object:
        return None

    async def WatchNotification(self, request: Any, _: None) -> AsyncIterator[Any]:  # noqa: N802  the schema's name
        self.inside += 1
        self.addresses.append(current().metadata[CLIENT_ADDRESS])
        try:
            yield notification_service_pb2.WatchNotificationResponse()
            await asyncio.Event().wait()
        finally:
            self.inside -= 1


def health_check(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service="liveness"), timeout=10)


def raw_unary(channel: grpc.aio.Channel, path: str) -> Any:
    return channel.unary_unary(path)


def raw_stream(channel: grpc.aio.Channel, path: str) -> Any:
    return channel.stream_stream(path)


def credentials(*keys: str) -> FakeCredentials:
    source = FakeCredentials()
    for key in keys:
        source.keys[hashlib.sha256(key.encode()).digest()] = ApiKeyInfo(key, key, frozenset({"notifications:read", "users:read"}))
    return source


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_compressed_request_is_refused_before_it_is_inflated() -> None:
    async with serving_port((USER_SERVICE, Users())) as port:
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options, compression=grpc.Compression.Gzip) as channel:
            error = await refused(raw_unary(channel, GET_USER)(b"\0" * (16 << 20), timeout=20))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe"])
async def test_what_does_not_parse_is_the_callers_fault(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """With ErrorInfo, without a Python class name, and without a traceback in the log."""
    async with serving((USER_SERVICE, Users())) as channel:
        error = await refused(raw_unary(channel, GET_USER)(raw, metadata=operator_metadata()))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "clarion.user.v1.GetUserRequest" in (error.details() or "")
    assert "Error" not in (error.details() or "")
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("keys", [[""], ["a", "a"], ["a", "b"], ["x" * 256], [" "]])
async def test_an_empty_or_doubled_key_is_refused_as_over_rest(keys: Sequence[str]) -> None:
    async with serving((USER_SERVICE, Users())) as channel:
        metadata = (*operator_metadata(), *(("idempotency-key", key) for key in keys), ("x-correlation-id", "c-1"))
        error = await refused(UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(id="a"), metadata=metadata))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert ("x-correlation-id", "c-1") in [(key, value) for key, value in error.trailing_metadata() or ()]


async def test_a_limit_of_ten_admits_ten_however_many_try() -> None:
    """Also after many refusals: none of them frees a place (grpc/grpc#41531). Half of the places is one caller's share."""
    users = Users()
    async with serving((USER_SERVICE, users), credentials=credentials("clk_a", "clk_b", "clk_c"), limits=CallLimits(calls=10)) as channel:
        stub, request = UserServiceStub(channel), user_service_pb2.GetUserRequest(id="a")
        ends = []
        for _ in range(4):
            calls = [stub.GetUser(request, metadata=bearer(key)) for key in ("clk_a", "clk_b", "clk_c") for _ in range(30)]
            ends.append(asyncio.gather(*calls, return_exceptions=True))
            await until(lambda: users.inside == 10)
            assert (await health_check(channel)).status == health_pb2.HealthCheckResponse.SERVING
        users.open.set()
        results = [result for group in ends for result in await group]
        failed = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
        assert {error.code() for error in failed} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert users.most == 10
        await stub.GetUser(request, metadata=bearer("clk_a"))


async def test_one_caller_takes_no_more_than_half() -> None:
    users = Users()
    async with serving((USER_SERVICE, users), credentials=credentials("clk_a", "clk_b"), limits=CallLimits(calls=10)) as channel:
        stub, request = UserServiceStub(channel), user_service_pb2.GetUserRequest(id="a")
        greedy = [asyncio.ensure_future(stub.GetUser(request, metadata=bearer("clk_a"))) for _ in range(8)]
        await until(lambda: users.inside == 5 and sum(call.done() for call in greedy) == 3)
        other = asyncio.ensure_future(stub.GetUser(request, metadata=bearer("clk_b")))
        await until(lambda: users.inside == 6)
        users.open.set()
        await other
        await asyncio.gather(*greedy, return_exceptions=True)


async def test_a_thousand_health_watches_do_not_keep_a_probe_out() -> None:
    """Neither on another connection nor on the same one."""
    async with serving_port() as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch: Any = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", request_serializer=health_pb2.HealthCheckRequest.SerializeToString
        )
        watches = [watch(health_pb2.HealthCheckRequest()) for _ in range(1000)]
        firsts = [asyncio.ensure_future(call.read()) for call in watches]
        await until(lambda: sum(first.done() for first in firsts) == 1000)
        assert sum(first.exception() is None for first in firsts) == 10
        assert (await health_check(channel)).status == health_pb2.HealthCheckResponse.SERVING
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as other:
            assert (await health_check(other)).status == health_pb2.HealthCheckResponse.SERVING
        for call in watches:
            call.cancel()


async def _half_sent(port: int, count: int, path: str) -> tuple[asyncio.StreamWriter, asyncio.Task[dict[int, bool]]]:
    """One connection with `count` requests of 4 MiB each, of which 100 kB and no end are sent. The task says which have got an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    answered: dict[int, bool] = {}
    for _ in range(count):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, [*head, *operator_metadata()])
        client.send_data(stream, b"\0" + struct.pack(">I", 4_000_000) + b"x" * 200)
        answered[stream] = False
    writer.write(client.data_to_send())

    async def listen() -> dict[int, bool]:
        while not all(answered.values()):
            data = await reader.read(65536)
            if not data:
                break
            for event in client.receive_data(data):
                if isinstance(event, h2.events.TrailersReceived | h2.events.ResponseReceived | h2.events.StreamReset):
                    answered[event.stream_id] = True
            writer.write(client.data_to_send())
        return answered

    return writer, asyncio.create_task(listen())


@pytest.mark.parametrize("path", [GET_USER, "/grpc.health.v1.Health/Check"])
async def test_half_sent_requests_hold_few_places_and_not_for_long(path: str) -> None:
    """All but a few are refused after a tenth of a second; calls and probes go on meanwhile."""
    users = Users()
    users.open.set()
    limits = CallLimits(message_s=1.0)
    async with serving_port((USER_SERVICE, users), limits=limits) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        writer, listening = await _half_sent(port, 90, path)
        for _ in range(20):
            await UserServiceStub(channel).GetUser(user_service_pb2.GetUserRequest(id="a"), metadata=operator_metadata())
            assert (await health_check(channel)).status == health_pb2.HealthCheckResponse.SERVING
        async with asyncio.timeout(30):
            assert all((await listening).values())
        writer.close()


async def _first(channel: grpc.aio.Channel, key: str) -> Any:
    call = NotificationServiceStub(channel).WatchNotification(
        notification_service_pb2.WatchNotificationRequest(id="a"), metadata=(*bearer(key), ("x-correlation-id", "c-7"))
    )
    await call.read()
    return call


async def _ends(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(20):
            await call.read()
    return caught.value


async def test_streams_of_a_caller_are_capped_and_carry_the_correlation_id() -> None:
    watches = Watches()
    limits = CallLimits(streams_per_caller=3, streams=5)
    async with serving((NOTIFICATION_SERVICE, watches), credentials=credentials("clk_a", "clk_b"), limits=limits) as channel:
        open_ones = [await _first(channel, "clk_a") for _ in range(3)]
        assert ("x-correlation-id", "c-7") in [(key, value) for key, value in await open_ones[0].initial_metadata()]
        assert (await refused(_first(channel, "clk_a"))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        open_ones += [await _first(channel, "clk_b") for _ in range(2)]
        assert (await refused(_first(channel, "clk_b"))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        open_ones[0].cancel()
        await until(lambda: watches.inside == 4)
        open_ones.append(await _first(channel, "clk_b"))
        for call in open_ones:
            call.cancel()
        await until(lambda: watches.inside == 0)


async def test_no_caller_names_the_address_that_a_stream_comes_from() -> None:
    watches = Watches()
    async with serving((NOTIFICATION_SERVICE, watches), credentials=credentials(KEY)) as channel:
        call = NotificationServiceStub(channel).WatchNotification(
            notification_service_pb2.WatchNotificationRequest(id="a"), metadata=(*bearer(KEY), (CLIENT_ADDRESS, "192.0.2.66"))
        )
        await call.read()
        call.cancel()
    assert watches.addresses == ["127.0.0.1"]


async def test_a_stream_ends_with_its_credential() -> None:
    source = credentials(KEY)
    # a proven key is believed for ten seconds, or until it expires
    source.keys[hashlib.sha256(KEY.encode()).digest()] = ApiKeyInfo(KEY, KEY, frozenset({"notifications:read"}), time.time() + 3)
    async with serving((NOTIFICATION_SERVICE, Watches()), credentials=source, limits=CallLimits(stream_recheck_s=0.1)) as channel:
        error = await _ends(await _first(channel, KEY))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_ends_at_its_age_with_a_status_that_lets_the_client_connect_again() -> None:
    async with serving((NOTIFICATION_SERVICE, Watches()), credentials=credentials(KEY), limits=CallLimits(stream_age_s=0.2)) as channel:
        error = await _ends(await _first(channel, KEY))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stopping_server_ends_streams_and_watches_at_once() -> None:
    """Each with a status, and long before the time that calls get to finish."""
    watches = Watches()
    async with serving_port((NOTIFICATION_SERVICE, watches), credentials=credentials(KEY), grace_s=60) as port:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        call = await _first(channel, KEY)
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        health = watch(b"")
        await health.read()
        ending = asyncio.create_task(_ends(call))
    async with asyncio.timeout(20):
        error = await ending
    assert (error.code(), "connect again" in (error.details() or "")) == (grpc.StatusCode.UNAVAILABLE, True)
    await channel.close()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_finds_methods_by_name_in_both_versions(version: str) -> None:
    async with serving((USER_SERVICE, Users())) as channel:
        info: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        symbols = [
            "clarion.user.v1.UserService.GetUser", "clarion.user.v1.UserService", "clarion.user.v1.GetUserRequest",
            f"grpc.reflection.{version}.ServerReflection", f"grpc.reflection.{version}.ServerReflection.ServerReflectionInfo",
            "clarion.user.v1.UserService.NoSuch", "", "no.such.Thing", ".",
        ]  # fmt: skip
        call = info(iter([reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]))
        found = [answer async for answer in call]
        assert [answer.original_request.file_containing_symbol for answer in found] == symbols
        assert [answer.WhichOneof("message_response") == "file_descriptor_response" for answer in found] == [True] * 5 + [False] * 4
        call = info(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        services = [service.name for service in (await call.read()).list_services_response.service]
        assert f"grpc.reflection.{version}.ServerReflection" in services


async def test_reflections_of_a_connection_are_capped() -> None:
    async with serving((USER_SERVICE, Users())) as channel:
        info = raw_stream(channel, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")

        async def ask(call: Any) -> Any:
            await call.write(b"\x3a\x00")
            return await call.read()

        calls = [info() for _ in range(20)]
        firsts = await asyncio.gather(*map(ask, calls), return_exceptions=True)
        assert sum(isinstance(first, bytes) for first in firsts) == 2
        assert (await health_check(channel)).status == health_pb2.HealthCheckResponse.SERVING
        for call in calls:
            call.cancel()
