"""Partitions by month: made ahead, dropped past the retention. The ids are UUIDv7, so a month is a range of ids."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.ids import least_at
from mesh.resilience.periodic import Periodic
from mesh.sagas.state import SagaState
from mesh.stores.database import Database

log = logging.getLogger(__name__)

_TABLES = {"notifications": "id", "timeline": "notification_id"}
_MONTHS_AHEAD = 2
_INTERVAL_S = 3600.0
_RETRY_S = 5.0
# one replica at a time; any number that all of them share
_LOCK = text("SELECT pg_try_advisory_xact_lock(7161823405)")
_CHILDREN = text("SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:parent AS regclass)")
_OLD_DEAD_LETTERS = text("DELETE FROM dead_letters WHERE notification_id < :least")
# 3 COMPLETED, 4 COMPENSATED: what is still open stays, however old it is
_OLD_SAGAS = text(f"DELETE FROM sagas WHERE id < :least AND state IN ({SagaState.COMPLETED:d}, {SagaState.COMPENSATED:d})")


class Maintenance:
    """Keeps the partitions in order and cleans idempotency records, once an hour. `start` begins, `close` ends it."""

    def __init__(self, database: Database, clean: Sequence[Callable[[], Awaitable[int]]], *, retention_days: int) -> None:
        self._database = database
        self._clean = clean
        self._retention = timedelta(days=retention_days)
        self._work = Periodic("maintenance", self._run, interval_s=_INTERVAL_S, retry_s=_RETRY_S)

    def start(self) -> None:
        """Begins, at once."""
        self._work.start()

    async def close(self) -> None:
        """Ends it."""
        await self._work.close()

    async def run_once(self, now: datetime) -> None:
        """Makes the partitions of this month and the next ones, drops those past the retention, cleans records in small batches."""
        async with self._database.begin() as connection:
            if (await connection.execute(_LOCK)).scalar_one():
                await _make_ahead(connection, now)
                await _drop_old(connection, now - self._retention)
        for clean in self._clean:
            while await clean():
                pass  # each batch is a statement of its own, between which other work gets its turn

    async def _run(self) -> None:
        await self.run_once(datetime.now(UTC))


async def _make_ahead(connection: AsyncConnection, now: datetime) -> None:
    month = _month_of(now)
    for _ in range(_MONTHS_AHEAD + 1):
        for table, key in _TABLES.items():
            if _name_of(table, month) not in await _children(connection, table):
                await _make(connection, table, key, month)
        month = _next(month)


async def _make(connection: AsyncConnection, table: str, key: str, month: datetime) -> None:
    """Makes a partition; rows of its range that were stored before it existed move into it."""
    name, least, bound = _name_of(table, month), least_at(month), least_at(_next(month))
    moved = f"WITH moved AS (DELETE FROM {table}_default WHERE {key} >= '{least}' AND {key} < '{bound}' RETURNING *)"
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
    await connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"))
    await connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{least}') TO ('{bound}')"))
    log.info("partition made", extra={"partition": name})


async def _drop_old(connection: AsyncConnection, oldest: datetime) -> None:
    """Only whole months: a partition goes when its last row is past the retention."""
    kept = _month_of(oldest)
    for table in _TABLES:
        for name in await _children(connection, table):
            suffix = name.removeprefix(f"{table}_")
            if suffix != "default" and suffix < _suffix_of(kept):
                await connection.execute(text(f"DROP TABLE {name}"))
                log.info("partition dropped", extra={"partition": name})
    await connection.execute(_OLD_DEAD_LETTERS, {"least": least_at(kept)})
    await connection.execute(_OLD_SAGAS, {"least": least_at(kept)})


async def _children(connection: AsyncConnection, table: str) -> set[str]:
    return set((await connection.execute(_CHILDREN, {"parent": table})).scalars())


def _month_of(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def _next(month: datetime) -> datetime:
    return _month_of(month + timedelta(days=31))


def _suffix_of(month: datetime) -> str:
    return f"{month:%Y_%m}"


def _name_of(table: str, month: datetime) -> str:
    return f"{table}_{_suffix_of(month)}"
