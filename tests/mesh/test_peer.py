"""The way to another service: what opens its breaker, how it closes again, and replicas that do not answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from clarion.user.v1 import recipient_service_pb2
from clarion.user.v1.recipient_service_pb2 import BatchCheckUsersRequest, BatchRemoveDevicesRequest, BatchRemoveDevicesResponse
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from mesh.errors import ServiceError, Unauthenticated, Unavailable
from mesh.process.health import Check, HealthMonitor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.peer import open_peer
from mesh.rpc.server import serve_grpc
from mesh.rpc.settings import ChannelSettings
from mesh.testing import SECRET, FakeCredentials, free_port, grpc_settings, service_metadata
from tests.system.drills.proxy import Mode, Proxy
from tests.waiting import until_answered

SERVICE: ServiceDescriptor = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]
# a breaker that waited its 60 s out would fail every test here
SETTINGS = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=5, breaker_open_s=60)


# the generated stub of grpc.aio exists for type checkers only
Stub = Any


class Servicer:
    """Counts its calls; raises `error`, or hangs where `hangs` says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: ServiceError | None = None
        self.hangs = False

    def __getattr__(self, name: str) -> object:
        """Every other method of the service: bound, never called."""
        return None

    async def BatchCheckUsers(  # noqa: N802  the schema's name
        self, request: BatchCheckUsersRequest, _: None
    ) -> recipient_service_pb2.BatchCheckUsersResponse:
        await self._answer()
        return recipient_service_pb2.BatchCheckUsersResponse()

    async def BatchRemoveDevices(self, request: BatchRemoveDevicesRequest, _: None) -> BatchRemoveDevicesResponse:  # noqa: N802  the schema's name
        await self._answer()
        return BatchRemoveDevicesResponse()

    async def _answer(self) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def replica(servicer: Servicer, *, port: int = 0, up: bool = True) -> AsyncIterator[int]:
    async def probe() -> None:
        if not up:
            raise ConnectionError

    dispatcher = Dispatcher(server_chain(Authenticator(FakeCredentials(), ServiceIdentity("user_svc", SECRET))))
    dispatcher.add(SERVICE, servicer)
    monitor = HealthMonitor([Check("database", probe)], services=dispatcher.service_names)
    await monitor.start()
    try:
        async with serve_grpc(dispatcher, grpc_settings(port=port), monitor, grace_s=0) as listening:
            yield listening
    finally:
        await monitor.close()


@asynccontextmanager
async def peer(*ports: int) -> AsyncIterator[Stub]:
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    identity = ServiceIdentity("gateway", SECRET)
    async with open_peer("user_svc", target, identity=identity, settings=SETTINGS, services=[SERVICE]) as channel:
        yield RecipientServiceStub(channel)


async def reason_of(stub: Stub) -> str:
    """How a call ends; empty when it is answered."""
    try:
        await stub.BatchCheckUsers(BatchCheckUsersRequest())
    except ServiceError as error:
        return error.reason
    return ""


async def test_an_honest_unavailable_with_a_hint_does_not_open_the_breaker() -> None:
    """The service says quickly what it lacks: as soon as it has it again, calls are served."""
    servicer = Servicer()
    servicer.error = Unavailable("no database", reason="DATABASE_UNAVAILABLE", retry_after_s=1)
    async with replica(servicer) as port, peer(port) as stub:
        assert [await reason_of(stub) for _ in range(12)] == ["DATABASE_UNAVAILABLE"] * 12
        servicer.error = None
        assert await reason_of(stub) == ""


async def test_a_service_that_is_back_gets_calls_long_before_the_breakers_time() -> None:
    """Its connection wakes the look at its health, and no real call has to be the probe."""
    servicer = Servicer()
    port = free_port()
    async with peer(port) as stub:
        assert [await reason_of(stub) for _ in range(6)] == ["UPSTREAM_UNAVAILABLE"] * 5 + ["BREAKER_OPEN"]
        async with replica(servicer, port=port):
            began = time.monotonic()
            await until_answered(lambda: answered(stub))
            assert time.monotonic() - began < 30, "half of the 60 s that it would stay open without a look at its health"


async def answered(stub: Stub) -> bool:
    return await reason_of(stub) == ""


async def test_a_service_that_is_not_ready_stays_behind_its_breaker() -> None:
    """Its health says NOT_SERVING; no call is spent on finding out."""
    servicer = Servicer()
    port = free_port()
    async with peer(port) as stub:
        for _ in range(5):
            await reason_of(stub)
        async with replica(servicer, port=port, up=False):
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            await channel.channel_ready()
            await channel.close()
            reasons = set()
            for _ in range(50):
                reasons.add(await reason_of(stub))
                await asyncio.sleep(0.05)
        assert reasons == {"BREAKER_OPEN"}
        assert servicer.calls == 0


async def test_a_frozen_replica_leaves_and_no_read_fails_meanwhile() -> None:
    """Its connection is open and silent: reads are hedged, and once keepalive has noticed, writes do not meet it any more either."""
    healthy, frozen = Servicer(), Servicer()
    async with (
        replica(healthy) as port,
        replica(frozen) as behind,
        Proxy(behind) as proxy,
        peer(port, proxy.port) as stub,
    ):
        await until_answered(lambda: reached(stub, healthy, frozen))
        await proxy.misbehave(Mode.BLACK_HOLE)
        assert {await reason_of(stub) for _ in range(20)} == {""}
        await until_answered(lambda: writes_are_served(stub))
        await proxy.heal()
        calls = frozen.calls
        await until_answered(lambda: reached_again(stub, frozen, calls))


async def test_a_dead_connection_ends_its_calls_long_before_their_deadline() -> None:
    """By keepalive, whose time-out gRPC's core does not go by unless that of pings is set too (seen with 1.78: it took a minute)."""
    async with replica(Servicer()) as behind, Proxy(behind) as proxy, peer(proxy.port) as stub:
        assert all([await remove(stub, timeout_s=5) for _ in range(5)])
        await proxy.misbehave(Mode.HALF_OPEN)
        with pytest.raises(ServiceError) as ended:
            await stub.BatchRemoveDevices(BatchRemoveDevicesRequest(), timeout=40, metadata=service_metadata("push_worker"))
    assert ended.value.reason == "UPSTREAM_UNAVAILABLE"


async def test_a_replica_that_takes_calls_and_does_not_answer_is_left_out() -> None:
    """It answers pings, so that only its calls show it."""
    healthy, hung = Servicer(), Servicer()
    async with replica(healthy) as port, replica(hung) as other, peer(port, other) as stub:
        await until_answered(lambda: reached(stub, healthy, hung))
        hung.hangs = True

        async def left_out() -> bool:
            results = await asyncio.gather(*(remove(stub, timeout_s=0.2) for _ in range(12)))
            return all(results)

        await until_answered(left_out)


async def test_one_sick_replica_of_two_fails_no_read() -> None:
    """It says so at once, and each call is made again elsewhere, until it is left out: retries must not be used up before that."""
    healthy, sick = Servicer(), Servicer()
    async with replica(healthy) as port, replica(sick) as other, peer(port, other) as stub:
        await until_answered(lambda: reached(stub, healthy, sick))
        sick.calls, sick.error = 0, Unavailable("no database", reason="DATABASE_UNAVAILABLE", retry_after_s=1)
        assert [await reason_of(stub) for _ in range(60)] == [""] * 60
    assert sick.calls > 5


@pytest.mark.parametrize(("let_go", "reason", "calls"), [(1, "", 2), (100, "UPSTREAM_UNAVAILABLE", 5)])
async def test_a_call_that_a_stopping_server_lets_go_is_made_again(let_go: int, reason: str, calls: int) -> None:
    """A server of grpc.aio that stops drops what has just arrived: CANCELLED, without a word of ours (seen with 1.78)."""
    seen: list[int] = []

    async def dropping(_: bytes, rpc: Any) -> bytes:
        seen.append(len(seen))
        if len(seen) <= let_go:
            await rpc.abort(grpc.StatusCode.CANCELLED)
        return recipient_service_pb2.BatchCheckUsersResponse().SerializeToString()

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"BatchCheckUsers": grpc.unary_unary_rpc_method_handler(dropping)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with peer(port) as stub:
            assert await reason_of(stub) == reason
    finally:
        await server.stop(0)
    assert len(seen) >= calls


async def reached(stub: Stub, *servicers: Servicer) -> bool:
    assert await reason_of(stub) == ""
    return all(servicer.calls for servicer in servicers)


async def reached_again(stub: Stub, servicer: Servicer, calls: int) -> bool:
    assert await reason_of(stub) == ""
    return servicer.calls > calls


async def remove(stub: Stub, *, timeout_s: float) -> bool:
    """Whether a call that is never hedged is answered in time."""
    try:
        await stub.BatchRemoveDevices(BatchRemoveDevicesRequest(), timeout=timeout_s, metadata=service_metadata("push_worker"))
    except ServiceError:
        return False
    return True


async def writes_are_served(stub: Stub) -> bool:
    return all([await remove(stub, timeout_s=1.0) for _ in range(4)])


async def test_closing_while_the_service_is_down_leaves_nothing_behind() -> None:
    """The look at its health ends before its channel does."""
    async with peer(free_port()) as stub:
        for _ in range(5):
            await reason_of(stub)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("recovery")]


@pytest.mark.parametrize(("secret", "ahead_s"), [("another-service-secret-of-32-chars!", 0.0), (SECRET, 600.0), (SECRET, -600.0)])
async def test_a_service_that_is_not_trusted_is_no_fault_of_the_caller(secret: str, ahead_s: float) -> None:
    """Clocks or secrets of two services differ: the outside caller gets 503 and a reason, never 401."""
    identity = ServiceIdentity("gateway", secret, clock=lambda: time.time() + ahead_s)
    async with (
        replica(Servicer()) as port,
        open_peer("user_svc", f"ipv4:127.0.0.1:{port}", identity=identity, settings=SETTINGS, services=[SERVICE]) as channel,
    ):
        with pytest.raises(Unavailable) as refused:
            await RecipientServiceStub(channel).BatchCheckUsers(BatchCheckUsersRequest())
        assert (refused.value.reason, refused.value.retry_after_s) == ("SERVICE_NOT_TRUSTED", 5.0)


async def test_a_service_that_may_not_call_a_method_is_no_fault_of_the_caller() -> None:
    """As while two versions run beside each other: 503, and never the caller's 403."""
    identity = ServiceIdentity("push_worker", SECRET)
    async with (
        replica(Servicer()) as port,
        open_peer("user_svc", f"ipv4:127.0.0.1:{port}", identity=identity, settings=SETTINGS, services=[SERVICE]) as channel,
    ):
        with pytest.raises(Unavailable) as refused:
            await RecipientServiceStub(channel).BatchCheckUsers(BatchCheckUsersRequest())
        assert refused.value.reason == "SERVICE_NOT_TRUSTED"


async def test_a_callers_own_credential_that_is_refused_stays_the_callers() -> None:
    identity = ServiceIdentity("gateway", SECRET)
    forged = "clk_" + "x" * 40
    async with (
        replica(Servicer()) as port,
        open_peer("user_svc", f"ipv4:127.0.0.1:{port}", identity=identity, settings=SETTINGS, services=[SERVICE]) as channel,
    ):
        with pytest.raises(Unauthenticated):
            await RecipientServiceStub(channel).BatchCheckUsers(BatchCheckUsersRequest(), metadata=(("authorization", f"Bearer {forged}"),))
