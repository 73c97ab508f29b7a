"""Processes of ours that are killed or frozen."""

import asyncio
import os
import signal

from tests.system.drills.fault import Fault
from tests.system.drills.rig import Rig


class Kill(Fault):
    """SIGKILL; another one is started in its place."""

    def __init__(self, service: str) -> None:
        super().__init__(f"SIGKILL {service}")
        self._service = service

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.processes.kill, self._service)

    async def heal(self, rig: Rig) -> None:
        rig.processes.spawn(self._service)

    async def recovered(self, rig: Rig) -> None:
        await rig.processes.wait_serving(self._service)


class Freeze(Fault):
    """SIGSTOP, and SIGCONT after a while: a long pause that the process does not notice itself."""

    def __init__(self, service: str, seconds: float) -> None:
        super().__init__(f"SIGSTOP {service} {seconds:g} s")
        self._service = service
        self.lasts_s = (seconds, seconds)

    async def inject(self, rig: Rig) -> None:
        os.kill(rig.processes.processes[self._service].pid, signal.SIGSTOP)

    async def heal(self, rig: Rig) -> None:
        os.kill(rig.processes.processes[self._service].pid, signal.SIGCONT)
