"""What is archived, in PostgreSQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from template_svc.auditing.models import Kind
from template_svc.auditing.repository import note
from template_svc.errors import VersionInUse
from template_svc.models import Template, TemplateKey, TemplateVersion, VersionKey
from template_svc.rows import ALIVE, CANARY_RUNS, canaries_of, entry_of, is_template, template_of, version_of, versions_of
from template_svc.tables import template_canaries, template_versions, templates


class ArchiveRepository:
    """Implements `archiving.use_cases.ArchiveStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def archive(self, key: TemplateKey, now: datetime, by: str) -> Template | None:
        values = {"archive_time": now, "archived_by": by, "update_time": now}
        return await self._set(key, templates.c.archive_time.is_(None), Kind.TEMPLATE_ARCHIVED, values)

    async def restore(self, key: TemplateKey, now: datetime) -> Template | None:
        values = {"archive_time": None, "archived_by": "", "update_time": now}
        return await self._set(key, templates.c.archive_time.is_not(None), Kind.TEMPLATE_RESTORED, values)

    async def archive_version(self, key: VersionKey, now: datetime, by: str) -> TemplateVersion | None:
        change = update(template_versions).where(_is_version(key), template_versions.c.archive_time.is_(None))
        async with self._database.begin() as connection:
            # locked, so that it is not published meanwhile
            found = select(templates.c.published_version).where(is_template(key.of), ALIVE).with_for_update()
            tried = select(template_canaries.c.version).where(canaries_of(key.of), CANARY_RUNS)
            if key.version in {(await connection.execute(each)).scalar_one_or_none() for each in (found, tried)}:
                raise VersionInUse(key.version)
            if (await connection.execute(change.values(archive_time=now, archived_by=by))).rowcount:
                await note(connection, entry_of(key.of, Kind.TEMPLATE_ARCHIVED, version=str(key.version)))
            return await _version(connection, key)

    async def restore_version(self, key: VersionKey) -> TemplateVersion | None:
        async with self._database.begin() as connection:
            archived = update(template_versions).where(_is_version(key), template_versions.c.archive_time.is_not(None))
            if (await connection.execute(archived.values(archive_time=None, archived_by=""))).rowcount:
                await note(connection, entry_of(key.of, Kind.TEMPLATE_RESTORED, version=str(key.version)))
            return await _version(connection, key)

    async def find(self, key: TemplateKey) -> Template | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(templates).where(is_template(key), ALIVE))).one_or_none()
        return template_of(row) if row else None

    async def _set(self, key: TemplateKey, changes: ColumnElement[bool], kind: Kind, values: Mapping[str, Any]) -> Template | None:
        async with self._database.begin() as connection:
            if (await connection.execute(update(templates).where(is_template(key), ALIVE, changes).values(values))).rowcount:
                await note(connection, entry_of(key, kind))
            row = (await connection.execute(select(templates).where(is_template(key), ALIVE))).one_or_none()
        return template_of(row) if row else None


def _is_version(key: VersionKey) -> ColumnElement[bool]:
    return versions_of(key.of) & (template_versions.c.version == key.version)


async def _version(connection: AsyncConnection, key: VersionKey) -> TemplateVersion | None:
    published = (templates.c.published_version == template_versions.c.version).label("published")
    row = (await connection.execute(select(*template_versions.c, published).join(templates).where(_is_version(key)))).one_or_none()
    return version_of(row) if row else None
