"""Erasing archived projects in PostgreSQL. The row stays, so that the id is never another project's, and the tombstones of its keys."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, func, select, update

from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from mesh.stores.deleting import delete_in_parts
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import record
from user_svc.projects.errors import PeopleLeft, ProjectNotArchived, ProjectNotFound
from user_svc.tables import (
    account_links,
    api_keys,
    brands,
    categories,
    category_suppressions,
    delivery_policies,
    projects,
    roles,
    suppressions,
    users,
)

_MOST_PEOPLE = 100


class ProjectErasureRepository:
    """Implements `erasure.servicer.Projects`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def close(self, project: str) -> None:
        """Raises ProjectNotFound or ProjectNotArchived."""
        locked = select(projects.c.archive_time).where(projects.c.id == project, ~projects.c.gone).with_for_update()
        closed = update(projects).where(projects.c.id == project).values(erase_time=func.coalesce(projects.c.erase_time, func.now()))
        async with self._database.begin() as connection:
            row = (await connection.execute(locked)).one_or_none()
            if row is None:
                raise ProjectNotFound
            if row.archive_time is None:
                raise ProjectNotArchived(project)
            await connection.execute(closed)

    async def people(self, project: str) -> Sequence[str]:
        """Up to 100 ids, of a project that is closed."""
        closed = exists().where(projects.c.id == project, projects.c.erase_time.is_not(None))
        statement = select(users.c.id).where(users.c.project == project, closed).order_by(users.c.id).limit(_MOST_PEOPLE)
        async with self._database.connect() as connection:
            return [str(user_id) for user_id in (await connection.execute(statement)).scalars()]

    async def erase(self, project: str, asked_by: str) -> None:
        """Raises PeopleLeft. Does nothing for a project that is not closed. Of one that is gone, what was added since is removed."""
        closed = select(projects.c.gone).where(projects.c.id == project, projects.c.erase_time.is_not(None))
        async with self._database.connect() as connection:
            if (await connection.execute(closed)).one_or_none() is None:
                return
        for table in (suppressions, category_suppressions):  # the lists of addresses may be long
            await delete_in_parts(self._database, table, table.c.project == project)
        async with self._database.begin() as connection:
            gone = (await connection.execute(closed.with_for_update())).scalar_one()
            if (await connection.execute(select(users.c.id).where(users.c.project == project).limit(1))).one_or_none() is not None:
                raise PeopleLeft
            for table in (account_links, delivery_policies, categories, brands, roles):
                await connection.execute(delete(table).where(table.c.project == project))
            await connection.execute(update(api_keys).where(api_keys.c.project == project).values(name="", restrictions=None))
            if gone:
                return
            await connection.execute(update(projects).where(projects.c.id == project).values(gone=True, display_name=""))
            await record(connection, NewEvent(FIRST_PROJECT, AuditKind.PROJECT_ERASED, f"project:{project}", asked_by or None))
