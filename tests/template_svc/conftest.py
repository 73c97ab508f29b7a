"""A renderer with its limit, and the store of templates, twice: in memory and in a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from template_svc.archiving.repository import ArchiveRepository
from template_svc.archiving.use_cases import ArchiveStore
from template_svc.processes.cpu_limit import CpuLimit
from template_svc.repository import TemplateRepository
from template_svc.use_cases import TemplateStore
from tests.fixtures_postgres import NewDatabase
from tests.template_svc.factories import Clock
from tests.template_svc.fakes import InlineProcesses, LimitedRenderer, MemoryTemplates


@pytest.fixture
def limit() -> Iterator[CpuLimit]:
    """The limit that a render process has, in this one and without the killing."""
    with CpuLimit() as opened:
        yield opened


@pytest.fixture
def renderer(limit: CpuLimit) -> LimitedRenderer:
    """A renderer as a render process has it."""
    return LimitedRenderer(limit)


@pytest.fixture
def processes(renderer: LimitedRenderer) -> InlineProcesses:
    """Renders and checks in this process."""
    return InlineProcesses(renderer)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
async def database(postgres_url: NewDatabase) -> AsyncIterator[Database]:
    """A fresh database of template_svc."""
    async with open_database(DatabaseSettings(await postgres_url("template_svc"))) as opened:
        yield opened


@pytest.fixture
def memory_store() -> TemplateStore:
    """The fake."""
    return MemoryTemplates()


@pytest.fixture
def postgres_store(database: Database) -> TemplateStore:
    """The repository."""
    return TemplateRepository(database)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest) -> TemplateStore:
    """Both, one after the other: what holds for the fake must hold for PostgreSQL."""
    found: TemplateStore = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def archive(request: pytest.FixtureRequest, store: TemplateStore) -> ArchiveStore:
    """What archives in `store`."""
    return store if isinstance(store, MemoryTemplates) else ArchiveRepository(request.getfixturevalue("database"))


@pytest.fixture
def statements(database: Database) -> list[str]:
    """The SQL that the repository sends from here on, transaction control left out."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    return seen
