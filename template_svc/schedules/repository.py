"""Scheduled publications in PostgreSQL.

What needs both locks the template before the plan, so that an author and a replica that publishes never wait for each other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.errors import ServiceError
from mesh.stores.database import Database
from template_svc.errors import PublicationScheduled, PublishedMeanwhile, ScheduleOver, TemplateNotFound
from template_svc.models import Mark, Template, TemplateKey, VersionKey
from template_svc.rows import bring_into_use, check_in_use, check_publishable, lock, schedule_of
from template_svc.schedules.models import WAITS_FOR, DuePlan, NewPlan, Plan, PlanFilters, PlanKey, State
from template_svc.tables import scheduled_publications as plans
from template_svc.tables import template_publications, templates

_WAITS = plans.c.state == State.PLANNED.value


class PlanRepository:
    """Implements `schedules.use_cases.PlanStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        async with self._database.connect() as connection:
            found: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        return found

    async def add(self, new: NewPlan) -> Plan | None:
        async with self._database.begin() as connection:
            template = await lock(connection, new.version.of)
            if template is None:
                return None
            check_in_use(template, new.previous_version)
            await check_publishable(connection, new.version)
            if new.replaces is not None:
                await _end(connection, PlanKey(new.key.project, new.replaces), State.REPLACED, new.mark.by)
            # the template is locked, so that no other plan comes in between
            waiting = select(plans.c.id).where(schedule_of(new.version.of), _WAITS)
            if (other := (await connection.execute(waiting)).scalar_one_or_none()) is not None:
                raise PublicationScheduled(new.version.template, str(other))
            row = {
                "project": new.key.project,
                "id": new.key.id,
                "template": new.version.template,
                "version": new.version.version,
                "publish_at": new.publish_at,
                "previous_version": template.published_version,
                "note": new.mark.note,
                "state": State.PLANNED.value,
                "scheduled_by": new.mark.by,
                "create_time": func.now(),
                "ended_by": "",
                "reason": "",
                "description": "",
            }
            return _plan((await connection.execute(insert(plans).values(row).returning(*plans.c))).one())

    async def find(self, key: PlanKey) -> Plan | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(plans).where(_is(key)))).one_or_none()
        return _plan(row) if row else None

    async def list(self, filters: PlanFilters, before: int | None, limit: int) -> Sequence[Plan]:
        statement = select(plans).where(plans.c.project == filters.project).order_by(plans.c.seq.desc()).limit(limit)
        if filters.template is not None:
            statement = statement.where(plans.c.template == filters.template)
        if filters.state is not None:
            statement = statement.where(plans.c.state == filters.state.value)
        if before is not None:
            statement = statement.where(plans.c.seq < before)
        async with self._database.connect() as connection:
            return [_plan(row) for row in (await connection.execute(statement)).all()]

    async def failed(self, project: str, limit: int) -> Sequence[Plan]:
        later, published = plans.alias(), template_publications
        planned_since = select(later.c.id).where(_same_template(later), later.c.seq > plans.c.seq)
        published_since = select(published.c.id).where(_same_template(published), published.c.id > plans.c.last_publication)
        in_use = (templates.c.project == plans.c.project) & (templates.c.name == plans.c.template)
        statement = (
            select(plans)
            .join(templates, in_use & templates.c.delete_time.is_(None) & templates.c.archive_time.is_(None))
            .where(plans.c.project == project, plans.c.state == State.FAILED.value, plans.c.end_time > func.now() - WAITS_FOR)
            .where(plans.c.last_publication.is_not(None), ~planned_since.exists(), ~published_since.exists())
            .order_by(plans.c.seq.desc())
            .limit(limit)
        )
        async with self._database.connect() as connection:
            return [_plan(row) for row in (await connection.execute(statement)).all()]

    async def cancel(self, key: PlanKey, by: str) -> Plan | None:
        change = update(plans).where(_is(key), _WAITS).values(state=State.CANCELLED.value, end_time=func.now(), ended_by=by)
        async with self._database.begin() as connection:
            await connection.execute(change)
            row = (await connection.execute(select(plans).where(_is(key)))).one_or_none()
        return _plan(row) if row else None

    async def due(self, limit: int) -> Sequence[DuePlan]:
        statement = select(plans.c.project, plans.c.id, plans.c.template).where(_WAITS, plans.c.publish_at <= func.clock_timestamp())
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement.order_by(plans.c.publish_at).limit(limit))).all()
        return [DuePlan(PlanKey(row.project, row.id), TemplateKey(row.project, row.template)) for row in rows]

    async def carry_out(self, due: DuePlan) -> Plan | None:
        async with self._database.begin() as connection:
            template = await lock(connection, due.template)
            found = select(plans, func.now().label("now")).where(_is(due.key), _WAITS, plans.c.publish_at <= func.now()).with_for_update()
            row = (await connection.execute(found)).one_or_none()
            if row is None:
                return None
            outcome: dict[str, Any] = {"state": State.PUBLISHED.value}
            try:
                await _publish(connection, template, _plan(row), row.now)
            except ServiceError as error:
                last = select(func.coalesce(func.max(template_publications.c.id), 0)).where(_same_template(template_publications))
                outcome = {"state": State.FAILED.value, "reason": error.reason, "description": error.message}
                outcome["last_publication"] = last.scalar_subquery()
            change = update(plans).where(_is(due.key)).values(end_time=func.now(), **outcome)
            return _plan((await connection.execute(change.returning(*plans.c))).one())


async def _publish(connection: AsyncConnection, template: Template | None, plan: Plan, now: datetime) -> None:
    """Raises ServiceError where it can't be done, without a statement that failed."""
    if template is None:
        raise TemplateNotFound(plan.version.template)
    check_in_use(template, 0)
    if template.published_version not in {plan.previous_version, plan.version.version}:
        raise PublishedMeanwhile(template.published_version)
    await bring_into_use(connection, template, plan.version.version, now, plan.mark, plan=plan.key.id)


async def _end(connection: AsyncConnection, key: PlanKey, state: State, by: str) -> None:
    """Raises ScheduleOver where the plan does not wait any more."""
    change = update(plans).where(_is(key), _WAITS).values(state=state.value, end_time=func.now(), ended_by=by)
    if (await connection.execute(change.returning(plans.c.id))).one_or_none() is None:
        found = (await connection.execute(select(plans.c.state).where(_is(key)))).scalar_one()
        raise ScheduleOver(State(found))


def _same_template(others: FromClause) -> ColumnElement[bool]:
    return (others.c.project == plans.c.project) & (others.c.template == plans.c.template)


def _is(key: PlanKey) -> ColumnElement[bool]:
    return (plans.c.project == key.project) & (plans.c.id == key.id)


def _plan(row: Row[*tuple[Any, ...]]) -> Plan:
    return Plan(
        PlanKey(row.project, row.id),
        VersionKey(row.project, row.template, row.version),
        row.publish_at,
        row.previous_version,
        Mark(row.scheduled_by, row.note),
        State(row.state),
        row.create_time,
        row.seq,
        row.end_time,
        row.ended_by,
        row.reason,
        row.description,
    )
