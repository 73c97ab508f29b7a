"""`make drill ARGS=--rates`: what a channel delivers while one of its two workers is sick, beside what the healthy one delivers alone.

The provider is the bottleneck: SMTP takes a second for a mail, so that a worker sends as many as its pool holds in that time, and more than
both can send waits in the queue all along. Both are measured in turn on the same machine, since that is busy with other things too.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from devstack.smtp import is_slow
from tests.system.drills.load import Load
from tests.system.drills.proxy import Mode
from tests.system.drills.rig import Link, Rig, open_rig

_SICK = Link("email_worker", "SMTP")
_MAIL_TAKES_S = 1.0
# Beside a backlog of some seconds, more than the 6/s that a worker sends: two of its 8 connections are for urgent mails.
_BACKLOG, _OFFERED_PER_S = 80, 12.0
_WARM_UP_S, _MEASURE_S = 3.0, 20.0
LEAST_PART = 0.9
_MODES = (Mode.CUT, Mode.BLACK_HOLE)


async def compare_rates(folder: Path) -> dict[str, Any]:
    """Mails per second by what happens to the first worker (`alone`: it is stopped), and the lowest part of the healthy one's rate."""
    async with open_rig(folder, links=[_SICK]) as rig:
        rig.smtp.everyone = is_slow(_MAIL_TAKES_S)
        seconds = (1 + len(_MODES)) * (_WARM_UP_S + _MEASURE_S) + 15.0
        load = Load(
            rig.urls, rig.people, tag="rates", count=round(_BACKLOG + _OFFERED_PER_S * seconds), rate=_OFFERED_PER_S, only_email=True
        )
        sending = asyncio.create_task(load.run())
        await load.reached(_BACKLOG)
        rates = {"alone": await _rate_alone(rig)}
        for mode in _MODES:
            rates[str(mode)] = await _rate_sick(rig, mode)
        rig.smtp.everyone = None
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    worst = min(rates[str(mode)] for mode in _MODES) / rates["alone"]
    return {**{name: round(rate, 1) for name, rate in rates.items()}, "part": round(worst, 2)}


async def _rate_alone(rig: Rig) -> float:
    await asyncio.to_thread(rig.processes.stop, _SICK.caller)
    rate = await _measure(rig)
    rig.processes.spawn(_SICK.caller)
    await rig.processes.wait_serving(_SICK.caller)
    return rate


async def _rate_sick(rig: Rig, mode: Mode) -> float:
    """From the very beginning of the sickness on."""
    await rig.proxies[_SICK].misbehave(mode)
    rate = await _measure(rig, warm_up_s=0.0)
    await rig.proxies[_SICK].heal()
    return rate


async def _measure(rig: Rig, *, warm_up_s: float = _WARM_UP_S) -> float:
    await asyncio.sleep(warm_up_s)
    before, began = rig.smtp.received, time.monotonic()
    await asyncio.sleep(_MEASURE_S)
    rate = (rig.smtp.received - before) / (time.monotonic() - began)
    sys.stderr.write(f"{rate:.1f} mails/s\n")
    return rate
