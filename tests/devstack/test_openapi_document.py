"""The OpenAPI document says what the server does: schemathesis makes requests of it that fit and that do not, with all of its checks."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from devstack.processes import ROOT
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ANY_PORTS, open_stack
from tests.fixtures_postgres import StackFolder

pytestmark = pytest.mark.system

# The short form takes about 25 s of processor time; `make fuzz` makes it long.
_EXAMPLES, _SEEDS = os.environ.get("FUZZ_EXAMPLES", "2"), os.environ.get("FUZZ_SEEDS", "1").split()
_LONGEST_LINE = 2000
_PHASES = os.environ.get("FUZZ_PHASES", "fuzzing")


@pytest_asyncio.fixture
async def url(stack_folder: StackFolder) -> AsyncIterator[str]:
    # one per seed: a run may delete the administrator with whom the next one logs in
    async with open_stack(stack_folder("fuzz"), ports=ANY_PORTS, say=lambda text: None, environ={}) as stack:
        yield stack.url


@pytest.mark.parametrize("seed", _SEEDS)
async def test_every_check_of_schemathesis_holds(tmp_path: Path, url: str, seed: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        made = await client.post("/v1/auth/login", json={"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLARION_TOKEN": made.json()["access_token"]}
    config = ["--config-file", str(ROOT / "schemathesis.toml")]
    # streams are tested in tests/transcoding: one never ends by itself, and a body of lines is nothing that schemathesis can write
    options = ["-c", "all", "--seed", seed, "-n", _EXAMPLES, "--phases", _PHASES, "--no-shrink", "--exclude-path-regex", ":watch$|:bulk$"]
    tool = str(Path(sys.executable).parent / "schemathesis")
    process = await asyncio.create_subprocess_exec(
        tool, *config, "run", f"{url}/openapi.json", *options,
        env=environ, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    sys.stdout.write(output.decode()[-1500:])  # how many cases there were: `make fuzz ARGS=-s`
    assert process.returncode == 0, _failures(output.decode())


def _failures(output: str) -> str:
    """What failed, without the rest of large bodies."""
    found = output.partition("= FAILURES =")[2].partition("= WARNINGS =")[0] or output[-6000:]
    return "\n".join(line if len(line) < _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …" for line in found.splitlines())
