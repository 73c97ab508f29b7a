"""Projects in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from user_svc.projects.errors import ProjectArchived, ProjectNotFound
from user_svc.projects.models import Project
from user_svc.tables import projects


class ProjectRepository:
    """Implements `projects.use_cases.ProjectStore`, but for archiving (`archiving.repository`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, project: Project) -> bool:
        values = {"id": project.id, "display_name": project.display_name, "create_time": project.create_time}
        async with self._database.begin() as connection:
            return bool((await connection.execute(insert(projects).values(**values).on_conflict_do_nothing())).rowcount)

    async def find(self, identifier: str) -> Project | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(projects).where(projects.c.id == identifier, ~projects.c.gone))).one_or_none()
        return None if row is None else _project(row)

    async def list_by_id(self, after: str, limit: int) -> Sequence[Project]:
        statement = select(projects).where(projects.c.id > after, ~projects.c.gone).order_by(projects.c.id).limit(limit)
        async with self._database.connect() as connection:
            return [_project(row) for row in await connection.execute(statement)]


async def check_project(connection: AsyncConnection, identifier: str) -> None:
    """That it is in use; it is not archived before the transaction ends. Raises ProjectNotFound or ProjectArchived."""
    in_use = select(projects.c.archive_time).where(projects.c.id == identifier, ~projects.c.gone).with_for_update(read=True, key_share=True)
    row = (await connection.execute(in_use)).one_or_none()
    if row is None:
        raise ProjectNotFound
    if row.archive_time is not None:
        raise ProjectArchived(identifier)


def _project(row: Row[*tuple[Any, ...]]) -> Project:
    return Project(row.id, row.display_name, row.create_time, row.archive_time)
