"""clarion.operations.v1.BreakerService: messages in, one use case, messages out."""

from clarion.operations.v1 import breaker_service_pb2 as rpc
from clarion.operations.v1.breaker_service_pb2_grpc import BreakerServiceServicer
from gateway.breakers.convert import breaker_message, duration_of, force_of
from gateway.breakers.use_cases import Breakers
from mesh.context import current


class BreakerServicer(BreakerServiceServicer):
    """Serves breakers. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    async def ListBreakers(self, request: rpc.ListBreakersRequest, context: object) -> rpc.ListBreakersResponse:
        return rpc.ListBreakersResponse(breakers=map(breaker_message, await self._breakers.list_breakers()))

    async def ForceBreaker(self, request: rpc.ForceBreakerRequest, context: object) -> rpc.ForceBreakerResponse:
        forced = await self._breakers.force(
            current().caller, request.name, force_of(request), duration_s=duration_of(request), note=request.note
        )
        return rpc.ForceBreakerResponse(breaker=breaker_message(forced))
