"""Templates in PostgreSQL: one statement per question, whatever the number of names."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, Row, Text, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from template_svc.errors import PublishedMeanwhile
from template_svc.models import (
    NO_MARK,
    Channel,
    Content,
    Finding,
    Mark,
    NewTemplate,
    NewVersion,
    OnUnknown,
    Publication,
    StoredVersion,
    Template,
    TemplateKey,
    TemplateSummary,
    TemplateVersion,
    VersionKey,
    finished_contents,
    messages_of,
)
from template_svc.tables import template_publications, template_versions, templates

_TEXTS = ARRAY(Text)
_LOAD = text("""
    SELECT v.project, v.template, v.version, v.contents, v.derived, v.catalogs, v.required_variables, v.variables_schema, t.channel,
        t.default_locale
    FROM unnest(:projects, :names, :versions) AS asked (project, name, version)
    JOIN template_versions v ON (v.project, v.template, v.version) = (asked.project, asked.name, asked.version)
    JOIN templates t ON (t.project, t.name) = (v.project, v.template)
""").bindparams(bindparam("projects", type_=_TEXTS), bindparam("names", type_=_TEXTS), bindparam("versions", type_=ARRAY(Integer)))

_DESCRIBE = text("""
    SELECT t.*, v.required_variables, v.locales, v.variables_schema
    FROM unnest(:projects, :names) AS asked (project, name)
    JOIN templates t ON (t.project, t.name) = (asked.project, asked.name) AND t.delete_time IS NULL
    LEFT JOIN template_versions v ON (v.project, v.template, v.version) = (t.project, t.name, t.published_version)
""").bindparams(bindparam("projects", type_=_TEXTS), bindparam("names", type_=_TEXTS))

_ALIVE = templates.c.delete_time.is_(None)


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
            "delete_time": None,
        }
        # A name that was deleted comes to life again, with the numbers of its versions going on.
        statement = upsert(templates).values(project=new.project, name=new.name, last_number=0, **values)
        statement = statement.on_conflict_do_update(
            index_elements=["project", "name"], set_=values, where=templates.c.delete_time.is_not(None)
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(statement.returning(*templates.c))).one_or_none()
        return _template(row) if row else None

    async def find(self, key: TemplateKey) -> Template | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(templates).where(_is(key), _ALIVE))).one_or_none()
        return _template(row) if row else None

    async def list(self, project: str, channel: Channel | None, after: str | None, limit: int) -> Sequence[Template]:
        statement = select(templates).where(templates.c.project == project, _ALIVE).order_by(templates.c.name).limit(limit)
        if channel is not None:
            statement = statement.where(templates.c.channel == channel.value)
        if after is not None:
            statement = statement.where(templates.c.name > after)
        async with self._database.connect() as connection:
            return [_template(row) for row in (await connection.execute(statement)).all()]

    async def delete(self, key: TemplateKey, now: datetime) -> bool:
        mark = update(templates).where(_is(key), _ALIVE)
        async with self._database.begin() as connection:
            marked = await connection.execute(mark.values(delete_time=now, description="").returning(templates.c.name))
            await connection.execute(delete(template_versions).where(_of(key)))
            await connection.execute(delete(template_publications).where(_history_of(key)))
            return marked.one_or_none() is not None

    async def add_version(
        self, template: Template, new: NewVersion, publish: bool, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0
    ) -> TemplateVersion | None:
        number = templates.c.last_number + 1
        # The update locks the template, so that numbers are given out one by one. The create time distinguishes a namesake from this
        # template.
        take = update(templates).where(_is(template.key), templates.c.create_time == template.create_time, _ALIVE)
        take = take.values(last_number=number, latest_version=number, update_time=now, **({"published_version": number} if publish else {}))
        async with self._database.begin() as connection:
            before = await _in_use(connection, template.key, instead_of) if publish else 0
            version = (await connection.execute(take.returning(templates.c.last_number))).scalar_one_or_none()
            if version is None:
                return None
            row = {
                "project": template.project,
                "template": template.name,
                "version": version,
                "contents": {locale: _to_json(content) for locale, content in new.contents.items()},
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
            }
            await connection.execute(insert(template_versions).values(row))
            if publish:
                await _record(connection, VersionKey(*template.key, version), before, now, mark)
        place = {"project": template.project, "template": template.name, "version": version}
        parts = {each.name: getattr(new, each.name) for each in dataclasses.fields(new)}
        return TemplateVersion(**parts, **place, published=publish, create_time=now, created_by=mark.by, note=mark.note)

    async def find_version(self, key: VersionKey) -> TemplateVersion | None:
        versions = await self._versions(_of(key.of), template_versions.c.version == key.version, limit=1)
        return versions[0] if versions else None

    async def list_versions(self, key: TemplateKey, before: int | None, limit: int) -> Sequence[TemplateVersion]:
        below = () if before is None else (template_versions.c.version < before,)
        return await self._versions(_of(key), *below, limit=limit)

    async def publish(self, key: VersionKey, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0) -> Template | None:
        exists = select(template_versions.c.version).where(_of(key.of), template_versions.c.version == key.version)
        statement = update(templates).where(_is(key.of), _ALIVE, exists.exists())
        async with self._database.begin() as connection:
            before = await _in_use(connection, key.of, instead_of)
            published = statement.values(published_version=key.version, update_time=now).returning(*templates.c)
            row = (await connection.execute(published)).one_or_none()
            if row is not None and before != key.version:
                await _record(connection, key, before, now, mark)
        return _template(row) if row else None

    async def list_publications(self, key: TemplateKey, before: int | None, limit: int) -> Sequence[Publication]:
        history = template_publications.c
        statement = select(template_publications).where(_history_of(key)).order_by(history.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(history.id < before)
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [Publication(row.id, row.version, row.publish_time, Mark(row.published_by, row.note), row.previous_version) for row in rows]

    async def load(self, keys: Sequence[VersionKey]) -> Mapping[VersionKey, StoredVersion]:
        parameters = {
            "projects": [key.project for key in keys],
            "names": [key.template for key in keys],
            "versions": [key.version for key in keys],
        }
        async with self._database.connect() as connection:
            rows = (await connection.execute(_LOAD, parameters)).all()
        return {VersionKey(row.project, row.template, row.version): _stored(row) for row in rows}

    async def describe(self, keys: Sequence[TemplateKey]) -> Mapping[TemplateKey, TemplateSummary]:
        parameters = {"projects": [key.project for key in keys], "names": [key.name for key in keys]}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_DESCRIBE, parameters)).all()
        found = ((row, _template(row)) for row in rows)
        return {
            template.key: TemplateSummary(
                template.name,
                template,
                tuple(row.required_variables or ()),
                tuple(row.locales or ()),
                variables_schema=row.variables_schema or {},
            )
            for row, template in found
        }

    async def _versions(self, *conditions: Any, limit: int) -> Sequence[TemplateVersion]:
        published = func.coalesce(templates.c.published_version == template_versions.c.version, False).label("published")
        statement = select(*template_versions.c, published).join(templates).where(*conditions)
        statement = statement.order_by(template_versions.c.version.desc()).limit(limit)
        async with self._database.connect() as connection:
            return [_version(row) for row in (await connection.execute(statement)).all()]


def _is(key: TemplateKey) -> ColumnElement[bool]:
    return (templates.c.project == key.project) & (templates.c.name == key.name)


def _history_of(key: TemplateKey) -> ColumnElement[bool]:
    return (template_publications.c.project == key.project) & (template_publications.c.template == key.name)


async def _in_use(connection: AsyncConnection, key: TemplateKey, expected: int) -> int:
    """The version in use, 0 for none; nothing else is published until the end of the transaction.

    Raises PublishedMeanwhile where a version is `expected` and another one is in use.
    """
    found = select(templates.c.published_version).where(_is(key), _ALIVE).with_for_update()
    number = (await connection.execute(found)).scalar_one_or_none() or 0
    if expected and number != expected:
        raise PublishedMeanwhile(number)
    return number


async def _record(connection: AsyncConnection, key: VersionKey, before: int, now: datetime, mark: Mark) -> None:
    values = {"version": key.version, "previous_version": before, "publish_time": now, "published_by": mark.by, "note": mark.note}
    await connection.execute(insert(template_publications).values(project=key.project, template=key.template, **values))


def _of(key: TemplateKey) -> ColumnElement[bool]:
    return (template_versions.c.project == key.project) & (template_versions.c.template == key.name)


def _template(row: Row[*tuple[Any, ...]]) -> Template:
    return Template(
        project=row.project,
        name=row.name,
        channel=Channel(row.channel),
        category=row.category,
        description=row.description,
        mandatory=row.mandatory,
        on_unknown=OnUnknown(row.on_unknown),
        default_locale=row.default_locale,
        published_version=row.published_version,
        latest_version=row.latest_version,
        create_time=row.create_time,
        update_time=row.update_time,
    )


def _version(row: Row[*tuple[Any, ...]]) -> TemplateVersion:
    return TemplateVersion(
        contents=_contents(row.contents),
        required_variables=tuple(row.required_variables),
        derived=row.derived,
        catalogs=row.catalogs,
        messages=messages_of(row.messages),
        unused=row.unused_variables,
        findings=tuple(Finding(*finding) for finding in row.findings),
        variables_schema=row.variables_schema,
        partials=row.partials,
        project=row.project,
        template=row.template,
        version=row.version,
        published=row.published,
        create_time=row.create_time,
        created_by=row.created_by,
        note=row.note,
    )


def _stored(row: Row[*tuple[Any, ...]]) -> StoredVersion:
    contents = finished_contents(_contents(row.contents), row.derived, row.catalogs, row.default_locale)
    return StoredVersion(Channel(row.channel), row.default_locale, contents, tuple(row.required_variables), row.variables_schema)


def _contents(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Content]:
    return {locale: Content(**parts) for locale, parts in document.items()}


def _to_json(content: Content) -> dict[str, Any]:
    """The parts that are not empty."""
    return {name: value for name, value in dataclasses.asdict(content).items() if value}
