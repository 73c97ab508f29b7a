"""What an operator can mend is one line on stderr that says how; a traceback is for defects."""

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from devstack.processes import ROOT
from mesh.testing import SECRET, free_port
from tests.fixtures_postgres import NewDatabase
from tests.waiting import GUARD_S

pytestmark = pytest.mark.processes

_ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen")))}
_PORTS = [f"--{name}-port=0" for name in ("rest", "gateway", "user-svc", "template-svc", "email-worker", "push-worker", "smtp")]


@asynccontextmanager
async def _started(*arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments,
        env={**_ENVIRON, **environ}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _failed(*arguments: str, **environ: str) -> str:
    """What a process that can't start says on stderr: one line, and an exit code that is not 0."""
    async with asyncio.timeout(GUARD_S), _started(*arguments, **environ) as process:
        _, error = await process.communicate()
    told = error.decode()
    assert process.returncode in {1, 2}, told
    assert len(told.splitlines()) == 1, told
    return told


async def test_a_second_run_on_the_same_data_leaves_the_first_one_alone(tmp_path: Path) -> None:
    """Also with --fresh, which would have deleted its database."""
    async with asyncio.timeout(GUARD_S), _started("devstack", "--data", str(tmp_path), *_PORTS) as first:
        assert first.stdout is not None
        while b"Ctrl-C stops it" not in await first.stdout.readline():
            pass
        told = await _failed("devstack", "--data", str(tmp_path), "--fresh", *_PORTS)
        assert f"running already, as process {first.pid}" in told
        assert "--data" in told
        assert (tmp_path / "run" / "postgres" / "data" / "postmaster.pid").exists()


async def test_a_taken_port_is_told_with_the_option_that_moves_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = await _failed("devstack", "--data", str(tmp_path), *_PORTS[1:], f"--rest-port={port}")
        assert f"port {port} is taken" in told
        assert "--rest-port" in told


@pytest.mark.parametrize(("kind", "variable"), [("grpc", "CLARION_GRPC_PORT"), ("metrics", "CLARION_METRICS_PORT")])
async def test_a_process_names_the_variable_of_a_taken_port(kind: str, variable: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environ = {
            "CLARION_HOST": "127.0.0.1",
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{free_port()}/none",
            "CLARION_GRPC_PORT": "0",
            "CLARION_METRICS_PORT": "0",
            "CLARION_LOG_LEVEL": "ERROR",
            variable: str(taken.getsockname()[1]),
        }
        assert variable in await _failed("user_svc", **environ)


async def test_migrate_says_that_a_database_is_down_or_does_not_exist(postgres_url: NewDatabase) -> None:
    """As a command of a service and from a checkout; the URL may hold a password and is not repeated."""
    url = await postgres_url("")
    for wrong, words in (
        (f"postgresql://clarion:hunter2@127.0.0.1:{free_port()}/clarion", "no PostgreSQL answers"),
        (f"{url}_typo", "there is no database 'test_"),
    ):
        told = await _failed("scripts.migrate", USER_SVC_DATABASE_URL=wrong)
        assert words in told
        told = await _failed("user_svc", "migrate", CLARION_DATABASE_URL=wrong, CLARION_SERVICE_SECRET=SECRET)
        assert words in told
        assert "hunter2" not in told


async def test_migrate_says_what_it_may_not_change(postgres_url: NewDatabase) -> None:
    """A database of another service or of a newer release, a user who owns nothing (PostgreSQL 15 lets none into `public`), a standby."""
    gateways, empty = await postgres_url("gateway"), await postgres_url("")
    poor = f"poor_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(empty)
    try:
        await connection.execute(f"CREATE ROLE {poor} LOGIN")
        told = await _failed("scripts.migrate", USER_SVC_DATABASE_URL=gateways)
        assert "holds a schema that this release of user_svc does not know" in told
        told = await _failed("scripts.migrate", USER_SVC_DATABASE_URL=empty.replace("postgres@", f"{poor}@"))
        assert "the user in the URL may not change database 'test_" in told
        await connection.execute(f'ALTER DATABASE "{empty.rpartition("/")[2]}" SET default_transaction_read_only = on')
        told = await _failed("scripts.migrate", USER_SVC_DATABASE_URL=empty)
        assert "takes no changes, as a standby does" in told
    finally:
        await connection.execute(f"DROP ROLE {poor}")
        await connection.close()


@pytest.mark.parametrize(
    "url", ["clarion", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:99999/d", "postgresql://u:hunter2@h/d?sslmode=require"]
)
async def test_migrate_says_what_a_url_can_not_mean(url: str) -> None:
    told = await _failed("scripts.migrate", USER_SVC_DATABASE_URL=url)
    assert told.startswith("USER_SVC_DATABASE_URL: ")
    assert "hunter2" not in told
