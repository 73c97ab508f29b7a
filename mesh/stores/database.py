"""PostgreSQL through SQLAlchemy's async engine: one pool per process, transactions as blocks, failures as `Unavailable`."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
from asyncpg import InternalClientError
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mesh.errors import Unavailable
from mesh.process.hosts import with_each_host
from mesh.stores.settings import DatabaseSettings

log = logging.getLogger(__name__)

# classes of SQLSTATE that mean "the server can't serve now": connection exceptions, insufficient resources, operator intervention
_DOWN_CLASSES = {"08", "53", "57"}
_SAID_EVERY_S = 60.0
# a write was refused because the server is a standby now: its connections lead to the wrong one
_READ_ONLY = "25006"
# the transaction was broken off for the sake of another one: a deadlock, a failed serialization
_CONTENDED = {"40P01", "40001"}
_TRIES = 3
# a table or a column that is not there
_UNDEFINED = {"42P01", "42703"}
# PgBouncer sees to these for each client; it refuses others.
_SESSION = {"application_name": "clarion", "timezone": "UTC"}
# Behind a pooler that lends a server for one transaction nothing may be left at the server. Statements without a name are sent together
# with what is done with them, so that they need not be found again.
NOTHING_KEPT: Mapping[str, Any] = {"statement_cache_size": 0, "prepared_statement_cache_size": 0, "prepared_statement_name_func": str}


class DatabaseUnavailable(Unavailable):
    """The database can't be reached or can't serve; nothing was stored."""

    reason = "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database is not available", retry_after_s=1)


class DatabaseNotMigrated(Unavailable):
    """The database lacks a table or column that this version needs: its migrations have not run, or not all of them."""

    reason = "DATABASE_NOT_MIGRATED"

    def __init__(self) -> None:
        super().__init__("the database has not been migrated to this version yet", retry_after_s=5)


class DatabaseContended(Unavailable):
    """The transaction was undone for another one that was in its way; nothing of it was stored, and the next try finds that one gone.

    Clients of the mesh repeat methods that may be repeated (mesh/rpc/channel.py).
    """

    reason = "DATABASE_CONTENDED"

    def __init__(self) -> None:
        super().__init__("another change was in the way; nothing was stored, try again", retry_after_s=1)


class _Rarely:
    """Logs at most once a minute."""

    def __init__(self) -> None:
        self._said_at_s = float("-inf")

    def error(self, message: str, *arguments: object, extra: Mapping[str, object] | None = None) -> None:
        """As `Logger.error`."""
        if time.monotonic() - self._said_at_s >= _SAID_EVERY_S:
            self._said_at_s = time.monotonic()
            log.error(message, *arguments, extra=extra)


class _IdleConnections:
    """asyncpg's connections in a pool that nothing uses. One that has died is replaced at checkout, which concerns no caller."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._drivers: set[Any] = set()
        pool = engine.sync_engine.pool
        event.listen(pool, "checkin", self._on_checkin)
        event.listen(pool, "checkout", self._on_checkout)
        for name in ("close", "invalidate"):
            event.listen(pool, name, self._forget)

    def end(self) -> None:
        """Closes them without a word to the server: after a statement that got no answer, as where a firewall forgot them."""
        for driver in self._drivers:
            driver.terminate()
        self._drivers.clear()

    def _on_checkin(self, adapted: Any, _record: object) -> None:
        if adapted is not None:
            self._drivers.add(adapted.driver_connection)

    def _on_checkout(self, adapted: Any, _record: object, _proxy: object) -> None:
        self._drivers.discard(adapted.driver_connection)
        if adapted.driver_connection.is_closed():
            raise DisconnectionError

    def _forget(self, adapted: Any, *_details: object) -> None:
        if adapted is not None:
            self._drivers.discard(adapted.driver_connection)


@dataclass(frozen=True, slots=True)
class Database:
    """An open pool."""

    engine: AsyncEngine
    _idle: _IdleConnections
    _unmigrated: _Rarely = field(default_factory=_Rarely)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end of the block. Raises DatabaseUnavailable when the server can't be reached."""
        try:
            async with self.engine.connect() as connection, self._answered(connection), connection.begin():
                yield connection
        except (DBAPIError, InternalClientError, PoolTimeoutError, OSError, TimeoutError) as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads, in autocommit. Raises DatabaseUnavailable when the server can't be reached."""
        try:
            async with self.engine.connect() as connection, self._answered(connection):
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")
        except (DBAPIError, InternalClientError, PoolTimeoutError, OSError, TimeoutError) as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Any]:
        """An asyncpg connection of the pool in autocommit, past SQLAlchemy, which costs 0.2 ms of CPU a statement: for hot paths.

        Raises DatabaseUnavailable when the server can't be reached.
        """
        try:
            async with self.engine.connect() as connection, self._answered(connection) as driver:
                try:
                    yield driver
                except InternalClientError:
                    await connection.invalidate()
                    raise
                except (asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError):
                    if driver.is_closed():
                        await connection.invalidate()
                    raise
        except (
            asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError, DBAPIError, PoolTimeoutError, OSError, TimeoutError
        ) as error:  # fmt: skip
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        state = _sqlstate(error)
        if state in _CONTENDED:
            return DatabaseContended()
        if state not in _UNDEFINED:
            return _translate(error)
        # one line and not a stack for each statement of each loop: it is the operator's to mend
        self._unmigrated.error("the database lacks a table or column of this version: run this process with the argument `migrate` first")
        return DatabaseNotMigrated()

    @asynccontextmanager
    async def _answered(self, connection: AsyncConnection) -> AsyncIterator[Any]:
        """Asyncpg's connection. Where a statement of the block got no answer in time, it ends, and so do those that lay idle beside it."""
        assert connection.sync_connection is not None
        driver: Any = connection.sync_connection.connection.driver_connection
        try:
            yield driver
        except TimeoutError:
            # a rollback, or the next statement, would wait as long as this one did
            driver.terminate()
            self._idle.end()
            raise
        except (DBAPIError, asyncpg.PostgresError) as error:
            if _sqlstate(error) == _READ_ONLY:
                driver.terminate()
                self._idle.end()
            raise

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """The rows of one statement with `$1` placeholders, over `driver`; repeated where another transaction was in its way."""
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self.driver() as driver:
                    rows: list[Any] = await driver.fetch(statement, *arguments)
                    return rows
            except DatabaseContended:
                if not tries_left:
                    raise
        raise AssertionError("there is a last try")

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
        pool_pre_ping=False,  # costs a round trip a checkout; `_IdleConnections` sees for nothing what has died
        connect_args={
            "timeout": settings.connect_timeout_s,
            "command_timeout": settings.statement_timeout_s,
            "server_settings": _SESSION if settings.transaction_pooling else {**_SESSION, "jit": "off"},
            **(NOTHING_KEPT if settings.transaction_pooling else {}),
            "async_creator_fn": _connecting(_connect_to_any if len(with_each_host(settings.url)) > 1 else asyncpg.connect),
        },
    )
    try:
        yield Database(engine, _IdleConnections(engine))
    finally:
        await engine.dispose()


def async_url(url: str) -> str:
    """The URL for SQLAlchemy's asyncpg dialect. Of several hosts, the one that takes writes is meant unless the URL says otherwise."""
    each = [urlsplit(one) for one in with_each_host(url)]
    account, at, host = each[0].netloc.rpartition("@")
    # the last @ ends the password for the other clients, for SQLAlchemy the first does
    account = account.replace("@", "%40")
    if len(each) == 1:
        _, separator, rest = url.partition("://")
        return f"postgresql+asyncpg{separator}{account}{at}{host}{rest[len(each[0].netloc) :]}"
    # hosts and ports apart, so that an address of IPv6 is read as one
    hosts = {"host": ",".join(one.hostname or "" for one in each), "port": ",".join(str(one.port or 5432) for one in each)}
    query = {"target_session_attrs": "read-write", **dict(parse_qsl(each[0].query)), **hosts}
    return f"postgresql+asyncpg://{account}{at}{each[0].path}?{urlencode(query)}"


def _connecting(connect: Callable[..., Awaitable[asyncpg.Connection]]) -> Callable[..., Awaitable[asyncpg.Connection]]:
    """What connects, where a server that lets no one in is one that is away: a password that is being changed, or a database that is."""
    refused = _Rarely()

    async def connecting(**options: Any) -> asyncpg.Connection:
        try:
            return await connect(**options)
        except (
            asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError,
            asyncpg.ProtocolViolationError,
        ) as error:  # fmt: skip
            refused.error("PostgreSQL refuses connections: %s", _way_out_of(error), extra={"error": type(error).__name__})
            raise ConnectionRefusedError("PostgreSQL refuses connections") from error

    return connecting


def _way_out_of(error: asyncpg.PostgresError) -> str:
    if isinstance(error, asyncpg.ProtocolViolationError):
        # how PgBouncer refuses: an option of the session, an unknown user or database
        return "where PgBouncer or the like stands before it, set CLARION_DATABASE_TRANSACTION_POOLING=true, and look into its log"
    return "correct the user, the password or the database in CLARION_DATABASE_URL, or the grants"


async def _connect_to_any(*, host: Sequence[str], port: Sequence[int], timeout: float, **options: Any) -> asyncpg.Connection:
    """What asyncpg.connect does with several hosts, but each gets its share of the time, also where one does not answer at all."""
    for number, (one, its_port) in enumerate(zip(host, port, strict=True), 1):
        try:
            return await asyncpg.connect(host=one, port=its_port, timeout=timeout / len(host), **options)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched):
            if number == len(host):
                raise
    raise AssertionError("a URL has a host")


def _translate(error: Exception) -> Exception:
    # asyncpg's way of saying that the server's goodbye (FATAL) has come and the end of the connection has not yet
    if isinstance(error, InternalClientError):
        return DatabaseUnavailable()
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError | InterfaceError | OperationalError):
        return DatabaseUnavailable()
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        # an InterfaceError that is a ValueError too is about an argument, any other about the connection
        away = isinstance(error, asyncpg.InvalidCachedStatementError) or (
            isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
        )
        return DatabaseUnavailable() if away or _says_down(error) else error
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        # of several hosts none may take writes: between the loss of a primary and a promotion; or a migration has changed a table of
        # which this connection knows a statement, which is made anew at the next try
        away = isinstance(
            cause, asyncpg.InterfaceError | OSError | asyncpg.TargetServerAttributeNotMatched | asyncpg.InvalidCachedStatementError
        )
        if error.connection_invalidated or away or _says_down(error):
            return DatabaseUnavailable()
    return error


def _says_down(error: Exception) -> bool:
    state = _sqlstate(error)
    return state[:2] in _DOWN_CLASSES or state == _READ_ONLY


def _sqlstate(error: Exception) -> str:
    """PostgreSQL's code, which SQLAlchemy's errors have further inside."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(inner, "sqlstate", None) or getattr(inner.__cause__ if inner is not None else None, "sqlstate", None) or "")
