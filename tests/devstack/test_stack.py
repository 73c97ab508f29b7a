"""Everything in one process: what it keeps over a stop and over a crash."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.client import Client
from devstack.processes import API_KEY, ROOT
from devstack.samples import create_samples
from devstack.stack import ANY_PORTS, open_stack
from tests.fixtures_postgres import StackFolder

pytestmark = pytest.mark.system

_CRASH = """
import asyncio, os, sys
from pathlib import Path
from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import create_samples
from devstack.stack import ANY_PORTS, open_stack

async def main() -> None:
    async with open_stack(Path(sys.argv[1]), ports=ANY_PORTS, say=lambda text: None, environ={}) as stack:
        async with Client(stack.url, API_KEY) as client:
            user = await create_samples(client)
            await stack.smtp.stop()
            sent = await client.send(user, "email", "welcome", {"name": "Crash"})
            while (await client.call("GET", f"/v1/notifications/{sent}"))["status"] != "retrying":
                await asyncio.sleep(0.05)
            print(sent, flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_notification_that_was_on_the_bus_when_everything_crashed_is_delivered_after_the_restart(
    stack_folder: StackFolder,
) -> None:
    """The in-process broker forgets; the database does not."""
    folder = stack_folder("crash")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen")))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CRASH, str(folder), env=environ, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    async with asyncio.timeout(90):
        sent = (await process.stdout.readline()).decode().strip()
        assert sent
        process.send_signal(signal.SIGKILL)
        await process.wait()
    notification = await _after_restart(folder, sent)
    assert notification["status"] == "sent"


async def _after_restart(folder: Path, sent: str) -> Any:
    # the kernel stops PostgreSQL with its parent, which takes it a moment
    async with asyncio.timeout(60):
        while (folder / "postgres" / "data" / "postmaster.pid").exists():  # noqa: ASYNC110  another process removes it
            await asyncio.sleep(0.05)
    async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ={}) as stack, Client(stack.url, API_KEY) as client:
        assert await create_samples(client)
        return await client.settled(sent, timeout_s=60)
