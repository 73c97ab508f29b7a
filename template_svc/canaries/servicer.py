"""clarion.template.v1.CanaryService: messages in, one use case, messages out."""

from clarion.template.v1 import canary_service_pb2 as rpc
from clarion.template.v1.canary_service_pb2_grpc import CanaryServiceServicer
from mesh.context import current
from template_svc.canaries.convert import canary_to_proto, unit_from_proto
from template_svc.canaries.models import Share
from template_svc.canaries.use_cases import Canaries
from template_svc.convert import check_note
from template_svc.models import TemplateKey, VersionKey
from template_svc.use_cases import mark_of


class CanaryServicer(CanaryServiceServicer):
    """Serves authors. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries

    async def StartCanary(self, request: rpc.StartCanaryRequest, context: object) -> rpc.StartCanaryResponse:
        key = VersionKey(current().caller.project, request.name, request.version)
        share = Share(request.percent, unit_from_proto(request.unit))
        return rpc.StartCanaryResponse(canary=canary_to_proto(await self._canaries.start(key, share, mark_of(check_note(request.note)))))

    async def GetCanary(self, request: rpc.GetCanaryRequest, context: object) -> rpc.GetCanaryResponse:
        canary = await self._canaries.get(TemplateKey(current().caller.project, request.name))
        return rpc.GetCanaryResponse(canary=canary_to_proto(canary))

    async def StopCanary(self, request: rpc.StopCanaryRequest, context: object) -> rpc.StopCanaryResponse:
        canary = await self._canaries.stop(TemplateKey(current().caller.project, request.name), mark_of("").by)
        return rpc.StopCanaryResponse(canary=canary_to_proto(canary))
