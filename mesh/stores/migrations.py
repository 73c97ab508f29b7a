"""Brings a service's database up to date with Alembic, from code, so that there is no ini file to keep.

Alembic is imported where it is used: a process that serves has no use for it, and it weighs 20 MB.
"""

import asyncio
import importlib
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import MetaData, pool
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mesh.process.hosts import with_each_host
from mesh.process.runtime import CannotStart
from mesh.stores.database import NOTHING_KEPT, async_url

# any number that all replicas share: they must not migrate one database at the same time
_LOCK = 0x636C6172696F6E


async def upgrade(package: str, url: str) -> None:
    """Runs the migrations of `package` that its database at `url` lacks. Replicas that start together wait for each other.

    Each migration is a transaction, which begins with the lock and looks again what is lacking: a lock of the session would be left at
    any server of a pooler that lends them by transaction. Raises CannotStart when there is no such database, it does not let us in or let
    us change it, or another service or a newer release has been at it.
    """
    engine = create_async_engine(async_url(url), poolclass=pool.NullPool, connect_args=dict(NOTHING_KEPT))
    try:
        async with aclosing(await _connected(engine, url)) as connection:
            run, more = _next_migration(package), True
            while more:
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                more = await _migrate(connection, run, package, url)
                await connection.commit()
    finally:
        await engine.dispose()


async def _connected(engine: AsyncEngine, url: str) -> AsyncConnection:
    name, where = _place(url)
    try:
        return await engine.connect()
    except (DBAPIError, OSError, TimeoutError) as error:
        match _cause(error):
            case asyncpg.InvalidCatalogNameError():
                problem = f"there is no database {name!r} at {where}: create it, or correct the name in its URL"
            case asyncpg.InvalidAuthorizationSpecificationError():
                problem = f"PostgreSQL at {where} refuses the user or the password in the URL of database {name!r}"
            case asyncpg.InsufficientPrivilegeError():
                problem = f"the user in the URL may not connect to database {name!r} at {where}: grant it CONNECT"
            case OSError() | TimeoutError() | asyncpg.PostgresConnectionError() | asyncpg.CannotConnectNowError():
                problem = f"no PostgreSQL answers at {where}: start it, or correct the URL of database {name!r}"
            case _:
                raise
        raise CannotStart(problem) from error


async def _migrate(connection: AsyncConnection, run: Callable[[Connection], bool], package: str, url: str) -> bool:
    from alembic.util.exc import CommandError

    name, where = _place(url)
    try:
        return await connection.run_sync(run)
    except CommandError as error:
        raise CannotStart(
            f"database {name!r} at {where} holds a schema that this release of {package} does not know: it is another service's, or of a "
            "newer release (docs/upgrading.md)"
        ) from error
    except DBAPIError as error:
        match _cause(error):
            case asyncpg.InsufficientPrivilegeError():
                problem = (
                    f"the user in the URL may not change database {name!r} at {where}: make it the owner (ALTER DATABASE ... OWNER TO)"
                )
            case asyncpg.ReadOnlySQLTransactionError():
                problem = f"PostgreSQL at {where} takes no changes, as a standby does: name the primary in the URL of database {name!r}"
            case OSError() | TimeoutError() | asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError():
                problem = f"PostgreSQL at {where} went away while database {name!r} was migrated: do it again when it is back"
            case _:
                raise
        raise CannotStart(problem) from error


def _place(url: str) -> tuple[str, str]:
    """The database's name, and where it is."""
    each = [urlsplit(one) for one in with_each_host(url)]
    return each[0].path.lstrip("/"), " or ".join(f"{parts.hostname or 'localhost'}:{parts.port or 5432}" for parts in each)


def _cause(error: BaseException) -> BaseException | None:
    """What the driver or the system said."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, asyncpg.PostgresError | OSError | TimeoutError):
        cause = cause.__cause__
    return cause


def upgrade_now(package: str, url: str) -> None:
    """`upgrade` for a caller without an event loop."""
    asyncio.run(upgrade(package, url))


def run_environment(metadata: MetaData) -> None:
    """The whole body of a service's `migrations/env.py`: a migration runs in the transaction of the connection that `upgrade` opened."""
    from alembic import context as alembic_context

    connection: Connection = alembic_context.config.attributes["connection"]
    alembic_context.configure(connection=connection, target_metadata=metadata)
    with alembic_context.begin_transaction():
        alembic_context.run_migrations()


def _next_migration(package: str) -> Callable[[Connection], bool]:
    """What runs the next migration within the transaction that is open; it answers whether there was one."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    module = importlib.import_module(package)
    config = Config()
    config.set_main_option("script_location", str(Path(str(module.__file__)).parent / "migrations"))
    script = ScriptDirectory.from_config(config)

    def run(connection: Connection) -> bool:
        lacking: list[Any] = []

        def first_step(heads: Any, _context: Any) -> list[Any]:
            # what alembic.command.upgrade calls, without one load of all migrations for each of them
            lacking[:] = script._upgrade_revs("head", heads)  # noqa: SLF001  Alembic's own cookbook calls it
            return lacking[:1]

        config.attributes["connection"] = connection
        with EnvironmentContext(config, script, fn=first_step):
            script.run_env()
        return bool(lacking)

    return run
