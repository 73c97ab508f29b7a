"""Deleting many rows in parts that a transaction can bear."""

from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, Table, any_, column, delete, func, select

from mesh.stores.database import Database

_AT_ONCE = 1000


async def delete_in_parts(database: Database, table: Table, which: ColumnElement[bool]) -> None:
    """Deletes the rows, each part in a transaction of its own. What is added meanwhile may stay."""
    place: ColumnClause[Any] = column("ctid")
    some = select(place).select_from(table).where(which).limit(_AT_ONCE).scalar_subquery()
    statement = delete(table).where(place == any_(func.array(some)))
    gone = _AT_ONCE
    while gone == _AT_ONCE:
        async with database.begin() as connection:
            gone = (await connection.execute(statement)).rowcount
