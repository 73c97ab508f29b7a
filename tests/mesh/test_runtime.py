"""The life of a process, with an application that misbehaves: real processes, since what is tested ends them."""

import asyncio
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devstack.processes import ROOT, SECRET
from mesh.testing import free_port

pytestmark = pytest.mark.processes

_PROGRAM = """
import asyncio, os, sys, time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from mesh.process import runtime
from mesh.process.health import HealthMonitor
from mesh.process.settings import CommonSettings

@dataclass(frozen=True)
class Settings:
    common: CommonSettings

@asynccontextmanager
async def open_app(settings):
    yield runtime.App("test", HealthMonitor([]), {}, CONNECTIONS)
    ON_STOP

runtime._MARGIN_S = 0.2
sys.exit(runtime.run("test", lambda env: Settings(CommonSettings.from_env(env, metrics_port=int(os.environ["METRICS_PORT"]))), open_app))
"""


@asynccontextmanager
async def started(on_stop: str = "pass", *, connections: int = 10, metrics_port: int = 0) -> AsyncIterator[tuple[Process, list[str]]]:
    """The process once it has started, or ended, and the lines of its log until then."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
        "CLARION_SERVICE_SECRET": SECRET,
        "CLARION_GRACE_S": "0.3",
        "METRICS_PORT": str(metrics_port),
    }
    program = _PROGRAM.replace("ON_STOP", on_stop).replace("CONNECTIONS", str(connections))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environ, stderr=PIPE)
    assert process.stderr is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(60):
            while not any('"started"' in line for line in lines) and (line := await process.stderr.readline()):
                lines.append(line.decode())
            yield process, lines
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_stop_that_blocks_the_event_loop_ends_within_its_budget() -> None:
    """With exit code 1 and a line in the log: the watchdog is a thread."""
    async with started("time.sleep(3600)") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
    assert process.returncode == 1
    assert "stopping took longer than it may" in log.decode()


async def test_a_stop_that_waits_for_ever_ends_within_its_budget() -> None:
    async with started("await asyncio.Event().wait()") as (process, _):
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 1


async def test_a_stop_in_time_is_left_alone() -> None:
    async with started() as (process, _):
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
    assert process.returncode == 0
    assert "stopped" in log.decode()


async def test_too_few_files_for_the_connections_are_logged() -> None:
    """The soft limit is raised to the hard one, so the warning says what only an operator can change."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    async with started(connections=most) as (_, lines):
        pass
    assert any("too few files" in line and f'"open_files":{most}' in line for line in lines)
    async with started(connections=most - 300) as (_, lines):
        pass
    assert not any("too few files" in line for line in lines)


async def test_a_taken_metrics_port_is_one_line() -> None:
    port = free_port()
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    async with taken, started(metrics_port=port) as (process, lines):
        await process.communicate()
    assert process.returncode == 1
    assert any(f"cannot listen on port {port}" in line for line in lines)
    assert "Traceback" not in "".join(lines)
