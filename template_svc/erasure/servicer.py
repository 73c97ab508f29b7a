"""clarion.template.v1.ProjectErasureService: messages in, one use case, messages out."""

from typing import Protocol

from clarion.template.v1 import project_erasure_service_pb2 as rpc
from clarion.template.v1.project_erasure_service_pb2_grpc import ProjectErasureServiceServicer


class Projects(Protocol):
    """Where all of a project's templates are."""

    async def erase(self, project: str) -> None:
        """Removes them with all that belongs to them. An unknown id is no error."""


class ProjectErasureServicer(ProjectErasureServiceServicer):
    """Serves the gateway's saga. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def EraseProjectTemplates(self, request: rpc.EraseProjectTemplatesRequest, context: object) -> rpc.EraseProjectTemplatesResponse:
        await self._projects.erase(request.project)
        return rpc.EraseProjectTemplatesResponse()
