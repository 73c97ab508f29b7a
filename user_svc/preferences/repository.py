"""Preferences in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.etag import check_etag
from mesh.stores.database import Database
from user_svc.preferences.errors import TooManyRules
from user_svc.preferences.models import Choice, PreferenceChanges, PreferenceRule, Preferences
from user_svc.preferences.quiet_hours import parse_quiet_hours
from user_svc.tables import preferences, users
from user_svc.users.repository import is_user


class PreferenceRepository:
    """Implements `preferences.use_cases.PreferenceStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, project: str, user_id: str) -> Preferences | None:
        async with self._database.connect() as connection:
            return await _read(connection, project, user_id)

    async def update(self, project: str, user_id: str, changes: PreferenceChanges, now: datetime, *, etag: str = "") -> Preferences | None:
        """The person's row is locked first: concurrent changes can't pass the limit together, nor come between an etag and its use."""
        async with self._database.begin() as connection:
            await connection.execute(select(users.c.id).where(is_user(project, user_id)).with_for_update())
            present = await _read(connection, project, user_id)
            if present is None:
                return None
            check_etag(etag, present.etag, done=changes.are_made_on(present))
            if changes.is_empty:
                return present
            rules, values = changes.rules, _values(changes, now)
            await connection.execute(update(users).where(is_user(project, user_id)).values(**values))
            await _remove(connection, user_id, [rule for rule in rules if rule.choice is Choice.INHERIT])
            await _set(connection, user_id, [rule for rule in rules if rule.choice is not Choice.INHERIT])
            changed = await _read(connection, project, user_id)
            if changed is not None and not changes.keep_limit(len(present.rules), len(changed.rules)):
                raise TooManyRules
        return changed


async def _read(connection: AsyncConnection, project: str, user_id: str) -> Preferences | None:
    """One statement: a person without rules is a row without a rule."""
    joined = users.outerjoin(preferences, preferences.c.user_id == users.c.id)
    key = (preferences.c.channel, preferences.c.category)
    statement = select(users.c.preferences_time, users.c.quiet_hours, *key, preferences.c.choice).select_from(joined)
    rows = (await connection.execute(statement.where(is_user(project, user_id)).order_by(*key))).all()
    if not rows:
        return None
    rules = (PreferenceRule.of(row.channel, row.category, row.choice) for row in rows if row.channel is not None)
    hours = rows[0].quiet_hours
    return Preferences(user_id, tuple(rules), rows[0].preferences_time, None if hours is None else parse_quiet_hours(hours))


def _values(changes: PreferenceChanges, now: datetime) -> dict[str, object]:
    if changes.quiet_hours is None and not changes.inherit_quiet_hours:
        return {"preferences_time": now}
    return {"preferences_time": now, "quiet_hours": None if changes.quiet_hours is None else str(changes.quiet_hours)}


async def _remove(connection: AsyncConnection, user_id: str, rules: Sequence[PreferenceRule]) -> None:
    if rules:
        keys = [(rule.channel.value, rule.subject) for rule in rules]
        about = tuple_(preferences.c.channel, preferences.c.category).in_(keys)
        await connection.execute(delete(preferences).where(preferences.c.user_id == user_id, about))


async def _set(connection: AsyncConnection, user_id: str, rules: Sequence[PreferenceRule]) -> None:
    if rules:
        values = [
            {"user_id": user_id, "channel": rule.channel.value, "category": rule.subject, "choice": rule.choice.value} for rule in rules
        ]
        statement = insert(preferences).values(values)
        keys = [preferences.c.user_id, preferences.c.channel, preferences.c.category]
        await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={"choice": statement.excluded.choice}))
