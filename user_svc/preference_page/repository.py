"""Brands, and what the page needs of a person, in PostgreSQL."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.etag import check_etag
from mesh.stores.database import Database
from user_svc.preference_page.models import Brand, PagePerson
from user_svc.tables import brands, projects, users

_SHOWN_NAME = func.coalesce(func.nullif(brands.c.name, ""), projects.c.display_name).label("name")
_LOOKS = (brands.c.color, brands.c.logo, brands.c.home_url, brands.c.update_time)


class PageRepository:
    """Implements `preference_page.use_cases.PageStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def person(self, user_id: str) -> PagePerson | None:
        columns = (users.c.project, users.c.locale, users.c.timezone, _SHOWN_NAME, *_LOOKS)
        joined = users.join(projects, projects.c.id == users.c.project).outerjoin(brands, brands.c.project == projects.c.id)
        async with self._database.connect() as connection:
            row = (await connection.execute(select(*columns).select_from(joined).where(users.c.id == user_id))).one_or_none()
        return None if row is None else PagePerson(row.project, row.locale, row.timezone, _brand(row))

    async def brand(self, project: str) -> Brand:
        async with self._database.connect() as connection:
            return await _read(connection, project)

    async def set_brand(self, project: str, change: Callable[[Brand], Brand], *, etag: str = "") -> Brand:
        """The project's row is locked first: there may be no brand yet to lock."""
        async with self._database.begin() as connection:
            await connection.execute(select(projects.c.id).where(projects.c.id == project).with_for_update(key_share=True))
            present = await _read(connection, project)
            made = change(present)
            check_etag(etag, present.etag, done=replace(made, update_time=present.update_time) == present)
            values = {
                "name": made.name,
                "color": made.color,
                "logo": made.logo,
                "home_url": made.home_url,
                "update_time": made.update_time,
            }
            statement = insert(brands).values(project=project, **values)
            await connection.execute(statement.on_conflict_do_update(index_elements=[brands.c.project], set_=values))
            return await _read(connection, project)


async def _read(connection: AsyncConnection, project: str) -> Brand:
    row = (await connection.execute(select(brands.c.name, *_LOOKS).where(brands.c.project == project))).one_or_none()
    return Brand() if row is None else _brand(row)


def _brand(row: Row[*tuple[Any, ...]]) -> Brand:
    return Brand(row.name, row.color or "", row.logo or "", row.home_url or "", row.update_time)
