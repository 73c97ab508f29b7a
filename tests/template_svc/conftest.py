"""A renderer with its limit, and the store of templates, twice: in memory and in a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mesh.database import Database, open_database
from mesh.settings import DatabaseSettings
from template_svc.cpu_limit import CpuLimit
from template_svc.renderer import Renderer
from template_svc.repository import TemplateRepository
from template_svc.use_cases import TemplateStore
from tests.fixtures_postgres import NewDatabase
from tests.template_svc.factories import Clock
from tests.template_svc.fakes import MemoryTemplates


@pytest.fixture
def limit() -> Iterator[CpuLimit]:
    """Half a second: nothing but an endless template needs that, on any machine."""
    with CpuLimit(0.5) as opened:
        yield opened


@pytest.fixture
def renderer(limit: CpuLimit) -> Renderer:
    """A renderer as template_svc has it."""
    return Renderer(limit)


@pytest.fixture
def checking() -> Iterator[ThreadPoolExecutor]:
    """The thread in which contents are checked."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
async def database(postgres_url: NewDatabase) -> AsyncIterator[Database]:
    """A fresh database of template_svc."""
    async with open_database(DatabaseSettings(await postgres_url("template_svc"))) as opened:
        yield opened


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[TemplateStore]:
    """Both stores: what holds for one holds for the other."""
    if request.param == "memory":
        yield MemoryTemplates()
        return
    postgres_url: NewDatabase = request.getfixturevalue("postgres_url")
    async with open_database(DatabaseSettings(await postgres_url("template_svc"))) as opened:
        yield TemplateRepository(opened)
