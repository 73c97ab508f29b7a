"""A drill: load, a fault at a random moment, its end, and the books afterwards."""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from devstack.processes import ProcessError
from tests.system.drills.fault import Fault
from tests.system.drills.ledger import Account, Arrivals, Books
from tests.system.drills.load import Load
from tests.system.drills.rig import Rig

_LOG_LINES = 25


@dataclass(frozen=True, slots=True)
class Plan:
    """How to drill. `overlap` begins the next round while the one before is still being settled; `one_rig` spares a second start.

    The load begins `calm_s` before the fault, or a bit more, and ends as long after it, so that some go through untouched. `pace` shortens
    the faults themselves.
    """

    rounds: int
    count: int
    seed: int
    overlap: bool = False
    one_rig: bool = False
    calm_s: float = 1.5
    pace: float = 1.0
    settle_timeout_s: float = 330.0  # RFC 5321 lets a server be silent for 300 s after a mail


@dataclass
class Round:
    """One round. `recovery_s` runs from the end of the fault, or the moment when a restarted part says that it serves, until every
    notification was settled.
    """

    fault: Fault
    number: int
    load: Load
    lasted_s: float = 0.0
    recovery_s: float = 0.0
    account: Account = field(default_factory=lambda: Account(0, {}, frozenset()))
    violations: list[str] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """What its notifications carry."""
        return f"{self.fault.name} {self.number}"


class Drill:
    """Runs rounds against a rig. `finish` after the last gives the final word on every one of them."""

    def __init__(self, rig: Rig, plan: Plan) -> None:
        self._rig = rig
        self._plan = plan
        self._books = Books(rig.database_url())
        self._arrivals = Arrivals(rig)
        self._random = random.Random(plan.seed)
        self._begun = time.monotonic()
        self._settling: list[asyncio.Task[None]] = []
        self.rounds: list[Round] = []

    async def run(self, faults: Sequence[Fault]) -> None:
        """All rounds of all faults."""
        for fault in faults:
            for number in range(1, self._plan.rounds + 1):
                await self._round(fault, number)

    async def finish(self) -> None:
        """Waits for the rounds that are still being settled, and counts what arrived at the providers."""
        await asyncio.gather(*self._settling)
        self._arrivals.take()
        for one in self.rounds:
            await self._judge(one)
        await self._books.close()

    def doubles(self, one: Round) -> int:
        """Messages of the round that arrived more than once."""
        return self._arrivals.doubles(one.load.accepted.values())

    def held(self, one: Round) -> list[str]:
        """Those of the round that are held as unknown although their provider has them."""
        return self._arrivals.arrived(one.account.held)

    def lost(self, one: Round) -> list[str]:
        """Those of the round that are told as sent and have not arrived."""
        return self._arrivals.lost(one.account.sent)

    async def _round(self, fault: Fault, number: int) -> None:
        lasts_s = self._random.uniform(*fault.lasts_s) * self._plan.pace
        count = self._plan.count
        rate = count / (lasts_s + 2 * self._plan.calm_s)
        load = Load(self._rig.urls, self._rig.people, tag=f"{fault.name} {number}", count=count, rate=rate)
        one = Round(fault, number, load)
        self.rounds.append(one)
        sending = asyncio.create_task(load.run())
        await load.reached(round(count * self._random.uniform(0.1, 0.4)))
        begun = time.monotonic()
        try:
            await fault.inject(self._rig)
            await asyncio.sleep(lasts_s)
        finally:
            await fault.heal(self._rig)
        healed = time.monotonic()
        one.lasted_s = healed - begun
        await sending
        recovering = asyncio.create_task(self._recovered(one.fault))
        settling = asyncio.create_task(self._settle(one, healed, recovering))
        self._settling.append(settling)
        if not self._plan.overlap:
            await settling
            await recovering

    async def _recovered(self, fault: Fault) -> float:
        """When the part itself works again; 0 where the next round has taken it away before."""
        try:
            await fault.recovered(self._rig)
        except (KeyError, ProcessError):
            return 0.0
        return time.monotonic()

    async def _settle(self, one: Round, healed: float, recovering: "asyncio.Task[float]") -> None:
        if not await self._books.settled(one.load.accepted.values(), timeout_s=self._plan.settle_timeout_s):
            one.violations.append(f"not settled within {self._plan.settle_timeout_s:g} s")
        settled = time.monotonic()
        one.recovery_s = max(0.0, settled - max(healed, recovering.result() if recovering.done() else settled))
        self._arrivals.take()
        passed_s = time.monotonic() - self._begun
        told = f"{len(one.load.accepted)} accepted ({one.load.repeated} requests repeated), {self.doubles(one)} doubles"
        _say(f"{passed_s:5.0f} s  {one.tag}: {told}, fault {one.lasted_s:.1f} s, recovery {one.recovery_s:.1f} s")

    async def _judge(self, one: Round) -> None:
        one.account = await self._books.audit(one.tag, one.load.accepted)
        one.violations += one.account.violations
        if one.load.refused:
            one.violations.append(f"{len(one.load.refused)} were refused, one with: {next(iter(one.load.refused.values()))}")
        if not one.fault.forgets and (twice := self._arrivals.doubles(one.account.holding)):
            one.violations.append(f"{twice} sent twice though their template holds what is unknown")
        lost = self.lost(one)
        if len(self.held(one)) > one.fault.doubles:
            one.violations.append(f"{len(self.held(one))} held as unknown that their provider has")
        if not (one.violations or lost):
            return
        _say(f"VIOLATION in {one.tag}: {len(lost)} lost; {'; '.join(one.violations)}")
        for identifier in (*lost[:5], *self.held(one)[:5], *one.account.suspects):
            _say(await self._books.story(identifier))
            _say(self._mentions(identifier))

    def _mentions(self, identifier: str) -> str:
        found = []
        for log in sorted(self._rig.processes.folder.glob("*.log")):
            lines = [line for line in log.read_text(errors="replace").splitlines() if identifier in line]
            found += [f"  {log.stem}: {line}" for line in lines[-_LOG_LINES:]]
        return "\n".join(found)

    def tails(self) -> str:
        """The end of each process's log, without the calls that went well."""
        parts = []
        for log in sorted(self._rig.processes.folder.glob("*.log")):
            lines = [line for line in log.read_text(errors="replace").splitlines() if '"level":"INFO"' not in line][-_LOG_LINES:]
            parts.append(f"--- {log.name}\n" + "\n".join(lines))
        return "\n".join(parts)


def _say(text: str) -> None:
    if text:
        sys.stderr.write(text + "\n")
