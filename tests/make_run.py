"""`make run` as its user starts it, a process of its own, on free ports."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.processes import ROOT
from mesh.testing import free_port
from tests.waiting import GUARD_S

# The options that move its ports, each with the one that README names.
PORTS = {
    "--rest-port": 8000, "--gateway-port": 9000, "--user-svc-port": 8001, "--template-svc-port": 8002, "--email-worker-port": 8003,
    "--push-worker-port": 8004, "--webhooks-port": 8005,
}  # fmt: skip


@asynccontextmanager
async def make_run(folder: Path, *options: str) -> AsyncIterator[tuple[str, Mapping[str, int]]]:
    """What it prints once it serves, and its ports by option; it is ended with the block."""
    ports = {option: free_port() for option in PORTS}
    words = [word for option, port in ports.items() for word in (option, str(port))]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen")))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "devstack", *options, "--data", str(folder), "--smtp-port", "0", *words,
        cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(GUARD_S):
            banner = await process.stdout.readuntil(b"receive is printed here.\n")
        yield banner.decode(), ports
    finally:
        process.terminate()
        await process.communicate()
