"""The short form of `make drill ARGS=--fuzz`."""

import secrets

import pytest

from tests.system.conftest import System
from tests.system.drills.fuzz.run import fuzz

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_SECONDS = 30


async def test_thirty_seconds_of_odd_requests_harm_nothing(system: System) -> None:
    """Every process lives within its memory, nothing is answered with 500 or INTERNAL, and every accepted notification ends."""
    seed = secrets.randbelow(2**32)
    outcome = await fuzz(system.processes, seed=seed, seconds=_SECONDS)
    assert not outcome.violations, f"seed {seed}\n{outcome.report()}"
    assert outcome.ends.get("SENT", 0) > 0
    assert outcome.answers.get("gRPC OK", 0) > 0
