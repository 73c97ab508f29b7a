"""The clock that processes share, whatever their machines' clocks say."""

import logging

import pytest

from mesh.errors import Unavailable
from mesh.stores.cache import open_cache, server_time_s
from mesh.stores.clock import SharedClock
from mesh.stores.database import open_database
from mesh.stores.settings import CacheSettings, DatabaseSettings
from mesh.testing import FakeClock
from tests.fixtures_postgres import NewDatabase
from tests.waiting import until


class Machine:
    """A machine whose clock is `ahead_s` wrong, and a server `away_s` seconds away."""

    def __init__(self, *, ahead_s: float = 0.0) -> None:
        self.true = FakeClock()
        self.ahead_s = ahead_s
        self.away_s = 0.0
        self.down = False
        self.clock = SharedClock(self._ask, wall=lambda: self.true.now + self.ahead_s, monotonic=lambda: self.true.now - 999_000)

    async def _ask(self) -> float:
        if self.down:
            raise Unavailable("no server")
        self.true.advance(self.away_s / 2)
        said = self.true.now
        self.true.advance(self.away_s / 2)
        return said


@pytest.mark.parametrize("ahead_s", [-3600.0, -60.0, 0.0, 3.0, 60.0])
async def test_it_agrees_with_the_server_and_knows_its_own_machines_error(ahead_s: float) -> None:
    machine = Machine(ahead_s=ahead_s)
    assert (machine.clock.now_s(), machine.clock.skew_s()) == (machine.true.now + ahead_s, None)
    machine.away_s = 0.2
    await machine.clock.measure()
    assert machine.clock.now_s() == pytest.approx(machine.true.now)
    assert machine.clock.skew_s() == pytest.approx(ahead_s)
    machine.true.advance(7.0)
    assert machine.clock.now_s() == pytest.approx(machine.true.now)
    assert machine.clock.now().timestamp() == pytest.approx(machine.true.now)


async def test_a_clock_that_the_answer_cannot_tell_from_the_servers_is_used_as_it_is() -> None:
    """Else two processes of one machine would be apart by what their first answers took."""
    machine = Machine(ahead_s=0.004)
    machine.away_s = 0.01
    await machine.clock.measure()
    assert machine.clock.skew_s() == pytest.approx(0.0)
    machine.away_s = 0.001
    await machine.clock.measure()
    assert machine.clock.skew_s() == pytest.approx(0.004)


async def test_a_step_of_the_machines_clock_and_a_server_that_is_away_change_nothing() -> None:
    machine = Machine()
    await machine.clock.measure()
    machine.ahead_s, machine.down = 50.0, True
    machine.true.advance(1000.0)
    with pytest.raises(Unavailable):
        await machine.clock.measure()
    assert machine.clock.now_s() == pytest.approx(machine.true.now)
    assert machine.clock.skew_s() == pytest.approx(50.0)


async def test_a_slow_answer_replaces_no_good_one() -> None:
    machine = Machine()
    await machine.clock.measure()

    async def lopsided() -> float:
        said = machine.true.now
        machine.true.advance(1.5)
        return said

    machine.clock._ask = lopsided
    await machine.clock.measure()
    assert machine.clock.now_s() == pytest.approx(machine.true.now)


async def test_a_clock_that_is_far_off_is_logged_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(ahead_s=29.0)
    with caplog.at_level(logging.INFO, logger="mesh.stores.clock"):
        for ahead_s in (29.0, 31.0, 45.0, -60.0, 1.0):
            machine.ahead_s = ahead_s
            await machine.clock.measure()
    logged = [record for record in caplog.records if record.name == "mesh.stores.clock"]
    assert [(record.levelname, record.__dict__["skew_s"]) for record in logged] == [("WARNING", 31.0), ("INFO", 1.0)]


async def test_both_servers_say_their_time(redis_url: str, postgres_url: NewDatabase) -> None:
    settings = DatabaseSettings(await postgres_url(""), pool_size=1)
    async with open_database(settings) as database, open_cache(CacheSettings(url=redis_url)) as redis:
        for ask in (lambda: server_time_s(redis), database.server_time_s):
            clock = SharedClock(ask)
            clock.start()
            await until(lambda clock=clock: clock.skew_s() is not None)  # type: ignore[misc]  # bound now
            assert abs(clock.skew_s() or 0.0) < 5
            await clock.close()
