"""Taking projects out of use and back in PostgreSQL, with what ends by it."""

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.context import FIRST_PROJECT
from mesh.rpc.revocations import key_subject, session_subject
from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import record
from user_svc.auth.revocation_repository import record_revocations
from user_svc.projects.errors import ProjectClosed
from user_svc.projects.models import Project
from user_svc.projects.repository import ProjectRepository
from user_svc.tables import api_keys, projects, refresh_tokens, users


class ProjectArchive(ProjectRepository):
    """Implements `projects.use_cases.ProjectStore`: the keys and sessions that end are another noun's."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = database

    async def archive(self, identifier: str) -> Project | None:
        async with self._rows.begin() as connection:
            if await _lock(connection, identifier, archived=False):
                await _set_time(connection, identifier, archived=True)
                keys, sessions = await _end_keys(connection, identifier), await _end_sessions(connection, identifier)
                await _note(connection, AuditKind.PROJECT_ARCHIVED, identifier, api_keys=str(keys), sessions=str(sessions))
        return await self.find(identifier)

    async def restore(self, identifier: str) -> Project | None:
        async with self._rows.begin() as connection:
            if await _lock(connection, identifier, archived=True):
                await _refuse_closed(connection, identifier)
                await _set_time(connection, identifier, archived=False)
                await _note(connection, AuditKind.PROJECT_RESTORED, identifier)
        return await self.find(identifier)


async def _refuse_closed(connection: AsyncConnection, identifier: str) -> None:
    closed = select(projects.c.erase_time).where(projects.c.id == identifier)
    if (await connection.execute(closed)).scalar_one() is not None:
        raise ProjectClosed(identifier)


async def _lock(connection: AsyncConnection, identifier: str, *, archived: bool) -> bool:
    """Whether there is such a project in this state. Waits for everything that has checked that the project is in use."""
    locked = select(projects.c.archive_time).where(projects.c.id == identifier, ~projects.c.gone).with_for_update()
    row = (await connection.execute(locked)).one_or_none()
    return row is not None and (row.archive_time is not None) == archived


async def _set_time(connection: AsyncConnection, identifier: str, *, archived: bool) -> None:
    time = func.now() if archived else None
    await connection.execute(update(projects).where(projects.c.id == identifier).values(archive_time=time))


async def _end_keys(connection: AsyncConnection, project: str) -> int:
    working = (api_keys.c.project == project) & api_keys.c.revoke_time.is_(None)
    ended = await connection.execute(update(api_keys).where(working).values(revoke_time=func.now()).returning(api_keys.c.id))
    keys = [key_subject(str(key_id)) for key_id in ended.scalars()]
    await record_revocations(connection, keys)
    return len(keys)


async def _end_sessions(connection: AsyncConnection, project: str) -> int:
    """Repeated, since a refresh that is under way leaves a token that the statement before did not see."""
    of_project = refresh_tokens.c.user_id.in_(select(users.c.id).where(users.c.project == project))
    tokens = delete(refresh_tokens).where(of_project).returning(refresh_tokens.c.family)
    ended: set[str] = set()
    while families := {*(await connection.execute(tokens)).scalars()}:
        ended |= families
    await record_revocations(connection, [session_subject(family) for family in sorted(ended)])
    return len(ended)


async def _note(connection: AsyncConnection, kind: AuditKind, identifier: str, **details: str) -> None:
    """In the log of those who look after projects."""
    await record(connection, NewEvent(FIRST_PROJECT, kind, f"project:{identifier}", details=details))
