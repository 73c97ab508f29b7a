"""Policies and categories in PostgreSQL."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.etag import check_etag
from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import record
from user_svc.policies.errors import CategoriesFull
from user_svc.policies.models import MOST_CATEGORIES, Category, CategoryText, DeliveryPolicy, FrequencyLimit, ProjectRules
from user_svc.preferences.models import PreferenceRule
from user_svc.preferences.quiet_hours import parse_quiet_hours
from user_svc.tables import categories, delivery_policies, projects

# As text, so that what was read a second ago need not be parsed again.
_RULES = text("""
    SELECT p.id AS project, d.rules::text AS rules, d.quiet_hours, c.found::text AS categories, p.archive_time IS NOT NULL AS archived
    FROM projects p
    LEFT JOIN delivery_policies d ON d.project = p.id
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(id, mandatory, limit_count, limit_window_s) ORDER BY id) AS found
        FROM categories WHERE project = p.id AND (mandatory OR limit_count IS NOT NULL)
    ) c ON true
    WHERE p.id = ANY(:projects) AND (d.project IS NOT NULL OR c.found IS NOT NULL OR p.archive_time IS NOT NULL)
""").bindparams(bindparam("projects", type_=ARRAY(TEXT)))


class PolicyRepository:
    """Implements `policies.use_cases.PolicyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def policy(self, project: str) -> DeliveryPolicy:
        async with self._database.connect() as connection:
            return await _policy(connection, project)

    async def set_policy(self, project: str, change: Callable[[DeliveryPolicy], DeliveryPolicy], *, etag: str = "") -> DeliveryPolicy:
        """The project's row is locked first: there may be no policy yet to lock."""
        async with self._database.begin() as connection:
            await connection.execute(select(projects.c.id).where(projects.c.id == project).with_for_update(key_share=True))
            present = await _policy(connection, project)
            changed = change(present)
            check_etag(etag, present.etag, done=replace(changed, update_time=present.update_time) == present)
            values = {
                "rules": [[rule.channel.value, rule.subject, rule.choice.value] for rule in changed.rules],
                "quiet_hours": None if changed.quiet_hours is None else str(changed.quiet_hours),
                "update_time": changed.update_time,
            }
            statement = insert(delivery_policies).values(project=project, **values)
            await connection.execute(statement.on_conflict_do_update(index_elements=[delivery_policies.c.project], set_=values))
        return changed

    async def add(self, project: str, category: Category) -> bool:
        statement = insert(categories).values(project=project, id=category.id, create_time=category.create_time, **_values(category))
        present = select(func.count()).select_from(categories).where(categories.c.project == project)
        async with self._database.begin() as connection:
            # the project's row, so that two at a time are not one too many
            await connection.execute(select(projects.c.id).where(projects.c.id == project).with_for_update(key_share=True))
            new = bool((await connection.execute(statement.on_conflict_do_nothing())).rowcount)
            if new and (await connection.execute(present)).scalar_one() > MOST_CATEGORIES:
                raise CategoriesFull
            if new:
                await _note(connection, project, category.id, was=False, mandatory=category.mandatory)
        return new

    async def find(self, project: str, identifier: str) -> Category | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(categories).where(_is(project, identifier)))).one_or_none()
        return None if row is None else _category(row)

    async def change(self, project: str, identifier: str, change: Callable[[Category], Category], *, etag: str = "") -> Category | None:
        async with self._database.begin() as connection:
            row = (await connection.execute(select(categories).where(_is(project, identifier)).with_for_update())).one_or_none()
            if row is None:
                return None
            present = _category(row)
            changed = change(present)
            check_etag(etag, present.etag, done=replace(changed, update_time=present.update_time) == present)
            await connection.execute(update(categories).where(_is(project, identifier)).values(**_values(changed)))
            await _note(connection, project, identifier, was=present.mandatory, mandatory=changed.mandatory)
        return changed

    async def delete(self, project: str, identifier: str) -> None:
        gone = delete(categories).where(_is(project, identifier)).returning(categories.c.mandatory)
        async with self._database.begin() as connection:
            was = (await connection.execute(gone)).scalar_one_or_none()
            await _note(connection, project, identifier, was=bool(was), mandatory=False)

    async def list_by_id(self, project: str, after: str, limit: int) -> Sequence[Category]:
        statement = select(categories).where(categories.c.project == project, categories.c.id > after).order_by(categories.c.id)
        async with self._database.connect() as connection:
            return [_category(row) for row in await connection.execute(statement.limit(limit))]

    async def rules_of(self, projects: Collection[str]) -> Mapping[str, ProjectRules]:
        async with self._database.connect() as connection:
            rows = (await connection.execute(_RULES, {"projects": list(projects)})).all()
        return {
            row.project: replace(_rules(row.rules or "[]", row.quiet_hours, row.categories or "[]"), archived=row.archived) for row in rows
        }


async def _note(connection: AsyncConnection, project: str, identifier: str, *, was: bool, mandatory: bool) -> None:
    """Who takes a choice from people, or gives it back, is on record."""
    if was != mandatory:
        details = {"mandatory": str(mandatory).lower()}
        await record(connection, NewEvent(project, AuditKind.CATEGORY_CHANGED, f"category:{identifier}", details=details))


def _is(project: str, identifier: str) -> Any:
    return (categories.c.project == project) & (categories.c.id == identifier)


async def _policy(connection: AsyncConnection, project: str) -> DeliveryPolicy:
    row = (await connection.execute(select(delivery_policies).where(delivery_policies.c.project == project))).one_or_none()
    if row is None:
        return DeliveryPolicy()
    hours = None if row.quiet_hours is None else parse_quiet_hours(row.quiet_hours)
    return DeliveryPolicy(tuple(PreferenceRule.of(*rule) for rule in row.rules), hours, row.update_time)


def _values(category: Category) -> dict[str, Any]:
    limit = category.limit
    return {
        "texts": {locale: list(words) for locale, words in category.texts.items()},
        "mandatory": category.mandatory,
        "limit_count": None if limit is None else limit.count,
        "limit_window_s": None if limit is None else int(limit.window.total_seconds()),
        "update_time": category.update_time,
    }


def _category(row: Row[Any]) -> Category:
    return Category(
        id=row.id,
        texts={locale: CategoryText(*words) for locale, words in row.texts.items()},
        mandatory=row.mandatory,
        limit=None if row.limit_count is None else FrequencyLimit(row.limit_count, timedelta(seconds=row.limit_window_s)),
        create_time=row.create_time,
        update_time=row.update_time,
    )


@lru_cache(maxsize=1024)
def _rules(rules: str, quiet_hours: str | None, found: str) -> ProjectRules:
    listed = json.loads(found)
    return ProjectRules(
        rules=tuple(PreferenceRule.of(*rule) for rule in json.loads(rules)),
        quiet_hours=None if quiet_hours is None else parse_quiet_hours(quiet_hours),
        mandatory=frozenset(identifier for identifier, mandatory, _, _ in listed if mandatory),
        limits={identifier: FrequencyLimit(count, timedelta(seconds=window)) for identifier, _, count, window in listed if count},
    )
