"""A real PostgreSQL for tests: one server per session, a fresh migrated database per test."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from devstack.postgres import PostgresServer
from mesh.stores.migrations import upgrade

NewDatabase = Callable[[str], Awaitable[str]]

_numbers = itertools.count(1)
_templates: set[str] = set()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The session's server. It keeps nothing when the machine crashes, and nothing after the session."""
    with PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> AsyncIterator[NewDatabase]:
    """Makes databases: `await postgres_url("user_svc")` is the URL of a new database with that package's migrations applied.

    Each package is migrated once in a session; a database is a copy of the result and is dropped after the test.
    `await postgres_url("")` answers an empty one.
    """
    made: list[str] = []

    async def new_database(package: str) -> str:
        template = "template1"
        if package:
            template = f"migrated_{package}"
            if template not in _templates:
                await _execute(postgres_server, f'CREATE DATABASE "{template}"')
                await upgrade(package, postgres_server.url(template))
                _templates.add(template)
        name = f"test_{next(_numbers)}"
        await _execute(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        made.append(name)
        return postgres_server.url(name)

    yield new_database
    for name in made:
        await _execute(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
