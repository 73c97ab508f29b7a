"""PostgreSQL through SQLAlchemy's async engine: one pool per process, transactions as blocks, failures as `Unavailable`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from asyncpg import InternalClientError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mesh.errors import Unavailable
from mesh.stores.settings import DatabaseSettings

# classes of SQLSTATE that mean "the server can't serve now": connection exceptions, insufficient resources, operator intervention
_DOWN_CLASSES = {"08", "53", "57"}


class DatabaseUnavailable(Unavailable):
    """The database can't be reached or can't serve; nothing was stored."""

    reason = "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database is not available", retry_after_s=1)


@dataclass(frozen=True, slots=True)
class Database:
    """An open pool."""

    engine: AsyncEngine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end of the block. Raises DatabaseUnavailable when the server can't be reached."""
        try:
            async with self.engine.begin() as connection:
                yield connection
        except (DBAPIError, InternalClientError, PoolTimeoutError, OSError, TimeoutError) as error:
            raise _translate(error) from error

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads, in autocommit. Raises DatabaseUnavailable when the server can't be reached."""
        try:
            async with self.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")
        except (DBAPIError, InternalClientError, PoolTimeoutError, OSError, TimeoutError) as error:
            raise _translate(error) from error

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Any]:
        """An asyncpg connection of the pool in autocommit, past SQLAlchemy, which costs 0.2 ms of CPU a statement: for hot paths.

        Raises DatabaseUnavailable when the server can't be reached.
        """
        try:
            async with self.engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                while driver.is_closed():
                    # it died while it lay in the pool, which concerns no caller
                    await connection.invalidate()
                    driver = (await connection.get_raw_connection()).driver_connection
                try:
                    yield driver
                except InternalClientError:
                    await connection.invalidate()
                    raise
                except (asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError, TimeoutError):
                    if driver.is_closed():
                        await connection.invalidate()
                    raise
        except (
            asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError, DBAPIError, PoolTimeoutError, OSError, TimeoutError
        ) as error:  # fmt: skip
            raise _translate(error) from error

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """The rows of one statement with `$1` placeholders, over `driver`."""
        async with self.driver() as driver:
            rows: list[Any] = await driver.fetch(statement, *arguments)
            return rows

    async def server_time_s(self) -> float:
        """PostgreSQL's own Unix time in seconds. Raises DatabaseUnavailable."""
        return float((await self.fetch("SELECT extract(epoch FROM clock_timestamp())::float8 AS now"))[0]["now"])

    async def ping(self) -> None:
        """Raises DatabaseUnavailable when a query can't be answered."""
        async with self.connect() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """A pool that connects on first use, so that a process starts while its database is still down."""
    engine = create_async_engine(
        async_url(settings.url),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout_s,
        # a connection that died with the server is replaced at checkout instead of failing the first request after its return
        pool_pre_ping=False,
        connect_args={
            "timeout": settings.connect_timeout_s,
            "command_timeout": settings.statement_timeout_s,
            "server_settings": {"application_name": "clarion", "timezone": "UTC", "jit": "off"},
        },
    )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def async_url(url: str) -> str:
    """The URL for SQLAlchemy's asyncpg dialect."""
    _, separator, rest = url.partition("://")
    return f"postgresql+asyncpg{separator}{rest}"


def _translate(error: Exception) -> Exception:
    # asyncpg's way of saying that the server's goodbye (FATAL) has come and the end of the connection has not yet
    if isinstance(error, InternalClientError):
        return DatabaseUnavailable()
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError | InterfaceError | OperationalError):
        return DatabaseUnavailable()
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        # an InterfaceError that is a ValueError too is about an argument, any other about the connection
        away = isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
        return DatabaseUnavailable() if away or str(getattr(error, "sqlstate", ""))[:2] in _DOWN_CLASSES else error
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        state = getattr(error.orig, "sqlstate", None) or getattr(cause, "sqlstate", None) or ""
        if error.connection_invalidated or state[:2] in _DOWN_CLASSES or isinstance(cause, asyncpg.InterfaceError | OSError):
            return DatabaseUnavailable()
    return error
