"""What the repositories share: rows become models, and a template is locked while what is in use of it changes."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from template_svc.errors import PublishedMeanwhile, TemplateArchived, VersionArchived
from template_svc.models import (
    Channel,
    Content,
    Finding,
    Mark,
    OnUnknown,
    StoredVersion,
    Template,
    TemplateKey,
    TemplateVersion,
    VersionKey,
    finished_contents,
    messages_of,
)
from template_svc.tables import template_publications, template_versions, templates

ALIVE = templates.c.delete_time.is_(None)


def is_template(key: TemplateKey) -> ColumnElement[bool]:
    return (templates.c.project == key.project) & (templates.c.name == key.name)


def history_of(key: TemplateKey) -> ColumnElement[bool]:
    return (template_publications.c.project == key.project) & (template_publications.c.template == key.name)


async def lock(connection: AsyncConnection, key: TemplateKey) -> Template | None:
    """The template, None when there is none; nothing else is published of it until the end of the transaction. Raises TemplateArchived."""
    row = (await connection.execute(select(templates).where(is_template(key), ALIVE).with_for_update())).one_or_none()
    if row is None:
        return None
    if row.archive_time is not None:
        raise TemplateArchived(key.name)
    return template_of(row)


def check_in_use(template: Template, expected: int) -> None:
    """Raises PublishedMeanwhile where a version is `expected` (0: whichever) and another one is in use."""
    if expected and template.published_version != expected:
        raise PublishedMeanwhile(template.published_version)


async def bring_into_use(connection: AsyncConnection, template: Template, number: int, now: datetime, mark: Mark) -> Template | None:
    """Publishes a version of a template that is locked. None when there is no such version. Raises VersionArchived."""
    key = VersionKey(*template.key, number)
    found = select(template_versions.c.archive_time).where(versions_of(key.of), template_versions.c.version == number)
    version = (await connection.execute(found)).one_or_none()
    if version is None:
        return None
    if version.archive_time is not None:
        raise VersionArchived(key.template, number)
    change = update(templates).where(is_template(key.of)).values(published_version=number, update_time=now)
    row = (await connection.execute(change.returning(*templates.c))).one()
    if template.published_version != number:
        await record(connection, key, template.published_version, now, mark)
    return template_of(row)


async def record(connection: AsyncConnection, key: VersionKey, before: int, now: datetime, mark: Mark) -> None:
    """That a version came into use in place of `before`."""
    values = {"version": key.version, "previous_version": before, "publish_time": now, "published_by": mark.by, "note": mark.note}
    await connection.execute(insert(template_publications).values(project=key.project, template=key.template, **values))


def versions_of(key: TemplateKey) -> ColumnElement[bool]:
    return (template_versions.c.project == key.project) & (template_versions.c.template == key.name)


def template_of(row: Row[*tuple[Any, ...]]) -> Template:
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
        archive_time=row.archive_time,
        archived_by=row.archived_by,
    )


def version_of(row: Row[*tuple[Any, ...]]) -> TemplateVersion:
    return TemplateVersion(
        contents=contents_of(row.contents),
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
        archive_time=row.archive_time,
        archived_by=row.archived_by,
    )


def stored_of(row: Row[*tuple[Any, ...]]) -> StoredVersion:
    contents = finished_contents(contents_of(row.contents), row.derived, row.catalogs, row.default_locale)
    return StoredVersion(Channel(row.channel), row.default_locale, contents, tuple(row.required_variables), row.variables_schema)


def contents_of(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Content]:
    return {locale: Content(**parts) for locale, parts in document.items()}


def to_json(content: Content) -> dict[str, Any]:
    """The parts that are not empty."""
    return {name: value for name, value in dataclasses.asdict(content).items() if value}
