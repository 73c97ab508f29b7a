"""The rules about projects."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from mesh.rpc.paging import Cursor, Page, page_size
from naming.text import check_name
from user_svc.projects.errors import ProjectExists, ProjectNotFound
from user_svc.projects.models import Project

_PAGES = Cursor("projects", str)


class ProjectStore(Protocol):
    """Where projects are kept."""

    async def add(self, project: Project) -> bool:
        """False when the id is taken."""

    async def find(self, identifier: str) -> Project | None: ...

    async def list_by_id(self, after: str, limit: int) -> Sequence[Project]: ...


class Projects:
    """Creates and reads projects."""

    def __init__(self, store: ProjectStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def create_project(self, identifier: str, display_name: str) -> Project:
        """Raises ProjectExists or InvalidArgument."""
        project = Project(identifier, check_name("project.display_name", display_name), self._now())
        if not await self._store.add(project):
            raise ProjectExists(identifier)
        return project

    async def get_project(self, identifier: str) -> Project:
        """Raises ProjectNotFound."""
        project = None if "\0" in identifier else await self._store.find(identifier)
        if project is None:
            raise ProjectNotFound
        return project

    async def list_projects(self, requested_size: int, token: str) -> Page[Project]:
        """A page in the order of the ids. Raises InvalidArgument for a size or token that does not fit."""
        size = page_size(requested_size)
        position = _PAGES.position(token)
        projects = await self._store.list_by_id(str(position[0]) if position else "", size + 1)
        return _PAGES.page([((project.id,), project) for project in projects], size)
