"""A render process: `python -m template_svc.processes.child FD LIMIT_S MEMORY_MB`, its socket being standard input.

It holds no secret, opens no connection, and limits itself before it reads the first template: processor time per item, memory, no files, no
processes. Nothing in here may import gRPC, asyncio or a driver.
"""

import ctypes
import gc
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from mesh.errors import FieldViolation, ServiceError
from template_svc.errors import InvalidContents, RenderFailed, RenderTooSlow
from template_svc.messages import content_to_bytes, variables_from_bytes
from template_svc.models import Channel, Content, ContentKey
from template_svc.processes.cpu_limit import CpuLimit, LimitExceeded
from template_svc.processes.frames import (
    CHECKED,
    END,
    PROGRESS,
    REFUSED,
    RENDERED,
    RETIRING,
    SHARED_SIZE,
    SHARED_START,
    draft_of,
    pack_answer,
    pack_error,
    read_request,
)
from template_svc.reader import Reader, read_tables, reader_of
from template_svc.renderer import CompiledContent, PartFault, Renderer

FLUSH_S = 0.02
# Compiling a content, and checking a whole version, in multiples of the limit on one rendering.
COMPILE_FACTOR = 5
CHECK_FACTOR = 20
# The process ends at this multiple of a limit: a call into C sees no exception.
KILL_FACTOR = 1.5
# A process that grew by this much gives it back by ending.
MAX_GROWTH_KB = 64 * 1024
_PDEATHSIG = 1


class RenderWorker:
    """Answers requests until its socket is closed. `shared` shows which item is under way, in case this process ends there."""

    def __init__(self, channel: socket.socket, shared: mmap.mmap, limit: CpuLimit, limit_s: float) -> None:
        self._limit = limit
        self._channel = channel
        self._shared = shared
        self._position = SHARED_START
        self._renderer = Renderer()
        self._limit_s = limit_s
        self._sources: dict[ContentKey, tuple[str, dict[str, Any]]] = {}
        self._compiled: dict[ContentKey, CompiledContent] = {}
        self._pending: list[bytes] = []
        self._flushed = time.monotonic()
        self._exhausted = False
        self._content = b""

    def run(self) -> None:
        """Serves."""
        small_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._add(END, 0.0, b"")
        self._flush()
        while (request := read_request(self._channel)) is not None:
            self._position = SHARED_START
            if request[0] == "render":
                self._render(*request[1:])
            else:
                self._check(*request[1:])
            grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - small_kb
            self._add(RETIRING if self._exhausted or grown_kb > MAX_GROWTH_KB else END, 0.0, b"")
            self._flush()

    def _render(self, sources: list[Any], forget: list[Any], items: list[Any]) -> None:
        for key, channel, parts in sources:
            self._sources[key] = (channel, parts)
        now = datetime.now(UTC)
        for index, (key, variables, formats, timezone) in enumerate(items):
            PROGRESS.pack_into(self._shared, 0, index)
            place = f"contents.{key[-1]}"
            error = None if key in self._compiled else self._guarded(COMPILE_FACTOR, place, self._compile, key)
            started = time.thread_time()  # compiling is paid once, and says nothing about the next rendering
            if error is None:
                error = self._guarded(1, place, self._render_one, key, variables, place, reader_of(formats, timezone, now))
            if error is None:
                self._add(RENDERED, time.thread_time() - started, self._content)
            else:
                self._add(REFUSED, time.thread_time() - started, pack_error(error))
        for key in forget:  # one of them may have been needed here once more
            self._sources.pop(key, None)
            self._compiled.pop(key, None)

    def _compile(self, key: ContentKey) -> None:
        channel, parts = self._sources[key]
        try:
            self._compiled[key] = self._renderer.compile(Content(**parts), Channel(channel), key[-1], stored=True)
        except PartFault as fault:  # checked when it was created, so a newer version of this program refuses it
            raise RenderFailed.at(f"contents.{key[-1]}.{fault.part}", fault.line, fault.description) from None

    def _render_one(self, key: ContentKey, variables: bytes, place: str, reader: Reader) -> None:
        self._content = content_to_bytes(self._renderer.render(self._compiled[key], variables_from_bytes(variables), place, reader))

    def _check(self, plain: tuple[Any, ...]) -> None:
        PROGRESS.pack_into(self._shared, 0, 0)
        started = time.thread_time()
        error = self._guarded(CHECK_FACTOR, "contents", self._check_one, plain)
        if isinstance(error, RenderTooSlow):
            error = InvalidContents.because([FieldViolation("contents", "are too large to compile; simplify them, or split the template")])
        if error is not None:
            self._add(REFUSED, time.thread_time() - started, pack_error(error))

    def _check_one(self, plain: tuple[Any, ...]) -> None:
        from template_svc.contents import check_draft  # brings the tables of languages, which rendering does without

        self._add(CHECKED, 0.0, orjson.dumps(check_draft(draft_of(plain), self._renderer)._asdict()))

    def _guarded(self, factor: int, place: str, work: Callable[..., None], *args: Any) -> ServiceError | None:
        """None when `work` has ended well, else the error that is the answer."""
        try:
            self._limit.run(self._limit_s * factor, work, *args)
        except LimitExceeded:
            return RenderTooSlow.at(place, None, "takes too much processor time with these values")
        except ServiceError as error:
            return error
        except MemoryError:
            self._exhausted = True
            return RenderTooSlow.at(place, None, "takes too much memory with these values")
        return None

    def _add(self, kind: int, cpu_s: float, payload: bytes) -> None:
        self._pending.append(pack_answer(kind, cpu_s, len(payload)))
        end = self._position + len(payload)
        if end <= SHARED_SIZE:
            self._shared[self._position : end] = payload
            self._position = end
        else:
            self._pending.append(payload)
        if time.monotonic() - self._flushed > FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        self._channel.sendall(b"".join(self._pending))
        self._pending.clear()
        self._flushed = time.monotonic()


def limit_self(memory_mb: int) -> None:
    """Ends this process with its parent, and keeps it from taking memory, files or processes."""
    parent = os.getppid()
    # raises the signal when the thread that started this process ends: template_svc's main thread
    ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + memory_mb * 1024 * 1024
    limits = ((resource.RLIMIT_AS, size), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 32))
    for which, most in limits:
        resource.setrlimit(which, (most, most))


def main(shared_fd: int, limit_s: float, memory_mb: int) -> None:
    """Serves the socket that is standard input."""
    read_tables()  # as every rendering needs them: they are no memory of a template's
    limit_self(memory_mb)
    # A rendering leaves next to no cycles, and what was loaded until here never goes: looking for garbage 100 times a second is wasted.
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    shared = mmap.mmap(shared_fd, SHARED_SIZE)
    with CpuLimit(KILL_FACTOR) as limit, socket.socket(fileno=os.dup(0)) as channel:
        RenderWorker(channel, shared, limit, limit_s).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
