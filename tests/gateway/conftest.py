"""Fixtures of the gateway's tests: its migrated database, and rows to put into it."""

from collections.abc import AsyncIterator

import pytest

from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from tests.fixtures_postgres import NewDatabase


@pytest.fixture
async def database(postgres_url: NewDatabase) -> AsyncIterator[Database]:
    """A fresh database of the gateway."""
    async with open_database(DatabaseSettings(await postgres_url("gateway"))) as opened:
        yield opened
