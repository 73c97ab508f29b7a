"""clarion.template.v1.PartialService: messages in, one use case, messages out."""

from clarion.template.v1 import partial_service_pb2 as rpc
from clarion.template.v1.partial_service_pb2_grpc import PartialServiceServicer
from mesh.context import current
from template_svc.convert import partial_to_proto
from template_svc.models import PartialKey
from template_svc.partials.use_cases import Partials


class PartialServicer(PartialServiceServicer):
    """Serves authors. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, partials: Partials) -> None:
        self._partials = partials

    async def UpdatePartial(self, request: rpc.UpdatePartialRequest, context: object) -> rpc.UpdatePartialResponse:
        return rpc.UpdatePartialResponse(partial=partial_to_proto(await self._partials.put(_key(request.name), request.source)))

    async def GetPartial(self, request: rpc.GetPartialRequest, context: object) -> rpc.GetPartialResponse:
        return rpc.GetPartialResponse(partial=partial_to_proto(*await self._partials.get(_key(request.name))))

    async def ListPartials(self, request: rpc.ListPartialsRequest, context: object) -> rpc.ListPartialsResponse:
        page = await self._partials.list(current().caller.project, request.page_size, request.page_token)
        return rpc.ListPartialsResponse(partials=map(partial_to_proto, page.items), next_page_token=page.next_token)

    async def DeletePartial(self, request: rpc.DeletePartialRequest, context: object) -> rpc.DeletePartialResponse:
        await self._partials.delete(_key(request.name))
        return rpc.DeletePartialResponse()

    async def RebuildTemplates(self, request: rpc.RebuildTemplatesRequest, context: object) -> rpc.RebuildTemplatesResponse:
        rebuilt = await self._partials.rebuild(_key(request.name), validate_only=request.validate_only)
        return rpc.RebuildTemplatesResponse(templates=[rpc.Rebuilt(**each._asdict()) for each in rebuilt])


def _key(name: str) -> PartialKey:
    """The partial of that name in the caller's project."""
    return PartialKey(current().caller.project, name)
