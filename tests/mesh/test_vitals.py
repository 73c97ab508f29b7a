"""What a process measures of its own event loop."""

import asyncio
import time

import pytest

from mesh.process import vitals
from tests.waiting import until


class Recorded(list[float]):
    """A histogram that keeps its values."""

    def record(self, value: float) -> None:
        self.append(value)


async def test_what_holds_up_the_event_loop_is_in_the_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    lags = Recorded()
    monkeypatch.setattr(vitals, "_LAG", lags)
    with vitals.observed():
        await until(lambda: bool(lags))
        before = len(lags)
        time.sleep(0.3)  # noqa: ASYNC251  a call that computes without a pause
        await until(lambda: len(lags) > before)
        assert lags[before] >= 0.04
    after = len(lags)
    await asyncio.sleep(0)
    assert len(lags) == after
