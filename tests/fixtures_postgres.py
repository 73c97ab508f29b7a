"""A real PostgreSQL for tests: one server per run, a migrated database per test that holds nothing of another's."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from devstack.postgres import PostgresServer
from mesh.stores.migrations import upgrade
from tests.pooled_databases import DatabasePool
from tests.sharing import locked, run_folder, shared

NewDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of this worker alone, which tests may stop and start. It keeps nothing when the machine crashes."""
    with PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def _shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    return run_folder(tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def _postgres_base_url(tmp_path_factory: pytest.TempPathFactory, _shared_folder: Path) -> Iterator[str]:
    """The URL of the run's server without the name of a database."""

    @contextmanager
    def open_server() -> Iterator[str]:
        with PostgresServer(tmp_path_factory.mktemp("shared-postgres"), durable=False) as server:
            yield server.url("")

    with shared(_shared_folder, "postgres", open_server) as url:
        yield url


@pytest.fixture(scope="session")
def _databases(_postgres_base_url: str, worker_id: str) -> DatabasePool:
    """The databases that the tests of this worker use one after the other."""
    return DatabasePool(_postgres_base_url, f"test_{worker_id}")


@pytest.fixture
async def postgres_url(_postgres_base_url: str, _databases: DatabasePool, _shared_folder: Path) -> AsyncIterator[NewDatabase]:
    """Finds databases: `await postgres_url("user_svc")` is the URL of one as that package's migrations left it, of this test alone.

    Each package is migrated once in a run. `await postgres_url("")` answers an empty one.
    """
    taken: list[tuple[str, str]] = []

    async def new_database(package: str) -> str:
        template = f"migrated_{package}" if package else "template1"
        if package and not _databases.knows(template):
            with locked(_shared_folder / f"{template}.lock"):
                await _migrate_once(_postgres_base_url, package, template)
        name = await _databases.take(template)
        taken.append((template, name))
        return _postgres_base_url + name

    yield new_database
    for template, name in taken:
        await _databases.give_back(template, name)


async def _migrate_once(base_url: str, package: str, template: str) -> None:
    connection = await asyncpg.connect(base_url + "postgres")
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template):
            return
        # Under another name until it is complete, for a migration may fail.
        await connection.execute(f'DROP DATABASE IF EXISTS "{template}_in_work"')
        await connection.execute(f'CREATE DATABASE "{template}_in_work"')
        await upgrade(package, f"{base_url}{template}_in_work")
        await connection.execute(f'ALTER DATABASE "{template}_in_work" RENAME TO "{template}"')
    finally:
        await connection.close()
