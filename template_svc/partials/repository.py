"""Partials in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, Row, cast, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.stores.database import Database
from template_svc.models import Partial, PartialKey, PartialUse
from template_svc.tables import template_partials, template_versions, templates

_ALIVE = template_partials.c.delete_time.is_(None)


class PartialRepository:
    """Implements `partial_use_cases.PartialStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, key: PartialKey, source: str, now: datetime) -> Partial:
        first = upsert(template_partials).values(project=key.project, name=key.name, source=source, revision=1, update_time=now)
        changed = (template_partials.c.source != source) | template_partials.c.delete_time.is_not(None)
        then = first.on_conflict_do_update(
            index_elements=["project", "name"],
            set_={"source": source, "revision": template_partials.c.revision + 1, "update_time": now, "delete_time": None},
            where=changed,
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(then.returning(*template_partials.c))).one_or_none()
            if row is None:  # the same text once more
                row = (await connection.execute(select(template_partials).where(_is(key)))).one()
        return _partial(row)

    async def find(self, project: str, names: Collection[str]) -> Mapping[str, Partial]:
        statement = select(template_partials).where(template_partials.c.project == project, template_partials.c.name.in_(names), _ALIVE)
        async with self._database.connect() as connection:
            return {row.name: _partial(row) for row in (await connection.execute(statement)).all()}

    async def list(self, project: str, after: str | None, limit: int) -> Sequence[Partial]:
        statement = select(template_partials).where(template_partials.c.project == project, _ALIVE)
        if after is not None:
            statement = statement.where(template_partials.c.name > after)
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement.order_by(template_partials.c.name).limit(limit))).all()
        return [_partial(row) for row in rows]

    async def delete(self, key: PartialKey, now: datetime) -> bool:
        statement = update(template_partials).where(_is(key), _ALIVE).values(delete_time=now, source="")
        async with self._database.begin() as connection:
            return (await connection.execute(statement.returning(template_partials.c.name))).one_or_none() is not None

    async def uses(self, key: PartialKey, *, below: int | None, limit: int) -> Sequence[PartialUse]:
        held = cast(template_versions.c.partials[key.name].astext, Integer)
        published = (
            (template_versions.c.project == templates.c.project)
            & (template_versions.c.template == templates.c.name)
            & (template_versions.c.version == templates.c.published_version)
        )
        statement = (
            select(templates.c.name, templates.c.published_version, held.label("revision"))
            .join(template_versions, published)
            .where(templates.c.project == key.project, templates.c.delete_time.is_(None), templates.c.archive_time.is_(None))
            .where(template_versions.c.partials.has_key(key.name))
        )
        if below is not None:
            statement = statement.where(held < below)
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement.order_by(templates.c.name).limit(limit))).all()
        return [PartialUse(row.name, row.published_version, row.revision) for row in rows]


def _is(key: PartialKey) -> ColumnElement[bool]:
    return (template_partials.c.project == key.project) & (template_partials.c.name == key.name)


def _partial(row: Row[*tuple[Any, ...]]) -> Partial:
    return Partial(row.name, row.source, row.revision, row.update_time)
