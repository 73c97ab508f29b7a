"""Client channels: balancing, keepalive and retries by configuration; our chain around each call; ServiceError out."""

import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from mesh.errors import ServiceError
from mesh.resilience.periodic import Periodic
from mesh.rpc import methods
from mesh.rpc.calls import ClientCall, ClientInterceptor
from mesh.rpc.hedging import Hedge, may_hedge
from mesh.rpc.methods import methods_of
from mesh.rpc.renewal import Files, RenewingChannel
from mesh.rpc.settings import ChannelSettings
from mesh.rpc.status import Unanswered, error_class, from_status

_DETAILS = "grpc-status-details-bin"
_RETRY_AFTER_S = 1.0
# Without details of ours: no connection, one that ended, or a call that a stopping server has not begun.
_UNANSWERED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})

# Replicas that do not answer. Keepalive finds those whose connection is dead (frozen, cut off, half-open TCP): its ping goes out 1 s after
# the last sign of life, the connection ends where it is not answered within 1.5 s, and round robin goes past it until there is a new one:
# while there is still time for another try before the deadline of most calls, 3 s.
# gRPC's core (1.78) gives it as long as any other ping, which is a minute unless `ping_timeout_ms` says less; `keepalive_timeout_ms` alone
# changes nothing (tests/mesh/test_peer.py).
_KEEPALIVE_MS, _KEEPALIVE_TIMEOUT_MS = 1_000, 1_500
# Outlier detection (gRFC A50) finds those that take calls and do not answer them: a replica of which nearly all calls of a second fail
# while others answer gets none for 2 s, then 4 s, and so on. At most half of them are left out, so that an error which all give alike
# (a caller's mistake, say, which gRPC's core counts too) never leaves a service without replicas.
_OUTLIERS = {
    "interval": "1s",
    "baseEjectionTime": "2s",
    "maxEjectionTime": "30s",
    "maxEjectionPercent": 50,
    "failurePercentageEjection": {"threshold": 85, "enforcementPercentage": 100, "minimumHosts": 2, "requestVolume": 4},
    "childPolicy": [{"round_robin": {}}],
}


@asynccontextmanager
async def open_channel(
    target: str, *, settings: ChannelSettings, chain: Sequence[ClientInterceptor], services: Iterable[ServiceDescriptor]
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel whose calls run inside `chain` and raise ServiceError; else like `open_raw_channel`."""
    async with open_raw_channel(target, settings=settings, services=services) as channel:
        yield MeshChannel(channel, target, chain)


@asynccontextmanager
async def open_raw_channel(
    target: str, *, settings: ChannelSettings, services: Iterable[ServiceDescriptor]
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `target` (a gRPC URI such as `dns:///user-svc:8001`) that connects on first use and reconnects by itself.

    `services` are those whose methods may be retried as their idempotency level says. Certificates are read again while it is open.
    """
    options = _options(services)
    if not settings.ca_file:
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            yield channel
        return

    def make(files: Files) -> grpc.aio.Channel:
        # the CA, and a key with its certificate where servers ask for one
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(*files), options=options)

    async with RenewingChannel((settings.ca_file, settings.key_file, settings.cert_file), make) as renewing:
        looking = Periodic("certificates", renewing.renew, interval_s=settings.renew_s, at_once=False)
        looking.start()
        try:
            yield renewing
        finally:
            await looking.close()


def _options(services: Iterable[ServiceDescriptor]) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(service_config(services))),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        # any number of pings without data between them: by default the core stops after two
        ("grpc.http2.max_pings_without_data", 0),
        # a replica that is back gets calls within a second: the default backs off to two minutes
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # also how long a connection may take to come up, TLS included
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ]


def service_config(services: Iterable[ServiceDescriptor]) -> dict[str, Any]:
    """GRPC's service config: round robin over the addresses that answer, and retries for the methods whose schema allows them."""
    retried = [
        {"service": method.service, "method": method.name}
        for service in services
        for method in methods_of(service).values()
        if method.idempotent and not method.server_streaming
    ]
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"outlier_detection_experimental": _OUTLIERS}],
        # half of the tokens, a failure each, are for retries: with one of two replicas sick, ten of them last for a blink, and what comes
        # after that fails until the replica is left out; where all are sick, it bounds what repeating adds to their load
        "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1},
    }
    if retried:
        policy = {
            "maxAttempts": 5,
            "initialBackoff": "0.01s",
            "maxBackoff": "0.1s",
            "backoffMultiplier": 2,
            # a server of grpc.aio that is asked to stop lets go of what has just arrived: CANCELLED, which we answer to nothing ourselves
            "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
        }
        config["methodConfig"] = [{"name": retried, "retryPolicy": policy}]
    return config


def to_service_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """What the callee said, or what gRPC says when nothing answered."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break  # fall back to the plain code
    if error.code() in _UNANSWERED:
        return Unanswered("another part of the system does not answer", retry_after_s=_RETRY_AFTER_S)
    # gRPC's own text names addresses and files; only the callee's words, which come with details, are passed on
    name = error.code().name
    return error_class(error.code().value[0])(f"another part of the system answered {name}", reason=f"UPSTREAM_{name}")


class MeshChannel(grpc.aio.Channel):
    """A grpc.aio channel whose unary calls run inside the client chain and fail as ServiceError."""

    def __init__(self, channel: grpc.aio.Channel, target: str, chain: Sequence[ClientInterceptor]) -> None:
        self._channel = channel
        self._target = target
        self._chain = tuple(chain)

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A callable `(request, *, timeout=None, metadata=())` that returns the response."""
        inner = self._channel.unary_unary(method, *args, **kwargs)
        policy = methods.find(method)
        hedge = Hedge(policy) if may_hedge(policy) else None

        async def call(request: Message, *, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()) -> Any:
            outgoing = ClientCall(policy, self._target, timeout, dict(metadata))
            async with AsyncExitStack() as stack:
                for interceptor in self._chain:
                    await stack.enter_async_context(interceptor.around(outgoing))
                if hedge is None:
                    return await attempt(request, outgoing.timeout_s, outgoing.metadata)
                return await hedged(hedge, request, outgoing.timeout_s, outgoing.metadata)

        async def attempt(request: Message, timeout_s: float | None, metadata: Mapping[str, str]) -> Any:
            try:
                return await inner(request, timeout=timeout_s, metadata=tuple(metadata.items()))
            except grpc.aio.AioRpcError as error:
                raise to_service_error(error) from None

        async def hedged(hedge: Hedge, request: Message, timeout_s: float | None, metadata: Mapping[str, str]) -> Any:
            deadline = time.monotonic() + timeout_s if timeout_s is not None else None

            def once() -> Coroutine[Any, Any, Any]:
                return attempt(request, max(0.0, deadline - time.monotonic()) if deadline is not None else None, metadata)

            return await hedge.call(once)

        return call

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The plain grpc.aio callable: streams are for clients outside the mesh."""
        return self._channel.unary_stream(method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The plain grpc.aio callable."""
        return self._channel.stream_unary(method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The plain grpc.aio callable."""
        return self._channel.stream_stream(method, *args, **kwargs)

    async def close(self, grace: float | None = None) -> None:
        """Closes the connection."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The connection's state."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state differs from the one given."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits until the channel is connected to a healthy server."""
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        """The channel itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the connection."""
        await self.close()
