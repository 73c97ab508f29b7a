"""The short form of `make drill`: every part is taken away twice, and everything is accounted for."""

import pytest

from devstack.rabbitmq import find_script
from tests.system.drills.__main__ import SHORT_PLAN, drilled
from tests.system.drills.catalogue import SHORT
from tests.system.drills.report import summary, table

# A container will not do: the drills kill the server itself and talk to its rabbitmqctl.
_REASON = "the drills need an installed rabbitmq-server"
pytestmark = [pytest.mark.system, pytest.mark.skipif(find_script() is None, reason=_REASON)]


async def test_two_rounds_of_the_main_faults_lose_nothing_and_double_at_most_what_was_in_flight() -> None:
    """All that was accepted ends once, as sent or for review, and what is told as sent has arrived."""
    lines = await drilled(SHORT, SHORT_PLAN)
    result = summary(lines)
    assert (result["lost"], result["violations"]) == (0, 0), "\n" + table(lines)
    assert result["rounds"] == SHORT_PLAN.rounds * len(SHORT)
    assert result["accepted"] == result["rounds"] * SHORT_PLAN.count
