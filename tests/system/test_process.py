"""The life of one process: settings, help, start, SIGTERM."""

import asyncio
import os
from pathlib import Path

import pytest

from devstack.processes import SERVICES, package_of
from tests.prepared import run_service
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_ENVIRON = {"PATH": os.environ["PATH"]}


async def _run(service: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(run_service, package_of(service), *arguments, environ={**_ENVIRON, **environ}, folder=Path("/"))


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
