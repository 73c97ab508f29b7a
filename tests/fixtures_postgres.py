"""A real PostgreSQL for tests: one server per run, a migrated database per test that holds nothing of another's.

To initialise a server's folder and to migrate the databases costs 4 s of processor time: that is done once in a run, and copied.
"""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack.postgres import PostgresServer
from devstack.processes import DATABASES
from mesh.stores.migrations import upgrade_now
from tests.pooled_databases import DatabasePool
from tests.sharing import locked, run_folder, shared

NewDatabase = Callable[[str], Awaitable[str]]
StackFolder = Callable[[str], Path]


@pytest.fixture(scope="session")
def _migrated_postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of a server that does not run, whose databases are migrated."""
    run = run_folder(tmp_path_factory, worker_id)
    folder = run / "migrated-postgres"
    with locked(run / "migrated-postgres.lock"):
        if not folder.exists():
            new = tmp_path_factory.mktemp("new-postgres")
            _migrate(new)
            new.rename(folder)
    return folder


@pytest.fixture(scope="session")
def stack_folder(_migrated_postgres: Path, tmp_path_factory: pytest.TempPathFactory) -> StackFolder:
    """Makes folders for `devstack.stack.open_stack`: `stack_folder("console")` is one whose databases are migrated."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        _copy(_migrated_postgres, folder / "postgres")
        return folder

    return make


@pytest.fixture(scope="session")
def postgres_server(_migrated_postgres: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of this worker alone, which tests may stop and start. It keeps nothing when the machine crashes."""
    folder = tmp_path_factory.mktemp("postgres")
    _copy(_migrated_postgres, folder)
    with PostgresServer(folder, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_base_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str, _migrated_postgres: Path) -> Iterator[str]:
    """The URL of the run's server without the name of a database."""

    @contextmanager
    def open_server() -> Iterator[str]:
        folder = tmp_path_factory.mktemp("shared-postgres")
        _copy(_migrated_postgres, folder)
        with PostgresServer(folder, durable=False) as server:
            yield server.url("")

    with shared(run_folder(tmp_path_factory, worker_id), "postgres", open_server) as url:
        yield url


@pytest.fixture(scope="session")
def _databases(_postgres_base_url: str, worker_id: str) -> DatabasePool:
    """The databases that the tests of this worker use one after the other."""
    return DatabasePool(_postgres_base_url, f"test_{worker_id}")


@pytest.fixture
async def postgres_url(_postgres_base_url: str, _databases: DatabasePool) -> AsyncIterator[NewDatabase]:
    """Finds databases: `await postgres_url("user_svc")` is the URL of one as that package's migrations left it, of this test alone.

    `await postgres_url("")` answers an empty one.
    """
    taken: list[tuple[str, str]] = []

    async def new_database(package: str) -> str:
        template = f"clarion_{package}" if package else "template1"
        name = await _databases.take(template)
        taken.append((template, name))
        return _postgres_base_url + name

    yield new_database
    for template, name in taken:
        await _databases.give_back(template, name)


def _migrate(folder: Path) -> None:
    # in a thread without an event loop
    with PostgresServer(folder, durable=False) as server, ThreadPoolExecutor(1) as thread:
        for package in DATABASES:
            server.create_database(f"clarion_{package}")
            thread.submit(upgrade_now, package, server.url(f"clarion_{package}")).result()


def _copy(server: Path, folder: Path) -> None:
    """The data of a server that does not run, with its owner, who may be another user."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["cp", "-pR", str(server / "data"), str(folder / "data")], check=True)
