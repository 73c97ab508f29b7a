"""The rules about projects."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from mesh.context import FIRST_PROJECT
from mesh.rpc.paging import Cursor, Page, page_size
from naming.text import check_name
from user_svc.projects.errors import FirstProjectStays, ProjectExists, ProjectNotFound
from user_svc.projects.models import Project

_PAGES = Cursor("projects", str)


class ProjectStore(Protocol):
    """Where projects are kept."""

    async def add(self, project: Project) -> bool:
        """False when the id is taken."""

    async def find(self, identifier: str) -> Project | None: ...

    async def list_by_id(self, after: str, limit: int) -> Sequence[Project]: ...

    async def archive(self, identifier: str) -> Project | None:
        """Ends its API keys and sessions, in one transaction with it. None when there is none."""

    async def restore(self, identifier: str) -> Project | None:
        """None when there is none. Raises ProjectClosed."""


class Projects:
    """Creates, reads and archives projects. `changed` hears which was archived or restored."""

    def __init__(self, store: ProjectStore, *, changed: Callable[[str], None], now: Callable[[], datetime]) -> None:
        self._store = store
        self._changed = changed
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

    async def archive_project(self, identifier: str) -> Project:
        """Takes it out of use. Raises ProjectNotFound or FirstProjectStays."""
        if identifier == FIRST_PROJECT:
            raise FirstProjectStays(identifier)
        project = None if "\0" in identifier else await self._store.archive(identifier)
        if project is None:
            raise ProjectNotFound
        self._changed(identifier)
        return project

    async def restore_project(self, identifier: str) -> Project:
        """Takes it into use again. Raises ProjectNotFound or ProjectClosed."""
        project = None if "\0" in identifier else await self._store.restore(identifier)
        if project is None:
            raise ProjectNotFound
        self._changed(identifier)
        return project

    async def list_projects(self, requested_size: int, token: str) -> Page[Project]:
        """A page in the order of the ids. Raises InvalidArgument for a size or token that does not fit."""
        size = page_size(requested_size)
        position = _PAGES.position(token)
        projects = await self._store.list_by_id(str(position[0]) if position else "", size + 1)
        return _PAGES.page([((project.id,), project) for project in projects], size)
