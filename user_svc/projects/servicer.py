"""clarion.user.v1.ProjectService: messages in, one use case, messages out."""

from clarion.user.v1 import project_pb2
from clarion.user.v1 import project_service_pb2 as rpc
from clarion.user.v1.project_service_pb2_grpc import ProjectServiceServicer
from mesh.rpc.timestamps import to_timestamp
from user_svc.projects.errors import ErasedByGateway
from user_svc.projects.models import Project
from user_svc.projects.use_cases import Projects


class ProjectServicer(ProjectServiceServicer):
    """Serves projects. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def CreateProject(self, request: rpc.CreateProjectRequest, context: object) -> rpc.CreateProjectResponse:
        project = await self._projects.create_project(request.project.id, request.project.display_name)
        return rpc.CreateProjectResponse(project=_message(project))

    async def GetProject(self, request: rpc.GetProjectRequest, context: object) -> rpc.GetProjectResponse:
        return rpc.GetProjectResponse(project=_message(await self._projects.get_project(request.id)))

    async def ListProjects(self, request: rpc.ListProjectsRequest, context: object) -> rpc.ListProjectsResponse:
        page = await self._projects.list_projects(request.page_size, request.page_token)
        return rpc.ListProjectsResponse(projects=map(_message, page.items), next_page_token=page.next_token)

    async def ArchiveProject(self, request: rpc.ArchiveProjectRequest, context: object) -> rpc.ArchiveProjectResponse:
        return rpc.ArchiveProjectResponse(project=_message(await self._projects.archive_project(request.id)))

    async def DeleteProject(self, request: rpc.DeleteProjectRequest, context: object) -> rpc.DeleteProjectResponse:
        raise ErasedByGateway

    async def RestoreProject(self, request: rpc.RestoreProjectRequest, context: object) -> rpc.RestoreProjectResponse:
        return rpc.RestoreProjectResponse(project=_message(await self._projects.restore_project(request.id)))


def _message(project: Project) -> project_pb2.Project:
    message = project_pb2.Project(id=project.id, display_name=project.display_name, create_time=to_timestamp(project.create_time))
    if project.archive_time is not None:
        message.archive_time.CopyFrom(to_timestamp(project.archive_time))
    return message
