"""What template_svc is asked about scheduled publications."""

from collections.abc import Sequence
from typing import Any

import grpc.aio

from clarion.template.v1.scheduled_publication_service_pb2 import ListFailedPublicationsRequest
from clarion.template.v1.scheduled_publication_service_pb2_grpc import ScheduledPublicationServiceStub
from gateway.activity.models import FailedPlan
from mesh.rpc.timestamps import from_timestamp


class PlanClient:
    """Implements `use_cases.FailedPlans`, by template_svc."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = ScheduledPublicationServiceStub(channel)

    async def failed(self, project: str) -> Sequence[FailedPlan]:
        """Raises ServiceError."""
        answer = await self._stub.ListFailedPublications(ListFailedPublicationsRequest(project=project))
        return [
            FailedPlan(plan.template, plan.version, from_timestamp("publish_at", plan.publish_at), plan.description)
            for plan in answer.scheduled_publications
        ]
