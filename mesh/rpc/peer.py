"""The way to another service of the mesh: channel, chain, breaker and its recovery in one."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from mesh.rpc.channel import MeshChannel, open_raw_channel
from mesh.rpc.identity import ServiceIdentity
from mesh.rpc.interceptors import client_chain
from mesh.rpc.recovery import Recovery
from mesh.rpc.settings import ChannelSettings


@asynccontextmanager
async def open_peer(
    name: str, target: str, *, identity: ServiceIdentity, settings: ChannelSettings, services: Iterable[ServiceDescriptor]
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service `name` at `target` (a gRPC URI such as `dns:///user-svc:8001`); its calls raise ServiceError.

    It connects on first use and reconnects by itself. `services` are those whose methods may be retried as their idempotency level says.
    The breaker carries the service's name.
    """
    async with open_raw_channel(target, settings=settings, services=services) as channel:
        recovery = Recovery(name, channel, failures=settings.breaker_failures, open_s=settings.breaker_open_s)
        try:
            yield MeshChannel(channel, target, client_chain(identity, recovery.breaker))
        finally:
            await recovery.close()
