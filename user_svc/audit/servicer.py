"""clarion.user.v1.AuditService: messages in, one use case, messages out."""

from clarion.user.v1 import audit_service_pb2 as rpc
from clarion.user.v1.audit_service_pb2_grpc import AuditServiceServicer
from mesh.context import current
from user_svc.audit.convert import event_to_proto, filters_from_proto, handed_over_from_proto
from user_svc.audit.use_cases import AuditLog


class AuditServicer(AuditServiceServicer):
    """Serves the audit log. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def ListAuditEvents(self, request: rpc.ListAuditEventsRequest, context: object) -> rpc.ListAuditEventsResponse:
        filters = filters_from_proto(current().caller.project, request)
        page = await self._log.list_events(filters, request.page_size, request.page_token)
        return rpc.ListAuditEventsResponse(audit_events=map(event_to_proto, page.items), next_page_token=page.next_token)

    async def KeepAuditEvents(self, request: rpc.KeepAuditEventsRequest, context: object) -> rpc.KeepAuditEventsResponse:
        await self._log.take([handed_over_from_proto(event) for event in request.events])
        return rpc.KeepAuditEventsResponse()
