"""What the repositories share: rows become models, and a template is locked while what is in use of it changes."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from template_svc.auditing.models import Entry, Kind
from template_svc.auditing.repository import note
from template_svc.errors import PublishedMeanwhile, TemplateArchived, VersionArchived, VersionNotFound
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
from template_svc.senders.errors import SenderMissing
from template_svc.tables import scheduled_publications, senders, template_canaries, template_publications, template_versions, templates

ALIVE = templates.c.delete_time.is_(None)
CANARY_RUNS = template_canaries.c.state == "running"


def is_template(key: TemplateKey) -> ColumnElement[bool]:
    return (templates.c.project == key.project) & (templates.c.name == key.name)


def history_of(key: TemplateKey) -> ColumnElement[bool]:
    return (template_publications.c.project == key.project) & (template_publications.c.template == key.name)


def schedule_of(key: TemplateKey) -> ColumnElement[bool]:
    return (scheduled_publications.c.project == key.project) & (scheduled_publications.c.template == key.name)


def canaries_of(key: TemplateKey) -> ColumnElement[bool]:
    return (template_canaries.c.project == key.project) & (template_canaries.c.template == key.name)


async def lock(connection: AsyncConnection, key: TemplateKey) -> Template | None:
    """The template, None when there is none; nothing else is published of it until the end of the transaction."""
    row = (await connection.execute(select(templates).where(is_template(key), ALIVE).with_for_update())).one_or_none()
    return template_of(row) if row else None


def check_in_use(template: Template, expected: int, *, wanted: int = 0) -> None:
    """Raises TemplateArchived, and PublishedMeanwhile where a version is `expected` (0: whichever) and another one is in use.

    One that is `wanted` and in use already was published by the same call, most often, of which the answer was lost.
    """
    if template.archive_time is not None:
        raise TemplateArchived(template.name)
    if expected and template.published_version not in {expected, wanted}:
        raise PublishedMeanwhile(template.published_version)


async def check_publishable(connection: AsyncConnection, key: VersionKey) -> None:
    """Raises VersionNotFound, VersionArchived, SenderMissing."""
    found = select(template_versions.c.archive_time, template_versions.c.sender).where(
        versions_of(key.of), template_versions.c.version == key.version
    )
    version = (await connection.execute(found)).one_or_none()
    if version is None:
        raise VersionNotFound(key.template, key.version)
    if version.archive_time is not None:
        raise VersionArchived(key.template, key.version)
    await hold_sender(connection, key.project, version.sender)


async def hold_sender(connection: AsyncConnection, project: str, name: str) -> None:
    """Has a version's sender stay until the end of the transaction, by which the version is in use. Raises SenderMissing."""
    found = select(senders.c.name).where(senders.c.project == project, senders.c.name == name).with_for_update(read=True, key_share=True)
    if name and (await connection.execute(found)).one_or_none() is None:
        raise SenderMissing(name)


async def bring_into_use(
    connection: AsyncConnection, template: Template, number: int, now: datetime, mark: Mark, *, plan: UUID | None = None
) -> Template:
    """Publishes a version of a template that is locked. Raises VersionNotFound, VersionArchived, SenderMissing."""
    key = VersionKey(*template.key, number)
    await check_publishable(connection, key)
    change = update(templates).where(is_template(key.of)).values(published_version=number, update_time=now)
    row = (await connection.execute(change.returning(*templates.c))).one()
    if template.published_version != number:
        await record(connection, key, template.published_version, now, mark, plan=plan)
    return template_of(row)


async def record(connection: AsyncConnection, key: VersionKey, before: int, now: datetime, mark: Mark, *, plan: UUID | None = None) -> None:
    """That a version came into use in place of `before`, as `plan` says if it was planned; a canary ends with that."""
    outcome = case((template_canaries.c.version == key.version, "published"), else_="superseded")
    ended = {"state": outcome, "end_time": now, "ended_by": mark.by, "published_version": before}
    await connection.execute(update(template_canaries).where(canaries_of(key.of), CANARY_RUNS).values(**ended))
    values = {"version": key.version, "previous_version": before, "publish_time": now, "published_by": mark.by, "note": mark.note}
    await connection.execute(insert(template_publications).values(project=key.project, template=key.template, plan=plan, **values))
    details = {"version": str(key.version), "previous": str(before), **({} if plan is None else {"plan": str(plan)})}
    await note(connection, entry_of(key.of, Kind.TEMPLATE_PUBLISHED, actor=mark.by, **details))


def entry_of(key: TemplateKey, kind: Kind, *, actor: str | None = None, **details: str) -> Entry:
    """What was done to a template, for the audit log."""
    return Entry(key.project, kind, f"template:{key.name}", details, actor)


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
        sender=row.sender,
        archive_time=row.archive_time,
        archived_by=row.archived_by,
    )


def stored_of(row: Row[*tuple[Any, ...]]) -> StoredVersion:
    contents = finished_contents(contents_of(row.contents), row.derived, row.catalogs, row.default_locale)
    required = tuple(row.required_variables)
    return StoredVersion(Channel(row.channel), row.default_locale, contents, required, row.variables_schema, row.sender)


def contents_of(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Content]:
    return {locale: Content(**parts) for locale, parts in document.items()}


def to_json(content: Content) -> dict[str, Any]:
    """The parts that are not empty."""
    return {name: value for name, value in dataclasses.asdict(content).items() if value}
