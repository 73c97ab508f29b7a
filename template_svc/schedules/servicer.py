"""clarion.template.v1.ScheduledPublicationService: messages in, one use case, messages out."""

from clarion.template.v1 import scheduled_publication_service_pb2 as rpc
from clarion.template.v1.scheduled_publication_service_pb2_grpc import ScheduledPublicationServiceServicer
from mesh.context import current
from mesh.rpc.timestamps import from_timestamp
from template_svc.convert import check_note
from template_svc.models import VersionKey
from template_svc.schedules.convert import plan_to_proto, state_from_proto
from template_svc.schedules.models import PlanFilters
from template_svc.schedules.use_cases import Schedules
from template_svc.use_cases import mark_of


class ScheduleServicer(ScheduledPublicationServiceServicer):
    """Serves authors, and the gateway. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def CreateScheduledPublication(
        self, request: rpc.CreateScheduledPublicationRequest, context: object
    ) -> rpc.CreateScheduledPublicationResponse:
        plan = await self._schedules.schedule(
            VersionKey(current().caller.project, request.template, request.version),
            from_timestamp("publish_at", request.publish_at),
            mark_of(check_note(request.note)),
            previous_version=request.previous_version,
            replaces=request.replaces,
        )
        return rpc.CreateScheduledPublicationResponse(scheduled_publication=plan_to_proto(plan))

    async def GetScheduledPublication(
        self, request: rpc.GetScheduledPublicationRequest, context: object
    ) -> rpc.GetScheduledPublicationResponse:
        plan = await self._schedules.get(current().caller.project, request.id)
        return rpc.GetScheduledPublicationResponse(scheduled_publication=plan_to_proto(plan))

    async def ListScheduledPublications(
        self, request: rpc.ListScheduledPublicationsRequest, context: object
    ) -> rpc.ListScheduledPublicationsResponse:
        template = request.template.replace("\0", "") or None
        filters = PlanFilters(current().caller.project, template, state_from_proto(request.state))
        page = await self._schedules.list(filters, request.page_size, request.page_token)
        return rpc.ListScheduledPublicationsResponse(scheduled_publications=map(plan_to_proto, page.items), next_page_token=page.next_token)

    async def ListFailedPublications(
        self, request: rpc.ListFailedPublicationsRequest, context: object
    ) -> rpc.ListFailedPublicationsResponse:
        return rpc.ListFailedPublicationsResponse(scheduled_publications=map(plan_to_proto, await self._schedules.failed(request.project)))

    async def CancelScheduledPublication(
        self, request: rpc.CancelScheduledPublicationRequest, context: object
    ) -> rpc.CancelScheduledPublicationResponse:
        plan = await self._schedules.cancel(current().caller.project, request.id, mark_of("").by)
        return rpc.CancelScheduledPublicationResponse(scheduled_publication=plan_to_proto(plan))
