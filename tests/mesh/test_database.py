"""The way past SQLAlchemy, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from mesh.stores.database import Database, DatabaseContended, DatabaseNotMigrated, DatabaseUnavailable, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import free_port
from tests.fixtures_postgres import NewDatabase
from tests.system.drills.proxy import Mode, Proxy


@pytest.fixture
async def database(postgres_url: NewDatabase) -> AsyncIterator[Database]:
    async with open_database(DatabaseSettings(await postgres_url(""), pool_size=2)) as opened:
        yield opened


async def test_a_statement_is_committed_at_once(database: Database) -> None:
    await database.fetch("CREATE TABLE t (n integer)")
    inserted = await database.fetch("INSERT INTO t SELECT * FROM unnest($1::integer[]) RETURNING n", [1, 2])
    assert [tuple(row) for row in inserted] == [(1,), (2,)]
    assert [row["n"] for row in await database.fetch("SELECT n FROM t ORDER BY n")] == [1, 2]


async def test_a_transaction_is_undone_by_an_error(database: Database) -> None:
    await database.fetch("CREATE TABLE t (n integer)")

    async def fail_halfway() -> None:
        async with database.driver() as driver, driver.transaction():
            await driver.fetch("INSERT INTO t VALUES (1)")
            raise LookupError

    with pytest.raises(LookupError):
        await fail_halfway()
    assert await database.fetch("SELECT n FROM t") == []


async def _lock(database: Database, first: int, second: int, *, meeting: asyncio.Barrier) -> None:
    change = text("UPDATE t SET times = times + 1 WHERE n = :n")
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        await connection.execute(change, {"n": first})
        await meeting.wait()
        await connection.execute(change, {"n": second})


async def test_of_two_that_wait_for_each_other_one_is_worth_another_try_and_nothing_of_it_is_stored(database: Database) -> None:
    await database.fetch("CREATE TABLE t AS SELECT n, 0 AS times FROM generate_series(1, 2) AS n")
    meeting = asyncio.Barrier(2)
    ends = await asyncio.gather(_lock(database, 1, 2, meeting=meeting), _lock(database, 2, 1, meeting=meeting), return_exceptions=True)
    [broken] = [end for end in ends if end is not None]
    assert isinstance(broken, DatabaseContended)
    assert [tuple(row) for row in await database.fetch("SELECT n, times FROM t ORDER BY n")] == [(1, 1), (2, 1)]


async def test_a_transaction_that_can_not_come_after_another_is_worth_another_try(database: Database) -> None:
    await database.fetch("CREATE TABLE t AS SELECT 1 AS n")

    async def change_what_has_changed() -> None:
        async with database.begin() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            await connection.execute(text("SELECT n FROM t"))
            await database.fetch("UPDATE t SET n = 2")
            await connection.execute(text("UPDATE t SET n = 3"))

    with pytest.raises(DatabaseContended):
        await change_what_has_changed()
    assert [row["n"] for row in await database.fetch("SELECT n FROM t")] == [2]


async def test_one_statement_alone_is_repeated_by_itself(database: Database) -> None:
    """A trigger breaks it off twice, as a deadlock would; a sequence counts also what was undone."""
    await database.fetch("CREATE TABLE t (n integer)")
    await database.fetch("CREATE SEQUENCE tries")
    await database.fetch("""
        CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') < 3 THEN RAISE EXCEPTION USING ERRCODE = '40P01'; END IF;
            RETURN NEW;
        END $$
    """)
    await database.fetch("CREATE TRIGGER broken BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION break_off()")
    assert [tuple(row) for row in await database.fetch("INSERT INTO t VALUES ($1) RETURNING n", 7)] == [(7,)]
    await database.fetch("SELECT setval('tries', 1, false)")
    await database.fetch("ALTER SEQUENCE tries INCREMENT BY -1 MINVALUE -100")
    with pytest.raises(DatabaseContended):
        await database.fetch("INSERT INTO t VALUES (8)")
    assert [tuple(row) for row in await database.fetch("SELECT n, nextval('tries') FROM t")] == [(7, -2)]


async def test_connections_that_died_in_the_pool_are_replaced_unnoticed(database: Database) -> None:
    await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(2)))
    killer = await asyncpg.connect(database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    await killer.fetch(f"SELECT pg_terminate_backend(pid, 20000) {others}")
    await killer.close()
    for _ in range(3):
        assert [row[0] for row in await database.fetch("SELECT 1")] == [1]


@pytest.mark.parametrize("way", ["driver", "begin", "connect"])
async def test_a_silence_costs_one_statement_and_not_one_for_each_connection(postgres_url: NewDatabase, way: str) -> None:
    """A firewall forgets the connections: they stay open and say nothing, and new ones work."""
    server = urlsplit(await postgres_url(""))
    assert server.port is not None
    async with Proxy(server.port) as proxy:
        url = server._replace(netloc=f"postgres@127.0.0.1:{proxy.port}").geturl()
        async with open_database(DatabaseSettings(url, pool_size=4, statement_timeout_s=1.0)) as database:

            async def ask() -> int:
                if way == "driver":
                    return int((await database.fetch("SELECT 1"))[0][0])
                async with database.begin() if way == "begin" else database.connect() as connection:
                    return int((await connection.execute(text("SELECT 1"))).scalar_one())

            assert await asyncio.gather(*(ask() for _ in range(4))) == [1] * 4
            await proxy.misbehave(Mode.HALF_OPEN)
            await proxy.heal()
            with pytest.raises(DatabaseUnavailable):
                await ask()
            assert [await ask() for _ in range(4)] == [1] * 4


async def test_a_goodbye_whose_connection_lingers_is_a_server_that_is_away(postgres_url: NewDatabase) -> None:
    """A killed server's FATAL arrives before the end of the connection; asyncpg calls what is sent in between a mistake of its client."""
    server = urlsplit(await postgres_url(""))
    said_goodbye = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(server.hostname, server.port)

        async def ask() -> None:
            while data := await reader.read(1024):
                upstream.write(data)
            upstream.close()

        asking = asyncio.create_task(ask())
        while data := await upstream_reader.read(1024):
            writer.write(data)
        if not said_goodbye.is_set():
            said_goodbye.set()
            await asking
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1") as listening:
        address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        settings = DatabaseSettings(server._replace(netloc=f"postgres@{address}").geturl(), pool_size=1)
        async with asyncio.timeout(30), open_database(settings) as database:
            (pid,) = (await database.fetch("SELECT pg_backend_pid()"))[0]
            killer = await asyncpg.connect(server.geturl())
            await killer.fetch("SELECT pg_terminate_backend($1, 20000)", pid)
            await killer.close()
            await said_goodbye.wait()
            with pytest.raises(DatabaseUnavailable):
                await database.fetch("SELECT 1")
            assert [row[0] for row in await database.fetch("SELECT 1")] == [1]


async def test_a_server_that_is_away_is_unavailable_and_a_defect_is_not() -> None:
    async with open_database(DatabaseSettings(f"postgresql://127.0.0.1:{free_port()}/none")) as away:
        with pytest.raises(DatabaseUnavailable):
            await away.fetch("SELECT 1")


async def test_a_wrong_statement_or_argument_is_a_defect(database: Database) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await database.fetch("SELEKT")
    with pytest.raises(asyncpg.DataError):
        await database.fetch("SELECT $1::integer", "one")
    assert [row[0] for row in await database.fetch("SELECT 1")] == [1]


@pytest.mark.parametrize("statement", ["SELECT 1 FROM not_yet", "SELECT not_yet FROM t", "INSERT INTO t (not_yet) VALUES (1)"])
async def test_a_database_that_is_not_migrated_is_said_in_one_line(
    database: Database, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    """Its loops go on trying; the operator reads what to do, and no stacks."""
    await database.fetch("CREATE TABLE t (n integer)")
    for _ in range(3):
        with pytest.raises(DatabaseNotMigrated):
            await database.fetch(statement)
    async with database.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    with pytest.raises(DatabaseNotMigrated):
        async with database.begin() as connection:
            await connection.execute(text(statement))
    assert [(record.levelname, "migrate" in record.getMessage(), record.exc_info) for record in caplog.records] == [("ERROR", True, None)]


@pytest.mark.parametrize("way", ["driver", "transaction", "begin", "connect"])
async def test_a_table_that_a_migration_has_changed_is_worth_another_try(postgres_url: NewDatabase, way: str) -> None:
    """A statement that the connection knows may not fit any more. It is asked again by itself, or is no defect but worth another try."""
    async with open_database(DatabaseSettings(await postgres_url(""), pool_size=1)) as database:

        async def look() -> list[tuple[int, ...]]:
            if way == "driver":
                return [tuple(row) for row in await database.fetch("SELECT * FROM t")]
            if way == "transaction":
                async with database.driver() as driver, driver.transaction():
                    return [tuple(row) for row in await driver.fetch("SELECT * FROM t")]
            async with database.begin() if way == "begin" else database.connect() as connection:
                return [tuple(row) for row in await connection.execute(text("SELECT * FROM t"))]

        await database.fetch("CREATE TABLE t AS SELECT 1 AS n")
        assert await look() == [(1,)]
        await database.fetch("ALTER TABLE t ADD COLUMN more integer NOT NULL DEFAULT 2")
        if way != "driver":
            with pytest.raises(DatabaseUnavailable):
                await look()
        assert await look() == [(1, 2)]


@pytest.mark.parametrize("way", ["driver", "transaction"])
async def test_a_server_that_no_longer_takes_writes_is_left_for_another(postgres_url: NewDatabase, way: str) -> None:
    """As after a switchover behind one name: the kept connection leads to what is a standby now."""
    async with open_database(DatabaseSettings(await postgres_url(""), pool_size=1)) as database:

        async def write() -> None:
            if way == "driver":
                await database.fetch("INSERT INTO t VALUES (1)")
            else:
                async with database.begin() as connection:
                    await connection.execute(text("INSERT INTO t VALUES (1)"))

        await database.fetch("CREATE TABLE t (n integer)")
        await database.fetch("SET default_transaction_read_only = on")
        with pytest.raises(DatabaseUnavailable):
            await write()
        await write()


async def test_of_several_hosts_the_one_that_answers_is_used(postgres_url: NewDatabase) -> None:
    parts = urlsplit(await postgres_url(""))
    url = f"postgresql://postgres@127.0.0.1:{free_port()},127.0.0.1:{parts.port}{parts.path}"
    async with open_database(DatabaseSettings(url)) as database:
        assert [row["n"] for row in await database.fetch("SELECT 1 AS n")] == [1]


async def test_where_no_host_takes_writes_the_database_is_unavailable(postgres_url: NewDatabase) -> None:
    parts = urlsplit(await postgres_url(""))
    url = f"postgresql://postgres@127.0.0.1:{parts.port},127.0.0.1:{parts.port}{parts.path}?target_session_attrs=standby"
    async with open_database(DatabaseSettings(url)) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.fetch("SELECT 1")
        with pytest.raises(DatabaseUnavailable):
            await database.ping()


@pytest.mark.parametrize("change", [{"path": "/nowhere"}, {"netloc": "no-one:secret@{host}"}])
async def test_a_server_that_lets_no_one_in_is_one_that_is_away(
    postgres_url: NewDatabase, caplog: pytest.LogCaptureFixture, change: dict[str, str]
) -> None:
    """As while a password is being changed: callers are to come back, and one line says what to mend."""
    server = urlsplit(await postgres_url(""))
    host = server.netloc.rpartition("@")[2]
    url = server._replace(**{part: value.format(host=host) for part, value in change.items()}).geturl()
    async with open_database(DatabaseSettings(url)) as refused:
        for ask in (refused.ping, refused.server_time_s, refused.ping):
            with pytest.raises(DatabaseUnavailable):
                await ask()
    said = [record for record in caplog.records if "refuses connections" in record.message]
    assert [(record.levelname, record.exc_info) for record in said] == [("ERROR", None)]
    assert "secret" not in caplog.text
