"""Stores that are killed, restarted, emptied, out of memory or out of disk."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis

from devstack.postgres import PostgresError
from tests.system.drills.fault import Fault
from tests.system.drills.rig import Rig

_START_TIMEOUT_S = 30.0


class PauseStore(Fault):
    """SIGSTOP of all its processes, and SIGCONT: it keeps its connections and answers nothing. Nothing ends, so nothing may double."""

    doubles = 0

    def __init__(self, store: str, seconds: float) -> None:
        super().__init__(f"pause {store} {seconds:g} s")
        self._store = store
        self.lasts_s = (seconds, seconds)
        self.recovers_s = 15.0 if store == "RabbitMQ" else 5.0

    async def inject(self, rig: Rig) -> None:
        self._signal(rig, signal.SIGSTOP)

    async def heal(self, rig: Rig) -> None:
        self._signal(rig, signal.SIGCONT)

    def _signal(self, rig: Rig, number: signal.Signals) -> None:
        pids = {"PostgreSQL": rig.postgres.pid, "RabbitMQ": rig.rabbitmq.pid, "Valkey": rig.valkey.pid}
        for pid in _family(pids[self._store]):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _family(pid: int) -> list[int]:
    """A process and all that come from it: PostgreSQL's backends have sessions of their own."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


class RestartRabbitMQ(Fault):
    """An orderly end, and a start."""

    doubles = 0
    recovers_s = 15.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.rabbitmq.stop)

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.rabbitmq.start)


class RestartValkey(Fault):
    """An orderly end, and a start."""

    doubles = 0
    recovers_s = 5.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.valkey.stop)

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.valkey.start)


class KillRabbitMQ(Fault):
    """Kill -9, and a start on the same data."""

    doubles = 0
    recovers_s = 15.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.rabbitmq.kill)

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.rabbitmq.start)


class MemoryAlarm(Fault):
    """RabbitMQ is out of memory and blocks whoever publishes."""

    lasts_s = (3.0, 6.0)
    doubles = 0
    recovers_s = 15.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.rabbitmq.control, "set_vm_memory_high_watermark", "0")

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.rabbitmq.control, "set_vm_memory_high_watermark", "0.4")


class KillPostgres(Fault):
    """Kill -9 of the postmaster, and a start on the same data."""

    doubles = 0
    recovers_s = 5.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.postgres.kill)

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(_insist, rig.postgres.start)


class RestartPostgres(Fault):
    """An orderly end (SIGINT), and a start."""

    doubles = 0
    recovers_s = 5.0

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.postgres.stop)

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.postgres.start)


class FullDisk(Fault):
    """PostgreSQL's disk has no byte left."""

    recovers_s = 5.0
    lasts_s = (3.0, 6.0)
    small_disk = True

    async def inject(self, rig: Rig) -> None:
        await asyncio.to_thread(self._fill, rig)

    async def heal(self, rig: Rig) -> None:
        assert rig.ballast is not None
        rig.ballast.unlink()
        if not rig.postgres.running:
            # Without room for its log it gives up by itself.
            await asyncio.to_thread(_insist, rig.postgres.start)

    @staticmethod
    def _fill(rig: Rig) -> None:
        assert rig.ballast is not None
        megabyte = bytes(1024 * 1024)
        with rig.ballast.open("wb", buffering=0) as ballast:
            try:
                while ballast.write(megabyte):
                    pass
            except OSError:
                return


class KillValkey(Fault):
    """Kill -9, and a start on what it had written."""

    recovers_s = 5.0
    forgets = True

    async def inject(self, rig: Rig) -> None:
        os.kill(rig.valkey.pid, signal.SIGKILL)
        await asyncio.to_thread(rig.valkey.stop)

    async def heal(self, rig: Rig) -> None:
        await asyncio.to_thread(rig.valkey.start)


class FlushValkey(Fault):
    """Everything in it is gone: claims, records, idempotency keys, rate limits."""

    recovers_s = 5.0
    forgets = True
    lasts_s = (0.0, 0.0)

    async def inject(self, rig: Rig) -> None:
        client = Redis.from_url(rig.valkey.url())
        try:
            await client.flushall()
        finally:
            await client.aclose()


def _insist(start: Callable[[], None]) -> None:
    """The children of a killed postmaster hold its shared memory for a moment."""
    give_up_at = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            return start()
        except PostgresError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
