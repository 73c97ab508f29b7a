"""One render process as template_svc holds it: started fresh, asked one thing at a time, killed without ceremony."""

import asyncio
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from mesh.process import telemetry
from mesh.resilience.lru_cache import LruCache
from template_svc.models import ContentKey
from template_svc.processes.frames import ANSWER, END, MAX_ANSWER, NONE_BEGUN, PROGRESS, RETIRING, SHARED_SIZE, SHARED_START, Answer

log = logging.getLogger(__name__)

_ENDED = telemetry.meter().create_counter("clarion.render.processes.ended", "1", "Render processes that ended while they worked.")

START_TIMEOUT_S = 30.0
# Characters of source whose compiled form a process keeps; 20 bytes of memory each.
MAX_COMPILED = 1_000_000
_READ = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rendering may take: seconds of processor time, and memory in MiB; `nice` is how far it stands back behind others."""

    cpu_s: float
    memory_mb: int
    nice: int = 0

    @property
    def silence_s(self) -> float:
        """A process that is silent for longer is stuck without using processor time, or the machine is. Checks take 30 times `cpu_s`."""
        return 100 * self.cpu_s


class Cause(StrEnum):
    """Why a process ended before it had answered."""

    CPU = "processor time"
    SILENCE = "silence"
    OUTPUT = "too much output"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Death:
    """The process ended while it worked on the item of this index; unless it had `begun`, nothing that it was asked can be the reason."""

    index: int
    cause: Cause
    begun: bool = True


class StartFailed(Exception):
    """A render process did not come up."""


class RenderProcess:
    """Started by `start`. `known` are the contents that the process holds; their weight is in characters."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, shared: mmap.mmap, silence_s: float) -> None:
        self._silence_s = silence_s
        self._process = process
        self._channel = channel
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self.known: LruCache[ContentKey, bool] = LruCache(MAX_COMPILED)
        self.usable = True

    @classmethod
    async def start(cls, limits: Limits) -> Self:
        """A process that waits for work. Raises StartFailed."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        shared_fd = os.memfd_create("render-process")
        os.ftruncate(shared_fd, SHARED_SIZE)
        command = [sys.executable, "-P", "-m", "template_svc.processes.child", str(shared_fd), str(limits.cpu_s), str(limits.memory_mb)]
        # Nothing of our environment goes along: it holds secrets. A group of its own keeps a terminal's Ctrl-C away; a session of its own
        # would be weighed against all of us together, however nice it is (sched(7), autogroup).
        environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"}
        try:
            # in this thread, because the process is to end with the thread that started it; it is no fork after gRPC but a vfork and exec
            process = subprocess.Popen(  # noqa: S603, ASYNC220  our own program
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environ, pass_fds=[shared_fd], process_group=0
            )
            started = cls(process, ours, mmap.mmap(shared_fd, SHARED_SIZE), limits.silence_s)
        finally:
            theirs.close()
            os.close(shared_fd)
        try:
            _, death = await started.ask(b"", 0, silence_s=START_TIMEOUT_S)
        except BaseException:
            started.close()
            raise
        if death is not None:
            started.close()
            raise StartFailed(death.cause)
        if limits.nice:  # only now: someone may wait for it
            os.setpriority(os.PRIO_PROCESS, process.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + limits.nice))
        return started

    async def ask(self, request: bytes, count: int, *, silence_s: float | None = None) -> tuple[list[Answer], Death | None]:
        """The answers to the first items of `count`, and unless those were all, how the process ended. Not for two tasks at once."""
        answers: list[Answer] = []
        cause: Cause | None = None
        try:
            PROGRESS.pack_into(self._shared, 0, NONE_BEGUN)
            cause = await self._exchange(request, count, answers, silence_s or self._silence_s)
        except TimeoutError:
            cause = Cause.SILENCE
        except OSError:
            cause = Cause.CRASH
        except BaseException:
            self.kill()
            raise
        if cause is None:
            return answers, None
        self.kill()
        ended = await asyncio.to_thread(self._process.wait)
        if cause is Cause.CRASH and ended in {-signal.SIGPROF, -signal.SIGXCPU}:
            cause = Cause.CPU
        # the index may have been written by a template that broke out, so it counts only as far as it can be true
        reached = PROGRESS.unpack_from(self._shared)[0]
        begun = reached != NONE_BEGUN or bool(answers)
        index = max(len(answers), min(reached, count - 1)) if begun else 0
        _ENDED.add(1, {"cause": cause.value})
        log.warning("a render process ended", extra={"cause": cause.value, "exit_code": ended})
        return answers, Death(index, cause, begun)

    async def _exchange(self, request: bytes, count: int, answers: list[Answer], silence_s: float) -> Cause | None:
        async with asyncio.timeout(silence_s):
            await self._loop.sock_sendall(self._channel, request)
        buffer = bytearray()
        position = SHARED_START
        while True:
            async with asyncio.timeout(silence_s):
                data = await self._loop.sock_recv(self._channel, _READ)
            if not data:
                return Cause.CRASH
            buffer += data
            start = 0
            while len(buffer) - start >= ANSWER.size:
                kind, cpu_us, size = ANSWER.unpack_from(buffer, start)
                if size > MAX_ANSWER:
                    return Cause.OUTPUT
                inline = position + size > SHARED_SIZE
                end = start + ANSWER.size + (size if inline else 0)
                if len(buffer) < end:
                    break
                if kind in {END, RETIRING}:
                    self.usable = kind == END and len(buffer) == end
                    return None if len(answers) == count else Cause.CRASH
                if len(answers) == count:
                    return Cause.OUTPUT
                if inline:
                    payload = bytes(buffer[start + ANSWER.size : end])
                else:
                    payload = self._shared[position : position + size]
                    position += size
                answers.append(Answer(kind, cpu_us / 1e6, payload))
                start = end
            del buffer[:start]

    def kill(self) -> None:
        """Ends the process, whatever it does. `close` reaps it."""
        self.usable = False
        self._process.kill()

    def close(self) -> None:
        """Kills the process and waits until it is gone, which takes a moment: not in the event loop."""
        self.kill()
        self._channel.close()
        self._shared.close()
        self._process.wait()

    def running(self) -> bool:
        """Whether the process lives."""
        return self.usable and self._process.poll() is None
