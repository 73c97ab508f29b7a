"""The gRPC server of a process: the dispatcher's methods, health and reflection."""

import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from mesh.process.health import HealthMonitor
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import PortTaken
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.handlers import Handlers
from mesh.rpc.receiving import ReceiveLimits, Receiver
from mesh.rpc.settings import GrpcSettings
from mesh.rpc.slots import Slots
from mesh.rpc.system_services import system_handlers

log = logging.getLogger(__name__)

DEFAULT_BUDGET_BYTES = 64 * 1024 * 1024
_MOST_STREAMS = 64  # server streams of one connection; below what HTTP/2 lets it have, so that calls get through beside them


@asynccontextmanager
async def serve_grpc(
    dispatcher: Dispatcher,
    settings: GrpcSettings,
    health_monitor: HealthMonitor,
    *,
    budget: MemoryBudget | None = None,
    grace_s: float = 10.0,
) -> AsyncIterator[int]:
    """Serves until the end of the block and yields the port; then lets calls in flight finish for `grace_s`. Raises PortTaken.

    `budget` is shared with the process's other doors.
    """
    dispatcher.limit_to(settings.limits)
    server = grpc.aio.server(options=_options(settings))
    budget = budget or MemoryBudget(DEFAULT_BUDGET_BYTES)
    receiver = Receiver(ReceiveLimits(pending=settings.limits.calls, deadline_s=settings.limits.message_s), budget)
    doors = Handlers(dispatcher, receiver, Slots("streams", total=settings.limits.streams, per_key=_MOST_STREAMS, key="connection"))
    for service in dispatcher.service_names:
        handlers = {m.name: doors.method(m) for m in dispatcher.methods.values() if m.service == service}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    own = system_handlers(health_monitor.servicer, dispatcher.service_names, budget, settings)
    server.add_generic_rpc_handlers(own)
    port = _bind(server, settings)
    await server.start()
    log.info("serving gRPC", extra={"port": port, "tls": bool(settings.tls_cert_file)})
    try:
        yield port
    finally:
        dispatcher.end_streams()
        health_monitor.servicer.end_watches()
        await server.stop(grace_s)


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second process on the port must fail, not share its calls
        ("grpc.max_receive_message_length", 4 * 1024 * 1024),
        # gRPC inflates a message before it checks the size: a few hundred kB would become gigabytes. 1 << 0 is "identity"
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        # far above what is admitted: gRPC's core resets streams of a client at the limit whose last calls it is still closing
        ("grpc.max_concurrent_streams", settings.streams_per_connection),
        # it counts ended calls until Python has let go of them, and so refuses streams of clients that keep to the limit
        ("grpc.http.overload_protection", 0),
        ("grpc.max_allowed_incoming_connections", settings.connections),
        ("grpc.server_handshake_timeout_ms", 10_000),  # also for a client that sends nothing at all
        ("grpc.http2.settings_timeout", 10_000),
        # without it a client's window grows with its bandwidth, also for messages that no handler reads
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # our channels ping once a second, also without calls, to notice a replica that is gone; by default a server refuses more than
        # one ping in five minutes (https://grpc.io/docs/guides/keepalive/)
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        # No limit: over it gRPC's core (1.78) says goodbye and, where the client does not read that, goes on reading without a bound: 9 MB
        # of PING and SETTINGS frames took 780 MB. What it has to answer is bounded in any case (10,000 frames, then it stops reading).
        ("grpc.http2.max_ping_strikes", 0),
        # connections age, so that clients resolve again and new replicas get their share
        ("grpc.max_connection_age_ms", settings.max_connection_age_s * 1000),
        ("grpc.max_connection_age_grace_ms", 30_000),
    ]


def _bind(server: grpc.aio.Server, settings: GrpcSettings) -> int:
    address = f"{settings.host}:{settings.port}"
    if settings.port:
        _try_port(settings)
    try:
        return server.add_secure_port(address, _credentials(settings)) if settings.tls_cert_file else server.add_insecure_port(address)
    except RuntimeError as error:
        raise PortTaken(settings.port, "CLARION_GRPC_PORT") from error


def _try_port(settings: GrpcSettings) -> None:
    """Raises PortTaken before gRPC's core does that by two lines of its own on stderr."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise PortTaken(settings.port, "CLARION_GRPC_PORT") from error


def _credentials(settings: GrpcSettings) -> grpc.ServerCredentials:
    """Reads the files again at each handshake, so that a renewed certificate needs no restart."""

    def load() -> grpc.ServerCertificateConfiguration:
        client_ca = Path(settings.tls_client_ca_file).read_bytes() if settings.tls_client_ca_file else None
        pair = (Path(settings.tls_key_file).read_bytes(), Path(settings.tls_cert_file).read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca)

    return grpc.dynamic_ssl_server_credentials(load(), load, require_client_authentication=bool(settings.tls_client_ca_file))
