"""Taking projects out of use and back in PostgreSQL, with what ends by it."""

from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.context import FIRST_PROJECT
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import record
from user_svc.auth.repository import end_sessions_of
from user_svc.auth.revocation_repository import revoke_keys
from user_svc.projects.errors import ProjectClosed
from user_svc.projects.models import Project
from user_svc.projects.repository import ProjectRepository
from user_svc.tables import api_keys, projects, refresh_tokens, users


class ProjectArchive(ProjectRepository):
    """Implements `projects.use_cases.ProjectStore`: the keys and sessions that end are another noun's."""

    async def archive(self, identifier: str) -> Project | None:
        of_project = refresh_tokens.c.user_id.in_(select(users.c.id).where(users.c.project == identifier))
        async with self._database.begin() as connection:
            row = await _lock(connection, identifier)
            if row is not None and row.archive_time is None:
                await _set_time(connection, identifier, archived=True)
                keys = await revoke_keys(connection, api_keys.c.project == identifier)
                sessions = await end_sessions_of(connection, of_project)
                await _note(connection, AuditKind.PROJECT_ARCHIVED, identifier, api_keys=str(len(keys)), sessions=str(sessions))
        return await self.find(identifier)

    async def restore(self, identifier: str) -> Project | None:
        async with self._database.begin() as connection:
            row = await _lock(connection, identifier)
            if row is not None and row.archive_time is not None:
                if row.erase_time is not None:
                    raise ProjectClosed(identifier)
                await _set_time(connection, identifier, archived=False)
                await _note(connection, AuditKind.PROJECT_RESTORED, identifier)
        return await self.find(identifier)


async def _lock(connection: AsyncConnection, identifier: str) -> Row[*tuple[Any, ...]] | None:
    """The state of the project; None when there is none. Waits for everything that has checked that the project is in use."""
    state = select(projects.c.archive_time, projects.c.erase_time)
    return (await connection.execute(state.where(projects.c.id == identifier, ~projects.c.gone).with_for_update())).one_or_none()


async def _set_time(connection: AsyncConnection, identifier: str, *, archived: bool) -> None:
    time = func.now() if archived else None
    await connection.execute(update(projects).where(projects.c.id == identifier).values(archive_time=time))


async def _note(connection: AsyncConnection, kind: AuditKind, identifier: str, **details: str) -> None:
    """In the log of those who look after projects."""
    await record(connection, NewEvent(FIRST_PROJECT, kind, f"project:{identifier}", details=details))
