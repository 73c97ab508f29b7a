"""Client channels: balancing, keepalive and retries by configuration; our chain around each call; ServiceError out."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from mesh.errors import ServiceError
from mesh.rpc import methods
from mesh.rpc.calls import ClientCall, ClientInterceptor
from mesh.rpc.methods import methods_of
from mesh.rpc.settings import ChannelSettings
from mesh.rpc.status import error_class, from_status

_DETAILS = "grpc-status-details-bin"
_COME_AGAIN_S = 1.0


@asynccontextmanager
async def open_channel(
    target: str, *, settings: ChannelSettings, chain: Sequence[ClientInterceptor], services: Iterable[ServiceDescriptor]
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `target` (a gRPC URI such as `dns:///user-svc:8001`) that connects on first use and comes back by itself.

    `services` are those whose methods may be retried as their idempotency level says.
    """
    options = _options(services)
    if settings.ca_file:
        channel = grpc.aio.secure_channel(target, _credentials(settings), options=options)
    else:
        channel = grpc.aio.insecure_channel(target, options=options)
    try:
        yield MeshChannel(channel, target, chain)
    finally:
        await channel.close()


def _options(services: Iterable[ServiceDescriptor]) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(service_config(services))),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # reconnect soon after a restart: the default backs off to two minutes
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 3_000),
        ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ]


def service_config(services: Iterable[ServiceDescriptor]) -> dict[str, Any]:
    """GRPC's service config: round robin over healthy addresses, and retries for the methods whose schema allows them."""
    retried = [
        {"service": method.service, "method": method.name}
        for service in services
        for method in methods_of(service).values()
        if method.idempotent and not method.server_streaming
    ]
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    if retried:
        policy = {
            "maxAttempts": 3,
            "initialBackoff": "0.05s",
            "maxBackoff": "0.5s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": retried, "retryPolicy": policy}]
    return config


def _credentials(settings: ChannelSettings) -> grpc.ChannelCredentials:
    def read(path: str) -> bytes | None:
        return Path(path).read_bytes() if path else None

    return grpc.ssl_channel_credentials(read(settings.ca_file), read(settings.key_file), read(settings.cert_file))


def to_service_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """What the callee said, or what gRPC says when nobody answered."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break  # fall back to the plain code
    code = error.code().value[0]
    kind = error_class(code)
    # gRPC's own text names addresses and files; only the callee's words, which come with details, are passed on
    message, reason = f"another part of the system answered {error.code().name}", f"UPSTREAM_{error.code().name}"
    return kind(message, reason=reason, retry_after_s=_COME_AGAIN_S if error.code() is grpc.StatusCode.UNAVAILABLE else None)


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

        async def call(request: Message, *, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()) -> Any:
            outgoing = ClientCall(policy, self._target, timeout, dict(metadata))
            async with AsyncExitStack() as stack:
                for interceptor in self._chain:
                    await stack.enter_async_context(interceptor.around(outgoing))
                try:
                    return await inner(request, timeout=outgoing.timeout_s, metadata=tuple(outgoing.metadata.items()))
                except grpc.aio.AioRpcError as error:
                    raise to_service_error(error) from None

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
