"""Processes of ours that are killed or frozen."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from tests.system.drills.fault import AT_THE_PROVIDERS, Fault
from tests.system.drills.rig import Rig


class Kill(Fault):
    """SIGKILL; another one is started in its place."""

    def __init__(self, service: str) -> None:
        super().__init__(f"SIGKILL {service}")
        self._service = service
        # its provider calls are in flight; what else dies sends nothing
        self.doubles = AT_THE_PROVIDERS if service.endswith("worker") else 0
        # the lease of what a dead worker had in hand, and the shortest pause
        self.recovers_s = 15.0 if service.endswith("worker") else 5.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.processes.kill, self._service)

    async def heal(self, rig: Rig) -> None:
        rig.processes.spawn(self._service)

    async def recovered(self, rig: Rig) -> None:
        await rig.processes.wait_serving(self._service)


class KillAll(Fault):
    """SIGKILL of every replica; others are started in their places."""

    def __init__(self, service: str) -> None:
        super().__init__(f"SIGKILL every {service}")
        self._service = service
        self.doubles = 2 * AT_THE_PROVIDERS if service.endswith("worker") else 0
        self.recovers_s = 15.0 if service.endswith("worker") else 5.0

    async def inject(self, rig: Rig) -> None:
        for name in rig.processes.replicas_of(self._service):
            await asyncio.to_thread(rig.processes.kill, name)

    async def heal(self, rig: Rig) -> None:
        for name in rig.processes.replicas_of(self._service):
            rig.processes.spawn(name)

    async def recovered(self, rig: Rig) -> None:
        for name in rig.processes.replicas_of(self._service):
            await rig.processes.wait_serving(name)


class Misconfigured(Fault):
    """One worker is started with a wrong setting, as by a rollout that stopped half-way, and then with the right one again."""

    lasts_s = (10.0, 15.0)
    doubles = 0
    recovers_s = 15.0

    def __init__(self, name: str, service: str, variable: str) -> None:
        super().__init__(name)
        self._service = service
        self._variable = variable

    async def inject(self, rig: Rig) -> None:
        await self._restart(rig, rig.wrong[self._variable])

    async def heal(self, rig: Rig) -> None:
        await self._restart(rig, rig.right[self._variable])

    async def recovered(self, rig: Rig) -> None:
        await rig.processes.wait_serving(self._service)

    async def _restart(self, rig: Rig, value: str) -> None:
        await asyncio.to_thread(rig.processes.stop, self._service)
        rig.processes.give(self._service, {self._variable: value})
        rig.processes.spawn(self._service)


class OtherClock(Fault):
    """One replica is started with a clock that is off (libfaketime), and then with the right one again."""

    lasts_s = (6.0, 8.0)
    recovers_s = 5.0

    def __init__(self, service: str, offset_s: int) -> None:
        # in words: a sign would be lost in the keys of its notifications
        super().__init__(f"clock of {service} {abs(offset_s)} s {'ahead' if offset_s > 0 else 'behind'}")
        self._service = service
        self._offset_s = offset_s
        self.doubles = AT_THE_PROVIDERS if service.endswith("worker") else 0

    def is_possible(self) -> bool:
        return find_faketime() is not None

    async def inject(self, rig: Rig) -> None:
        await self._restart(rig, clock_environ(self._offset_s))

    async def heal(self, rig: Rig) -> None:
        await self._restart(rig, dict.fromkeys(clock_environ(0), ""))

    async def recovered(self, rig: Rig) -> None:
        await rig.processes.wait_serving(self._service)

    async def _restart(self, rig: Rig, clock: Mapping[str, str]) -> None:
        await asyncio.to_thread(rig.processes.stop, self._service)
        rig.processes.give(self._service, clock)
        rig.processes.spawn(self._service)
        await rig.processes.wait_serving(self._service)


def find_faketime() -> str | None:
    """The library that Debian's package `libfaketime` brings."""
    return next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


def clock_environ(offset_s: int) -> dict[str, str]:
    """What gives a process a clock that is off. Monotonic time stays as it is."""
    return {"LD_PRELOAD": find_faketime() or "", "FAKETIME": f"{offset_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Freeze(Fault):
    """SIGSTOP, and SIGCONT after a while: a long pause that the process does not notice itself."""

    def __init__(self, service: str, seconds: float) -> None:
        super().__init__(f"SIGSTOP {service} {seconds:g} s")
        self._service = service
        self.lasts_s = (seconds, seconds)
        # a worker that sleeps for longer than its leases is as good as dead, and sends what it has in hand when it wakes
        self.doubles = AT_THE_PROVIDERS if service.endswith("worker") and seconds > 10 else 0
        self.recovers_s = 15.0 if service.endswith("worker") else 5.0

    async def inject(self, rig: Rig) -> None:
        os.kill(rig.processes.processes[self._service].pid, signal.SIGSTOP)

    async def heal(self, rig: Rig) -> None:
        os.kill(rig.processes.processes[self._service].pid, signal.SIGCONT)
