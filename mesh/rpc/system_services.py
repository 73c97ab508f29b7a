"""Health and reflection: services for machines and developers, open to all, with places of their own beside those of the calls.

A health check takes no place at all: a caller who fills the process with calls, streams or health watches must not make a probe fail,
since a restart would cost those who did nothing.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2

from mesh.errors import InvalidArgument, ServiceError
from mesh.process.health_service import HealthService
from mesh.process.memory_budget import MemoryBudget
from mesh.rpc.handlers import Requests, Rpc, abort_with
from mesh.rpc.receiving import ReceiveLimits, Receiver, parse
from mesh.rpc.reflection import METHOD, SERVICE_NAMES, Reflection
from mesh.rpc.settings import GrpcSettings
from mesh.rpc.slots import Slots

_REFLECTION_IDLE_S = 30.0


def system_handlers(
    servicer: HealthService, services: Sequence[str], budget: MemoryBudget, settings: GrpcSettings
) -> tuple[grpc.GenericRpcHandler, ...]:
    """The handlers of grpc.health.v1 and, where the settings want it, of grpc.reflection."""
    limits = ReceiveLimits(pending=2000, slow=2, slow_per_address=1, deadline_s=settings.limits.message_s)
    probes = _Health(servicer, Receiver(limits, budget))
    answer = health_pb2.HealthCheckResponse.SerializeToString
    check: Any = grpc.stream_unary_rpc_method_handler(probes.check, request_deserializer=None, response_serializer=answer)
    watch: Any = grpc.stream_stream_rpc_method_handler(probes.watch, request_deserializer=None, response_serializer=answer)
    handlers = [grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": check, "Watch": watch})]
    if settings.reflection:
        behaviour: Any = _reflect(Reflection((*services, health.SERVICE_NAME)))
        info: Any = grpc.stream_stream_rpc_method_handler(behaviour, request_deserializer=None, response_serializer=None)
        handlers += [grpc.method_handlers_generic_handler(name, {METHOD: info}) for name in SERVICE_NAMES]
    return tuple(handlers)


class _Health:
    def __init__(self, servicer: HealthService, receiver: Receiver) -> None:
        self._servicer = servicer
        self._receiver = receiver
        self._watches = Slots("health watches", total=200, per_key=10, key="connection")

    async def check(self, requests: Requests, rpc: Rpc) -> Any:
        try:
            request = await self._read(requests, rpc)
        except ServiceError as error:
            await abort_with(rpc, error)
            raise
        return await self._servicer.Check(request, rpc)

    async def watch(self, requests: Requests, rpc: Rpc) -> None:
        try:
            with self._watches.hold(rpc.peer()):
                await self._servicer.Watch(await self._read(requests, rpc), rpc)
        except ServiceError as error:
            await abort_with(rpc, error)
            raise

    async def _read(self, requests: Requests, rpc: Rpc) -> Any:
        raw = await self._receiver.read(requests, rpc.peer())
        self._receiver.budget.give_back(len(raw))
        return parse(health_pb2.HealthCheckRequest, raw)


def _reflect(reflection: Reflection) -> Any:
    places = Slots("reflections", total=8, per_key=2, key="connection")

    async def info(requests: Requests, rpc: Rpc) -> AsyncIterator[bytes]:
        try:
            with places.hold(rpc.peer()):
                async for response in reflection.answer(requests, idle_s=_REFLECTION_IDLE_S):
                    yield response
        except ServiceError as error:
            await abort_with(rpc, error)
        except DecodeError:
            malformed = "the request is not a ServerReflectionRequest in protobuf's binary form"
            await abort_with(rpc, InvalidArgument(malformed, reason="MALFORMED_MESSAGE"))

    return info
