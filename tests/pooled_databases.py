"""The databases of a worker's tests: emptied when a test gives one back, and dropped where it is no longer as its template.

To copy a template and to drop the copy costs PostgreSQL 80 ms of processor time, to empty one a fraction of that (docs/testing.md).
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import asyncpg

from tests.waiting import until_answered

# A test that leaves this much in a database would slow the scans of those after it.
_LARGE = 1 << 20

# Where the schema is kept, and what ANALYZE finds out. Whatever changes a row gives it a newer xmin; a copy has those of its template.
_CATALOGUES = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_db_role_setting", "pg_default_acl", "pg_enum", "pg_event_trigger",
    "pg_extension", "pg_index", "pg_inherits", "pg_namespace", "pg_policy", "pg_proc", "pg_rewrite", "pg_sequence", "pg_statistic",
    "pg_statistic_ext", "pg_trigger", "pg_type",
)  # fmt: skip
_SCHEMA = " UNION ALL ".join(f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in _CATALOGUES)

_TABLES = "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
_SIZE = f"SELECT coalesce(sum(pg_table_size(oid)), 0) {_TABLES}"
# a table without a page needs no statement
_FILLED = f"SELECT relname {_TABLES} AND pg_relation_size(oid) > 0"
_END_SESSIONS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@dataclass(frozen=True)
class _Template:
    """What its copies hold before a test has used them."""

    schema: list[tuple[str, int, int | None]]
    rows: dict[str, bytes]
    sequences: list[tuple[str, int, bool]]


class DatabasePool:
    """Copies of templates on one server, for one process."""

    def __init__(self, base_url: str, prefix: str) -> None:
        self._base_url = base_url
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._templates: dict[str, _Template] = {}
        self._free: defaultdict[str, list[str]] = defaultdict(list)

    def knows(self, template: str) -> bool:
        """Whether a database has been taken of it."""
        return template in self._templates

    async def take(self, template: str) -> str:
        """The name of a database that is as its template."""
        if self._free[template]:
            return self._free[template].pop()
        name = f"{self._prefix}_{next(self._numbers)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        if template not in self._templates:
            self._templates[template] = await self._read(name)
        return name

    async def give_back(self, template: str, name: str) -> None:
        """Ends all sessions in the database, which is used again if that is possible."""
        connection = await asyncpg.connect(self._base_url + name)
        try:
            await until_answered(partial(_end_sessions, connection))
            reusable = await _empty(connection, self._templates[template])
        finally:
            await connection.close()
        if reusable:
            self._free[template].append(name)
        else:
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _read(self, name: str) -> _Template:
        connection = await asyncpg.connect(self._base_url + name)
        try:
            rows = {table: await _copy_out(connection, table) for (table,) in await connection.fetch(_FILLED)}
            sequences = [
                (sequence, *(await connection.fetchrow(f'SELECT last_value, is_called FROM "{sequence}"')))
                for (sequence,) in await connection.fetch("SELECT sequencename FROM pg_sequences")
            ]
            return _Template(await _schema(connection), rows, sequences)
        finally:
            await connection.close()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._base_url + "postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def _end_sessions(connection: asyncpg.Connection) -> bool:
    """Whether there is none left beside this one; those that there are get their end."""
    return bool(await connection.fetchval(_END_SESSIONS) == 0)


async def _empty(connection: asyncpg.Connection, template: _Template) -> bool:
    """Makes the database what its copies were, if only rows have changed, and few of them."""
    if await connection.fetchval(_SIZE) > _LARGE or await _schema(connection) != template.schema:
        return False
    async with connection.transaction():
        # no trigger and no foreign key has a say
        await connection.execute("SET LOCAL session_replication_role = replica")
        for (table,) in await connection.fetch(_FILLED):
            await connection.execute(f'DELETE FROM "{table}"')
        for table, rows in template.rows.items():
            await connection.copy_to_table(table, source=BytesIO(rows), format="binary")
        for sequence, value, is_called in template.sequences:
            await connection.fetchval("SELECT setval($1::text::regclass, $2, $3)", sequence, value, is_called)
    return True


async def _schema(connection: asyncpg.Connection) -> list[tuple[str, int, int | None]]:
    return [tuple(row) for row in await connection.fetch(_SCHEMA)]


async def _copy_out(connection: asyncpg.Connection, table: str) -> bytes:
    rows = BytesIO()
    await connection.copy_from_table(table, output=rows, format="binary")
    return rows.getvalue()
