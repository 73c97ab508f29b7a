"""Templates in PostgreSQL: one statement per question, whatever the number of names."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Integer, Row, Text, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.etag import check_etag
from mesh.stores.database import Database
from template_svc.auditing.models import Kind
from template_svc.auditing.repository import note
from template_svc.errors import VersionNotFound
from template_svc.models import (
    NO_MARK,
    CanarySummary,
    Channel,
    Mark,
    NewTemplate,
    NewVersion,
    OnUnknown,
    Publication,
    StoredVersion,
    Template,
    TemplateChange,
    TemplateKey,
    TemplateSummary,
    TemplateVersion,
    VersionKey,
)
from template_svc.rows import (
    ALIVE,
    bring_into_use,
    canaries_of,
    check_in_use,
    entry_of,
    history_of,
    hold_sender,
    is_template,
    lock,
    record,
    schedule_of,
    stored_of,
    template_of,
    to_json,
    version_of,
    versions_of,
)
from template_svc.tables import scheduled_publications, template_canaries, template_publications, template_versions, templates

_TEXTS = ARRAY(Text)
_LOAD = text("""
    SELECT v.project, v.template, v.version, v.contents, v.derived, v.catalogs, v.required_variables, v.variables_schema, v.sender,
        t.channel, t.default_locale
    FROM unnest(:projects, :names, :versions) AS asked (project, name, version)
    JOIN template_versions v ON (v.project, v.template, v.version) = (asked.project, asked.name, asked.version)
    JOIN templates t ON (t.project, t.name) = (v.project, v.template)
""").bindparams(bindparam("projects", type_=_TEXTS), bindparam("names", type_=_TEXTS), bindparam("versions", type_=ARRAY(Integer)))

_DESCRIBE = text("""
    SELECT t.*, v.required_variables, v.locales, v.variables_schema, c.version AS canary_version, c.percent, c.unit,
        w.required_variables AS canary_variables, w.variables_schema AS canary_schema
    FROM unnest(:projects, :names) AS asked (project, name)
    JOIN templates t ON (t.project, t.name) = (asked.project, asked.name) AND t.delete_time IS NULL
    LEFT JOIN template_versions v ON (v.project, v.template, v.version) = (t.project, t.name, t.published_version)
    LEFT JOIN template_canaries c ON (c.project, c.template) = (t.project, t.name) AND c.state = 'running'
    LEFT JOIN template_versions w ON (w.project, w.template, w.version) = (t.project, t.name, c.version)
""").bindparams(bindparam("projects", type_=_TEXTS), bindparam("names", type_=_TEXTS))


class TemplateRepository:
    """Implements `use_cases.TemplateStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, new: NewTemplate, now: datetime) -> Template | None:
        values = {
            "channel": new.channel.value,
            "category": new.category,
            "description": new.description,
            "mandatory": new.mandatory,
            "on_unknown": new.on_unknown.value,
            "default_locale": new.default_locale,
            "published_version": 0,
            "latest_version": 0,
            "create_time": now,
            "update_time": now,
            "archive_time": None,
            "archived_by": "",
            "delete_time": None,
        }
        # A name that was deleted comes to life again, with the numbers of its versions going on.
        statement = upsert(templates).values(project=new.project, name=new.name, last_number=0, **values)
        statement = statement.on_conflict_do_update(
            index_elements=["project", "name"], set_=values, where=templates.c.delete_time.is_not(None)
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(statement.returning(*templates.c))).one_or_none()
        return template_of(row) if row else None

    async def find(self, key: TemplateKey) -> Template | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(templates).where(is_template(key), ALIVE))).one_or_none()
        return template_of(row) if row else None

    async def list(
        self, project: str, channel: Channel | None, after: str | None, limit: int, *, archived: bool = False
    ) -> Sequence[Template]:
        statement = select(templates).where(templates.c.project == project, ALIVE).order_by(templates.c.name).limit(limit)
        if channel is not None:
            statement = statement.where(templates.c.channel == channel.value)
        if not archived:
            statement = statement.where(templates.c.archive_time.is_(None))
        if after is not None:
            statement = statement.where(templates.c.name > after)
        async with self._database.connect() as connection:
            return [template_of(row) for row in (await connection.execute(statement)).all()]

    async def change(self, key: TemplateKey, change: TemplateChange, now: datetime, *, etag: str = "") -> Template | None:
        async with self._database.begin() as connection:
            present = await lock(connection, key)
            if present is None:
                return None
            check_in_use(present, 0)
            check_etag(etag, present.etag, done=change.is_made_on(present))
            values = {name: str(value) if isinstance(value, OnUnknown) else value for name, value in change.changed(present).items()}
            if not values:
                return present
            changed = update(templates).where(is_template(key)).values(**values, update_time=now).returning(*templates.c)
            row = (await connection.execute(changed)).one()
            # who takes a choice from people, or gives it back, is on record; a description is words of someone's
            said = {name: str(value).lower() for name, value in values.items() if name != "description"}
            await note(connection, entry_of(key, Kind.TEMPLATE_UPDATED, fields=",".join(values), **said))
        return template_of(row)

    async def delete(self, key: TemplateKey, now: datetime) -> bool:
        mark = update(templates).where(is_template(key), ALIVE)
        async with self._database.begin() as connection:
            marked = await connection.execute(mark.values(delete_time=now, description="").returning(templates.c.name))
            await connection.execute(delete(template_versions).where(versions_of(key)))
            await connection.execute(delete(template_publications).where(history_of(key)))
            await connection.execute(delete(scheduled_publications).where(schedule_of(key)))
            await connection.execute(delete(template_canaries).where(canaries_of(key)))
            if marked.one_or_none() is None:
                return False
            await note(connection, entry_of(key, Kind.TEMPLATE_DELETED))
        return True

    async def add_version(
        self, template: Template, new: NewVersion, publish: bool, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0
    ) -> TemplateVersion | None:
        number = templates.c.last_number + 1
        take = update(templates).where(is_template(template.key))
        take = take.values(last_number=number, latest_version=number, update_time=now, **({"published_version": number} if publish else {}))
        async with self._database.begin() as connection:
            # numbers are given out one by one; the create time distinguishes a namesake from this template
            current = await lock(connection, template.key)
            if current is None or current.create_time != template.create_time:
                return None
            check_in_use(current, instead_of if publish else 0)
            version = (await connection.execute(take.returning(templates.c.last_number))).scalar_one()
            row = {
                "project": template.project,
                "template": template.name,
                "version": version,
                "contents": {locale: to_json(content) for locale, content in new.contents.items()},
                "derived": dict(new.derived),
                "catalogs": dict(new.catalogs),
                "messages": [list(message) for message in new.messages],
                "unused_variables": dict(new.unused),
                "findings": [list(finding) for finding in new.findings],
                "variables_schema": dict(new.variables_schema),
                "partials": dict(new.partials),
                "locales": sorted({*new.contents, *new.catalogs}),
                "required_variables": list(new.required_variables),
                "create_time": now,
                "created_by": mark.by,
                "note": mark.note,
                "sender": new.sender,
            }
            await hold_sender(connection, template.project, new.sender)
            await connection.execute(insert(template_versions).values(row))
            if publish:
                await record(connection, VersionKey(*template.key, version), current.published_version, now, mark)
        place = {"project": template.project, "template": template.name, "version": version}
        parts = {each.name: getattr(new, each.name) for each in dataclasses.fields(new)}
        return TemplateVersion(**parts, **place, published=publish, create_time=now, created_by=mark.by, note=mark.note)

    async def find_version(self, key: VersionKey) -> TemplateVersion | None:
        versions = await self._versions(versions_of(key.of), template_versions.c.version == key.version, limit=1)
        return versions[0] if versions else None

    async def list_versions(self, key: TemplateKey, before: int | None, limit: int, *, archived: bool = False) -> Sequence[TemplateVersion]:
        wanted = [] if before is None else [template_versions.c.version < before]
        if not archived:
            wanted.append(template_versions.c.archive_time.is_(None))
        return await self._versions(versions_of(key), *wanted, limit=limit)

    async def publish(self, key: VersionKey, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0) -> Template | None:
        async with self._database.begin() as connection:
            template = await lock(connection, key.of)
            if template is None:
                return None
            check_in_use(template, instead_of, wanted=key.version)
            try:
                return await bring_into_use(connection, template, key.version, now, mark)
            except VersionNotFound:
                return None

    async def list_publications(self, key: TemplateKey, before: int | None, limit: int) -> Sequence[Publication]:
        history = template_publications.c
        statement = select(template_publications).where(history_of(key)).order_by(history.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(history.id < before)
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            Publication(row.id, row.version, row.publish_time, Mark(row.published_by, row.note), row.previous_version, row.plan)
            for row in rows
        ]

    async def load(self, keys: Sequence[VersionKey]) -> Mapping[VersionKey, StoredVersion]:
        parameters = {
            "projects": [key.project for key in keys],
            "names": [key.template for key in keys],
            "versions": [key.version for key in keys],
        }
        async with self._database.connect() as connection:
            rows = (await connection.execute(_LOAD, parameters)).all()
        return {VersionKey(row.project, row.template, row.version): stored_of(row) for row in rows}

    async def describe(self, keys: Sequence[TemplateKey]) -> Mapping[TemplateKey, TemplateSummary]:
        parameters = {"projects": [key.project for key in keys], "names": [key.name for key in keys]}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_DESCRIBE, parameters)).all()
        found = ((row, template_of(row)) for row in rows)
        return {
            template.key: TemplateSummary(
                template.name,
                template,
                tuple(row.required_variables or ()),
                tuple(row.locales or ()),
                variables_schema=row.variables_schema or {},
                canary=_canary(row),
            )
            for row, template in found
        }

    async def _versions(self, *conditions: Any, limit: int) -> Sequence[TemplateVersion]:
        published = func.coalesce(templates.c.published_version == template_versions.c.version, False).label("published")
        statement = select(*template_versions.c, published).join(templates).where(*conditions)
        statement = statement.order_by(template_versions.c.version.desc()).limit(limit)
        async with self._database.connect() as connection:
            return [version_of(row) for row in (await connection.execute(statement)).all()]


def _canary(row: Row[*tuple[Any, ...]]) -> CanarySummary | None:
    if row.canary_version is None:
        return None
    return CanarySummary(row.canary_version, row.percent, row.unit == "user", tuple(row.canary_variables), row.canary_schema)
