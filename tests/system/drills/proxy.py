"""A TCP proxy between two parts that slows them down, cuts, resets, silences or forgets them, and heals."""

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

_HOST = "127.0.0.1"
_CHUNK = 64 * 1024
# On, 0 s: closing sends RST and throws away what was not sent yet.
_RST = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    """What the proxy does to its connections."""

    OPEN = "open"
    LATENCY = "latency"
    """Everything arrives `delay_s` later, in both directions."""
    CUT = "cut"
    """Connections are closed and new ones refused."""
    RESET = "reset"
    """Connections are reset, new ones at once."""
    BLACK_HOLE = "black hole"
    """New connections are accepted, and nothing is said on any. What was said meanwhile arrives after `heal`, as TCP does it."""
    HALF_OPEN = "half-open"
    """Packets are dropped without a reset, as by a firewall that forgot its connections: those that there are stay open and silent for
    ever, also after `heal`, and the SYN of new ones gets no answer until then."""


class Proxy:
    """Listens on a port of its own, which it keeps, and forwards to `target_port` on loopback. An unreachable target looks like RESET."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._mode = Mode.OPEN
        self._delay_s = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._deaf: list[socket.socket] = []
        self._era = 0  # connections of an earlier one are forgotten
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def mode(self) -> Mode:
        """What it does now."""
        return self._mode

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop_listening()
        self._end_deaf()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._close_all(reset=True)

    async def misbehave(self, mode: Mode, *, delay_s: float = 0.0) -> None:
        """From now on, until `heal`. `delay_s` is for LATENCY."""
        await self.heal()
        self._mode, self._delay_s = mode, delay_s
        if mode is Mode.BLACK_HOLE:
            self._flowing.clear()
        elif mode is Mode.CUT:
            self._stop_listening()
            self._close_all(reset=False)
        elif mode is Mode.RESET:
            self._close_all(reset=True)
        elif mode is Mode.HALF_OPEN:
            self._era += 1
            self._stop_listening()
            self._listen_deaf()

    async def heal(self) -> None:
        """Forwards again, as if nothing had been, but for what was half-open."""
        self._mode, self._delay_s = Mode.OPEN, 0.0
        self._flowing.set()
        self._end_deaf()
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, _HOST, self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        # Not waited for: that waits for the connections too.
        if self._server is not None:
            self._server.close()
            self._server = None

    def _listen_deaf(self) -> None:
        """A listener whose queue is full: Linux drops further SYNs (listen(2), tcp_abort_on_overflow=0)."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, self.port))
        listener.listen(0)
        self._deaf.append(listener)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect((_HOST, self.port))
            self._deaf.append(filler)

    def _end_deaf(self) -> None:
        for one in self._deaf:
            one.close()
        self._deaf.clear()

    def _close_all(self, *, reset: bool) -> None:
        for writer in list(self._writers):
            _close(writer, reset=reset)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._mode is Mode.RESET:
                _close(writer, reset=True)
                return
            await self._flowing.wait()
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            return  # the proxy ends; asyncio's streams of Python 3.11 log a cancelled handler as an error
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(_HOST, self._target_port, limit=_CHUNK)
        except OSError:
            _close(writer, reset=True)
            return
        self._writers.add(target_writer)
        try:
            await asyncio.gather(self._pump(reader, target_writer), self._pump(target_reader, writer))
        finally:
            self._writers.discard(target_writer)
            target_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until either side has ended it."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(under_way, writer, self._era))
        data = b"-"
        try:
            while data and not delivering.done():
                try:
                    data = await reader.read(_CHUNK)
                except OSError:
                    data = b""
                under_way.put_nowait((asyncio.get_running_loop().time() + self._delay_s, data))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, era: int) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await self._flowing.wait()
            if era != self._era:
                if not data:
                    return  # and the other side never learns of it
                continue
            if not data or writer.is_closing():
                # half-open connections are of no use to any of our parts
                writer.close()
                return
            writer.write(data)
            with suppress(OSError):
                await writer.drain()


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    endpoint = writer.get_extra_info("socket")
    if reset and endpoint is not None:
        with suppress(OSError):
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    transport = writer.transport
    if reset:
        transport.abort()
    else:
        writer.close()
