"""The gRPC server of a process: the dispatcher's methods, health and reflection."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mesh.correlation import with_correlation_id
from mesh.errors import ServiceError
from mesh.process.health import HealthMonitor
from mesh.process.runtime import PortTaken
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.methods import Method
from mesh.rpc.settings import GrpcSettings
from mesh.rpc.status import to_status

log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DETAILS = "grpc-status-details-bin"


@asynccontextmanager
async def serve_grpc(
    dispatcher: Dispatcher, settings: GrpcSettings, health_monitor: HealthMonitor, *, grace_s: float = 10.0
) -> AsyncIterator[int]:
    """Serves until the end of the block and yields the port; then lets calls in flight finish for `grace_s`. Raises PortTaken."""
    server = grpc.aio.server(options=_options(settings), maximum_concurrent_rpcs=settings.max_concurrent_rpcs)
    for service in dispatcher.service_names:
        handlers = {m.name: _handler(dispatcher, m) for m in dispatcher.methods.values() if m.service == service}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    health_pb2_grpc.add_HealthServicer_to_server(health_monitor.servicer, server)
    if settings.reflection:
        names = (*dispatcher.service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    port = _bind(server, settings)
    await server.start()
    log.info("serving gRPC", extra={"port": port, "tls": bool(settings.tls_cert_file)})
    try:
        yield port
    finally:
        await server.stop(grace_s)


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second process on the port must fail, not share its calls
        ("grpc.max_receive_message_length", 4 * 1024 * 1024),
        ("grpc.keepalive_permit_without_calls", 1),
        # our channels ping once a second, also without calls, to notice a replica that is gone; by default a server refuses more than
        # one ping in five minutes (https://grpc.io/docs/guides/keepalive/)
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.http2.max_ping_strikes", 3),
        # connections age, so that clients resolve again and new replicas get their share
        ("grpc.max_connection_age_ms", settings.max_connection_age_s * 1000),
        ("grpc.max_connection_age_grace_ms", 30_000),
    ]


def _bind(server: grpc.aio.Server, settings: GrpcSettings) -> int:
    address = f"{settings.host}:{settings.port}"
    try:
        return server.add_secure_port(address, _credentials(settings)) if settings.tls_cert_file else server.add_insecure_port(address)
    except RuntimeError as error:
        raise PortTaken(f"cannot listen on port {settings.port}: it is taken or not allowed") from error


def _credentials(settings: GrpcSettings) -> grpc.ServerCredentials:
    """Reads the files again at each handshake, so that a renewed certificate needs no restart."""

    def load() -> grpc.ServerCertificateConfiguration:
        client_ca = Path(settings.tls_client_ca_file).read_bytes() if settings.tls_client_ca_file else None
        pair = (Path(settings.tls_key_file).read_bytes(), Path(settings.tls_cert_file).read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca)

    return grpc.dynamic_ssl_server_credentials(load(), load, require_client_authentication=bool(settings.tls_client_ca_file))


def _handler(dispatcher: Dispatcher, method: Method) -> "grpc.RpcMethodHandler[Any, Any]":
    serialize = method.response_type.SerializeToString
    deserialize = method.request_type.FromString
    if method.server_streaming:
        stream = _streaming(dispatcher, method)
        return grpc.unary_stream_rpc_method_handler(stream, request_deserializer=deserialize, response_serializer=serialize)
    unary = _unary(dispatcher, method)
    return grpc.unary_unary_rpc_method_handler(unary, request_deserializer=deserialize, response_serializer=serialize)


def _unary(dispatcher: Dispatcher, method: Method) -> Any:
    async def handle(request: Message, rpc: "grpc.aio.ServicerContext[Any, Any]") -> Message:
        metadata = _metadata(rpc)
        try:
            reply = await dispatcher.unary(method.full_name, request, metadata=metadata, timeout_s=rpc.time_remaining())
        except ServiceError as error:
            await _abort(rpc, error, metadata)
            raise
        rpc.set_trailing_metadata((("x-correlation-id", metadata["x-correlation-id"]), *reply.headers))
        return reply.message

    return handle


def _streaming(dispatcher: Dispatcher, method: Method) -> Any:
    async def handle(request: Message, rpc: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[Message]:
        metadata = _metadata(rpc)
        try:
            async for message in dispatcher.stream(method.full_name, request, metadata=metadata, timeout_s=rpc.time_remaining()):
                yield message
        except ServiceError as error:
            await _abort(rpc, error, metadata)
            raise

    return handle


def _metadata(rpc: "grpc.aio.ServicerContext[Any, Any]") -> dict[str, str]:
    return with_correlation_id({key: value for key, value in rpc.invocation_metadata() or () if isinstance(value, str)})


async def _abort(rpc: "grpc.aio.ServicerContext[Any, Any]", error: ServiceError, metadata: dict[str, str]) -> None:
    details = to_status(error).SerializeToString()
    trailers = (("x-correlation-id", metadata["x-correlation-id"]), *error.headers, (_DETAILS, details))
    await rpc.abort(_CODES[error.code.value], error.message, trailing_metadata=trailers)
