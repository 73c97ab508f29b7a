"""What the database code leaves at a server: nothing, where PgBouncer lends servers by transaction."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from mesh.stores.database import Database, DatabaseUnavailable, open_database
from mesh.stores.migrations import upgrade
from mesh.stores.settings import DatabaseSettings
from tests.fixtures_postgres import NewDatabase
from tests.pgbouncer import PROGRAM, pgbouncer

pytestmark = [pytest.mark.processes, pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")]


@pytest.fixture
async def pooled_url(tmp_path: Path, postgres_url: NewDatabase) -> AsyncIterator[str]:
    """An empty database, by way of PgBouncer."""
    direct = await postgres_url("")
    with pgbouncer(tmp_path / "pgbouncer", direct) as url:
        yield url + urlsplit(direct).path.lstrip("/")


@pytest.fixture
async def pooled(pooled_url: str) -> AsyncIterator[Database]:
    async with open_database(DatabaseSettings(pooled_url, pool_size=8, transaction_pooling=True)) as database:
        yield database


@pytest.mark.parametrize("way", ["driver", "begin", "connect"])
async def test_statements_follow_each_other_at_changing_servers(pooled: Database, way: str) -> None:
    statements = ["SELECT $1::integer, pg_backend_pid()", "SELECT $1::integer + 0, pg_backend_pid()"]

    async def ask(number: int) -> set[int]:
        pids = set()
        for turn in range(12):
            if way == "driver":
                rows = await pooled.fetch(statements[turn % 2], number)
            else:
                named = text(statements[turn % 2].replace("$1::integer", "CAST(:n AS integer)"))
                async with pooled.begin() if way == "begin" else pooled.connect() as connection:
                    rows = list(await connection.execute(named, {"n": number}))
            assert rows[0][0] == number
            pids.add(int(rows[0][1]))
        return pids

    pids = set().union(*await asyncio.gather(*(ask(number) for number in range(8))))
    assert len(pids) == 3


async def test_a_transaction_keeps_its_server_and_its_lock(pooled: Database) -> None:
    lock = "SELECT pg_try_advisory_xact_lock(7) AS mine, pg_backend_pid() AS pid"
    async with pooled.driver() as driver, driver.transaction():
        mine = (await driver.fetch(lock))[0]
        assert mine["mine"]
        others = [(await pooled.fetch(lock))[0] for _ in range(6)]
        assert not any(other["mine"] for other in others)
        assert mine["pid"] not in {other["pid"] for other in others}
        assert (await driver.fetch("SELECT pg_backend_pid()"))[0][0] == mine["pid"]
    assert (await pooled.fetch(lock))[0]["mine"]


@pytest.mark.parametrize("package", ["gateway", "user_svc", "template_svc"])
async def test_replicas_that_migrate_together_leave_no_lock(pooled_url: str, pooled: Database, package: str) -> None:
    await asyncio.gather(*(upgrade(package, pooled_url) for _ in range(2)))
    # pg_locks shows those of all databases, and other tests' gateways are at work in theirs
    ours = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    assert (await pooled.fetch(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {ours}"))[0][0] == 0
    assert (await pooled.fetch("SELECT count(*) FROM alembic_version"))[0][0] == 1


async def test_the_setting_that_a_pooler_needs_is_named_in_the_log(pooled_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_database(DatabaseSettings(pooled_url)) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.ping()
    assert "CLARION_DATABASE_TRANSACTION_POOLING=true" in caplog.text
