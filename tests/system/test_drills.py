"""The form of `make drill` that the suite has time for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from devstack.rabbitmq import find_script
from tests.fixtures_postgres import StackFolder
from tests.prepared import start_service
from tests.system.drills.__main__ import SHORT_PLAN, drilled
from tests.system.drills.catalogue import IN_SUITE
from tests.system.drills.feed import watched
from tests.system.drills.poison import poisoned
from tests.system.drills.report import summary, table
from tests.system.drills.rig import Rig, open_rig
from tests.system.drills.roll import rolled
from tests.system.drills.soak import soaked

# A container will not do: the drills kill the server itself and talk to its rabbitmqctl.
_REASON = "the drills need an installed rabbitmq-server"
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module"), pytest.mark.skipif(find_script() is None, reason=_REASON)]


def _new_folder(stack_folder: StackFolder) -> Path:
    """One with migrated databases that PostgreSQL, which runs as a user of its own, can enter."""
    made = stack_folder("drill")
    for each in (made, made.parent):
        each.chmod(0o755)
    return made


@pytest.fixture
def folder(stack_folder: StackFolder) -> Path:
    """For a rig of the test's own."""
    return _new_folder(stack_folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(stack_folder: StackFolder) -> AsyncIterator[Rig]:
    """One for the drills that leave all processes as they were: to start twelve of them and their stores takes as long as a drill."""
    async with open_rig(_new_folder(stack_folder), start=start_service) as opened:
        yield opened


async def test_a_pause_of_the_broker_and_a_frozen_replica_lose_and_double_nothing() -> None:
    """With two replicas of every process and default settings: all that was accepted ends once, and nobody gets it twice."""
    plan = replace(SHORT_PLAN, rounds=1)
    lines = await drilled(IN_SUITE, plan, start=start_service)
    result = summary(lines)
    assert (result["lost"], result["violations"], result["doubles_with_nobody_dead"]) == (0, 0, 0), "\n" + table(lines)
    assert result["accepted"] == len(IN_SUITE) * plan.count


async def test_four_readers_see_every_change_while_gateways_are_killed(rig: Rig) -> None:
    """The first drill of the rig: it looks at all changes that there are."""
    result = await watched(rig, count=120, kills=2)
    assert result.passed, result.problems
    assert result.notifications == 120
    assert min(result.cuts.values()) >= 1


async def test_a_steady_load_leaves_no_tasks_and_no_files_behind(rig: Rig) -> None:
    """The short form: memory still finds its size in so little time, and how late event loops are is the machine's affair."""
    result = await soaked(rig, seconds=24, rate=25)
    assert result.problems(most_growth=0.25, most_lag_s=None) == []
    assert 0 < result.account.accepted <= 600  # as many as the machine carried


async def test_replicas_are_restarted_and_lost_without_a_failed_request(folder: Path) -> None:
    """The short form, at a rate that a busy machine carries: a request may fail in the second in which no one can know of a loss."""
    result = await rolled(folder, rounds=1, rate=20, services=("template_svc", "gateway"), min_ready_s=0, start=start_service)
    assert result.problems() == []
    assert result.account.accepted == sum(number % 4 == 0 for number in range(sum(result.requests.values())))


async def test_hostile_input_costs_its_own_caller_only(rig: Rig) -> None:
    """All that was accepted ends within two minutes and is accounted for; how long others waited is reported by `make drill`."""
    result = await poisoned(rig, 60)
    assert result.passed, result.lines()
