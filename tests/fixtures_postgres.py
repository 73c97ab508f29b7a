"""A real PostgreSQL for tests: one server per run, a fresh migrated database per test."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from devstack.postgres import PostgresServer
from mesh.stores.migrations import upgrade
from tests.sharing import locked, run_folder, shared

NewDatabase = Callable[[str], Awaitable[str]]

_numbers = itertools.count(1)


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


@pytest.fixture
async def postgres_url(_postgres_base_url: str, _shared_folder: Path, worker_id: str) -> AsyncIterator[NewDatabase]:
    """Makes databases: `await postgres_url("user_svc")` is the URL of a new database with that package's migrations applied.

    Each package is migrated once in a run; a database is a copy of the result and is dropped after the test.
    `await postgres_url("")` answers an empty one.
    """
    made: list[str] = []

    async def new_database(package: str) -> str:
        template = "template1"
        if package:
            template = f"migrated_{package}"
            with locked(_shared_folder / f"{template}.lock"):
                await _migrate_once(_postgres_base_url, package, template)
        name = f"test_{worker_id}_{next(_numbers)}"
        await _execute(_postgres_base_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        made.append(name)
        return _postgres_base_url + name

    yield new_database
    for name in made:
        await _execute(_postgres_base_url, f'DROP DATABASE "{name}" WITH (FORCE)')


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


async def _execute(base_url: str, statement: str) -> None:
    connection = await asyncpg.connect(base_url + "postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
