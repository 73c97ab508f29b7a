"""Suppressions in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, and_, case, delete, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.suppressions.errors import TooManyCategories
from user_svc.suppressions.models import MAX_CATEGORIES, Suppression
from user_svc.tables import category_suppressions, suppressions, users
from user_svc.users.repository import holders_of, is_user

_WHAT = ("reason", "create_time", "evidence", "expire_time")
_FORGET = tuple(
    text(f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE expire_time < :now LIMIT 10000))")
    for table in ("suppressions", "category_suppressions")
)


class SuppressionRepository:
    """Implements `suppressions.use_cases.SuppressionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, project: str, suppression: Suppression, *, of: str | None = None) -> Suppression:
        table = _table_of(suppression.category)
        statement = insert(table).values(project=project, **_values_of(suppression))
        outlasted = table.c.expire_time < func.coalesce(statement.excluded.expire_time, text("'infinity'"))
        # Setting a column to itself changes nothing and makes RETURNING answer the row that is there.
        kept = {name: case((outlasted, statement.excluded[name]), else_=table.c[name]) for name in _WHAT}
        upsert = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=kept).returning(table)
        async with self._database.begin() as connection:
            if of is not None:
                # an erasure, which locks the row too, either sees what is put on the list here, or has taken the person away
                present = select(users.c.id).where(is_user(project, of)).with_for_update(read=True, key_share=True)
                if (await connection.execute(present)).one_or_none() is None:
                    return suppression
            row = (await connection.execute(upsert)).one()
            if suppression.category:
                listed = select(func.count()).select_from(table).where(table.c.project == project, table.c.address == suppression.address)
                if (await connection.execute(listed)).scalar_one() > MAX_CATEGORIES:
                    raise TooManyCategories
        return _suppression(row)

    async def delete(self, project: str, address: str, category: str) -> bool:
        table = _table_of(category)
        wanted = [table.c.project == project, table.c.address == address, *([table.c.category == category] if category else ())]
        holder = holders_of(project, address)
        async with self._database.begin() as connection:
            reason = (await connection.execute(delete(table).where(*wanted).returning(table.c.reason))).scalar_one_or_none()
            if reason is None:
                return False
            subject = person((await connection.execute(holder)).scalar_one_or_none())
            details = {"reason": reason, **({"category": category} if category else {})}
            await record(connection, NewEvent(project, AuditKind.SUPPRESSION_REMOVED, subject, details=details))
        return True

    async def of_address(self, project: str, address: str) -> Sequence[Suppression]:
        async with self._database.connect() as connection:
            found = []
            for table in (suppressions, category_suppressions):
                wanted = (table.c.project == project) & (table.c.address == address)
                found += [_suppression(row) for row in await connection.execute(select(table).where(wanted))]
        return sorted(found, key=_place)

    async def list_in_order(
        self, project: str, after: tuple[str, str], limit: int, *, now: datetime, address: str = ""
    ) -> Sequence[Suppression]:
        """The first ones of both tables, each in its own order, hold the first ones of all."""
        found = []
        async with self._database.connect() as connection:
            for table in (suppressions, category_suppressions):
                order = [table.c.address, table.c.category] if table is category_suppressions else [table.c.address]
                follows = tuple_(*order) > tuple_(*after[: len(order)])
                holds = or_(table.c.expire_time.is_(None), table.c.expire_time > now)
                wanted = and_(table.c.project == project, follows, holds, *([table.c.address == address] if address else ()))
                rows = await connection.execute(select(table).where(wanted).order_by(*order).limit(limit))
                found += [_suppression(row) for row in rows]
        return sorted(found, key=_place)[:limit]

    async def forget_ended(self, now: datetime) -> None:
        for statement in _FORGET:
            async with self._database.begin() as connection:
                while (await connection.execute(statement, {"now": now})).rowcount:
                    pass


def _table_of(category: str) -> Table:
    return category_suppressions if category else suppressions


def _values_of(suppression: Suppression) -> dict[str, Any]:
    scope = {"category": suppression.category} if suppression.category else {}
    return {"address": suppression.address, **scope, **{name: getattr(suppression, name) for name in _WHAT}}


def _suppression(row: Row[*tuple[Any, ...]]) -> Suppression:
    category = row.category if "category" in row._fields else ""
    return Suppression(row.address, row.reason, row.create_time, row.evidence, category, row.expire_time)


def _place(suppression: Suppression) -> tuple[str, str]:
    return suppression.address, suppression.category
