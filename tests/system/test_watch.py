"""grpcurl follows a real service whose real database stops and returns."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devstack.postgres import PostgresServer
from mesh.process.settings import Env
from mesh.testing import SECRET
from tests.fixtures_postgres import StackFolder
from user_svc.app import open_app
from user_svc.settings import Settings

pytestmark = pytest.mark.system


@asynccontextmanager
async def _watching(port: int) -> AsyncIterator[asyncio.StreamReader]:
    """The output of grpcurl's Watch."""
    program = shutil.which("grpcurl", path=str(Path(sys.executable).parent)) or shutil.which("grpcurl")
    assert program is not None, "grpcurl is not installed: run `make setup`"
    process = await asyncio.create_subprocess_exec(
        program, "-plaintext", f"127.0.0.1:{port}", "grpc.health.v1.Health/Watch", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def _next_status(output: asyncio.StreamReader) -> str:
    async with asyncio.timeout(60):
        return str(json.loads(await output.readuntil(b"}"))["status"])


async def test_watch_follows_a_database_that_stops_and_returns(stack_folder: StackFolder) -> None:
    """SERVING, NOT_SERVING while PostgreSQL is away, SERVING again without a restart of the service."""
    folder = stack_folder("watched") / "postgres"
    server = PostgresServer(folder, durable=False)
    await asyncio.to_thread(server.start)
    try:
        url = server.url("clarion_user_svc")
        names = {
            "HOST": "127.0.0.1",
            "GRPC_PORT": "0",
            "METRICS_PORT": "0",
            "SERVICE_SECRET": SECRET,
            "DATABASE_URL": url,
            "REFLECTION": "true",
        }
        settings = Settings.from_env(Env({f"CLARION_{name}": value for name, value in names.items()}))
        async with open_app(settings) as app, _watching(app.ports["grpc"]) as output:
            assert await _next_status(output) == "SERVING"
            await asyncio.to_thread(server.stop)
            assert await _next_status(output) == "NOT_SERVING"
            again = PostgresServer(folder, port=server.port, durable=False)
            await asyncio.to_thread(again.start)
            server = again
            assert await _next_status(output) == "SERVING"
    finally:
        await asyncio.to_thread(server.stop)
