"""The life of one process: settings, help, start, SIGTERM."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from devstack.processes import ROOT, SERVICES, package_of
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen")))}


async def _run(service: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        package_of(service),
        *arguments,
        env={**_ENVIRON, **environ},
        cwd=Path("/"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, error = await process.communicate()
    return process.returncode or 0, output.decode(), error.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_bad_settings_are_all_told_at_once(service: str) -> None:
    """Exit code 2, a line per variable, no value of a secret."""
    code, _, error = await _run(service, CLARION_SERVICE_SECRET="too-short", CLARION_METRICS_PORT="x")
    assert code == 2
    assert "CLARION_SERVICE_SECRET: must have at least 32 characters" in error
    assert "CLARION_METRICS_PORT: must be a whole number" in error
    assert "too-short" not in error
    assert "Traceback" not in error


@pytest.mark.parametrize("service", SERVICES)
async def test_help_lists_every_variable(service: str) -> None:
    """With its default."""
    code, output, _ = await _run(service, "--help")
    assert code == 0
    assert "CLARION_SERVICE_SECRET" in output
    assert "CLARION_LOG_LEVEL" in output


@pytest.mark.parametrize("service", ["email_worker", "user_svc", "gateway"])
async def test_sigterm_ends_a_process_cleanly_and_it_comes_back(system: System, service: str) -> None:
    """Exit code 0, and the same command serves again."""
    code = await asyncio.to_thread(system.processes.stop, service)
    system.processes.spawn(service)
    await system.processes.wait_serving(service)
    assert code == 0
