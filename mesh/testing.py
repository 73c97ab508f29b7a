"""What tests of any service need: a server on a free port, a clock that obeys, free ports."""

import contextlib
import hashlib
import itertools
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2

from mesh.context import Caller, CallerKind
from mesh.process.health import Check, HealthMonitor
from mesh.rpc.calls import ServerInterceptor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import ApiKeyInfo, Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.server import serve_grpc
from mesh.rpc.settings import CallLimits, GrpcSettings

SECRET = "test-service-secret-of-32-characters"  # noqa: S105  for tests only

_OPERATOR_KEY = "clk_test_operator"

# a token that is made when a test module is imported must outlive the whole run
_TEST_TOKEN_S = 24 * 3600

_FIRST_PORT, _PORTS = 20_000, 12_000
_numbers = itertools.count()


class FakeClock:
    """A clock in seconds that moves only by `advance`."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves on."""
        self.now += seconds


class _EveryScope(frozenset[str]):
    """Holds whatever it is asked for."""

    def __contains__(self, scope: object) -> bool:
        return True


class FakeCredentials:
    """A credential source with fixed API keys by their SHA-256 and fixed public keys."""

    def __init__(self) -> None:
        operator = ApiKeyInfo("operator", "operator", _EveryScope())
        self.keys: dict[bytes, ApiKeyInfo] = {hashlib.sha256(_OPERATOR_KEY.encode()).digest(): operator}
        self.public: list[dict[str, Any]] = []
        self.look_ups = 0

    async def jwks(self) -> Sequence[dict[str, Any]]:
        """The fixed public keys."""
        return self.public

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        """The fixed key, or None."""
        self.look_ups += 1
        return self.keys.get(sha256)


def free_port() -> int:
    """A port of the loopback interface that nothing listens on now, another one at each call.

    It lies below the range from which kernels give ports to outgoing connections (32768 on Linux, 49152 by RFC 6335), so none of those
    takes it before it is used, or while its server is stopped for a moment. Test processes that run side by side begin far from each other.
    """
    for number in _numbers:
        port = _FIRST_PORT + (os.getpid() * 499 + number) % _PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("count() does not end")


def held_port(port: int) -> socket.socket:
    """Keeps a port from being given to other tests while its server is stopped; servers listen on it as if it were not there."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


def grpc_settings(*, port: int = 0, limits: CallLimits | None = None) -> GrpcSettings:
    """A plaintext server on the loopback interface."""
    return GrpcSettings("127.0.0.1", port, True, 300, "", "", "", limits=limits or CallLimits())


def service_metadata(service: str = "gateway") -> tuple[tuple[str, str], ...]:
    """Metadata by which a raw channel calls as a service of the mesh, with the tests' secret."""
    token = ServiceIdentity(service, SECRET, lifetime_s=_TEST_TOKEN_S).token("test", "user_svc", "template_svc", "gateway")
    return (("authorization", f"Bearer {token}"),)


def operator_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata of a caller whom `FakeCredentials` knows and lets do everything."""
    return (("authorization", f"Bearer {_OPERATOR_KEY}"),)


def caller(*scopes: str, user_id: str | None = None) -> Caller:
    """An API key's caller with the scopes, or a person's when `user_id` is given."""
    kind = CallerKind.API_KEY if user_id is None else CallerKind.USER
    return Caller(kind, user_id or "test-key", frozenset(scopes), user_id=user_id)


@asynccontextmanager
async def serving_port(
    *services: tuple[ServiceDescriptor, Any],
    credentials: FakeCredentials | None = None,
    chain: Sequence[ServerInterceptor] | None = None,
    checks: Iterable[Check] = (),
    limits: CallLimits | None = None,
    grace_s: float = 1,
) -> AsyncIterator[int]:
    """A real server with the real chain around the servicers; yields its port on 127.0.0.1."""
    authenticator = Authenticator(credentials or FakeCredentials(), ServiceIdentity("test", SECRET))
    dispatcher = Dispatcher(server_chain(authenticator) if chain is None else chain)
    for descriptor, servicer in services:
        dispatcher.add(descriptor, servicer)
    monitor = HealthMonitor(checks, services=dispatcher.service_names)
    await monitor.start()
    try:
        async with serve_grpc(dispatcher, grpc_settings(limits=limits), monitor, grace_s=grace_s) as port:
            yield port
    finally:
        await monitor.close()


@asynccontextmanager
async def serving(
    *services: tuple[ServiceDescriptor, Any],
    credentials: FakeCredentials | None = None,
    chain: Sequence[ServerInterceptor] | None = None,
    checks: Iterable[Check] = (),
    limits: CallLimits | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """A plain channel to such a server."""
    async with (
        serving_port(*services, credentials=credentials, chain=chain, checks=checks, limits=limits) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


async def watch_health(channel: grpc.aio.Channel, service: str = "") -> AsyncGenerator[int, None]:
    """The statuses that grpc.health.v1 Watch reports, as they change. Waits for a server that is not there yet."""
    # spelled out, since the typed stubs of grpcio-health-checking lack the methods
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    async for answer in watch(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True):
        yield answer.status
