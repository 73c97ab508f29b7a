"""What is to be sent at a time by the person's own clock, as it is accepted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.notifications.models import Status
from mesh import context
from mesh.context import CallContext
from mesh.errors import InvalidArgument, Unavailable
from mesh.testing import caller
from naming.local_times import local_time_of
from tests.gateway.test_sending import World, draft


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def call() -> Iterator[CallContext]:
    served = CallContext("/m", "c-1", caller("notifications:send"))
    with context.use(served):
        yield served


async def test_a_local_time_is_a_moment_by_the_persons_zone(world: World, call: CallContext) -> None:
    await world.sender.send(draft(send_at_local=local_time_of("at", "09:00")), None)
    [row] = world.store.rows
    assert row.send_at is not None
    assert (row.status, f"{row.send_at.astimezone(ZoneInfo('Europe/Berlin')):%H:%M}") == (Status.SCHEDULED, "09:00")
    assert timedelta() < row.send_at - row.create_time <= timedelta(hours=25)


async def test_a_local_time_that_can_not_be_kept_is_refused(world: World, call: CallContext) -> None:
    now = datetime.now(UTC)
    soon = local_time_of("at", f"{now.astimezone(ZoneInfo('Europe/Berlin')) + timedelta(minutes=30):%Y-%m-%dT%H:%M}")
    for fields, said in (
        ({"send_at_local": local_time_of("at", "2999-01-01T09:00")}, "send_at_local: must be at most 90 days ahead"),
        ({"send_at_local": soon, "send_at": now}, "send_at_local: goes without send_at"),
        ({"send_at_local": soon, "expires_at": now + timedelta(minutes=10)}, "expires_at: must be after send_at_local"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            await world.sender.send(draft(**fields), None)
    assert world.store.rows == []


async def test_nothing_is_accepted_for_a_local_time_while_the_zone_is_unknown(world: World, call: CallContext) -> None:
    world.zones.zone = None
    with pytest.raises(Unavailable):
        await world.sender.send(draft(send_at_local=local_time_of("at", "09:00")), None)
    assert world.store.rows == []
