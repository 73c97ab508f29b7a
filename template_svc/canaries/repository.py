"""Canaries in PostgreSQL. Each change locks the template first, as publishing does, which ends the one that runs."""

from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from template_svc.auditing.models import Kind
from template_svc.auditing.repository import note
from template_svc.canaries.models import Canary, Share, State, Unit
from template_svc.errors import CanaryRunning, NothingPublished, VersionInUse
from template_svc.models import Mark, TemplateKey, VersionKey
from template_svc.rows import CANARY_RUNS, canaries_of, check_in_use, check_publishable, entry_of, lock
from template_svc.tables import template_canaries, templates


class CanaryRepository:
    """Implements `canaries.use_cases.CanaryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, key: VersionKey, share: Share, mark: Mark) -> Canary | None:
        async with self._database.begin() as connection:
            template = await lock(connection, key.of)
            if template is None:
                return None
            check_in_use(template, 0)
            await check_publishable(connection, key)
            if not template.published_version:
                raise NothingPublished(key.template)
            if template.published_version == key.version:
                raise VersionInUse(key.version)
            shared = {"percent": share.percent, "unit": share.unit.value}
            running = (await connection.execute(select(template_canaries).where(canaries_of(key.of), CANARY_RUNS))).one_or_none()
            if running is None:
                named = {"project": key.project, "template": key.template, "version": key.version}
                made = {"note": mark.note, "started_by": mark.by, "start_time": func.now(), "state": State.RUNNING.value, "ended_by": ""}
                await connection.execute(insert(template_canaries).values(**named, **made, **shared, published_version=0))
            elif running.version == key.version:
                await connection.execute(update(template_canaries).where(canaries_of(key.of), CANARY_RUNS).values(**shared))
            else:
                raise CanaryRunning(key.template, running.version)
            details = {"version": str(key.version), "percent": str(share.percent)}
            await note(connection, entry_of(key.of, Kind.CANARY_STARTED, **details))
            return await _newest(connection, key.of)

    async def find(self, key: TemplateKey) -> Canary | None:
        async with self._database.connect() as connection:
            return await _newest(connection, key)

    async def stop(self, key: TemplateKey, by: str) -> Canary | None:
        async with self._database.begin() as connection:
            template = await lock(connection, key)
            if template is None:
                return None
            ended = {"state": State.STOPPED.value, "end_time": func.now(), "ended_by": by, "published_version": template.published_version}
            stopped = update(template_canaries).where(canaries_of(key), CANARY_RUNS).values(**ended).returning(template_canaries.c.version)
            if (version := (await connection.execute(stopped)).scalar_one_or_none()) is not None:
                await note(connection, entry_of(key, Kind.CANARY_STOPPED, version=str(version)))
            return await _newest(connection, key)


async def _newest(connection: AsyncConnection, key: TemplateKey) -> Canary | None:
    published = templates.c.published_version.label("now_published")
    found = select(*template_canaries.c, published).join(templates).where(canaries_of(key))
    row = (await connection.execute(found.order_by(template_canaries.c.id.desc()).limit(1))).one_or_none()
    return _canary(row) if row else None


def _canary(row: Row[*tuple[Any, ...]]) -> Canary:
    state = State(row.state)
    return Canary(
        VersionKey(row.project, row.template, row.version),
        Share(row.percent, Unit(row.unit)),
        Mark(row.started_by, row.note),
        row.now_published if state is State.RUNNING else row.published_version,
        state,
        row.start_time,
        row.end_time,
        row.ended_by,
    )
