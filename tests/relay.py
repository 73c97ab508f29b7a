"""A TCP relay between a client and a server, which a test can cut, silence and restore: outages without stopping any server."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class Relay:
    """Listens on a free loopback port and passes everything on. The port stays the same over `cut` and `restore`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], bytes] = {}
        self._silenced: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.cut()

    async def restore(self) -> None:
        """Listens (again)."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Closes every connection and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Closes every connection; new ones work."""
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def silence(self, introduction: bytes) -> None:
        """What the server says over connections on which the client began with these bytes somewhere is swallowed; new ones work."""
        self._silenced |= {task for task, said in self._connections.items() if introduction in said}

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = b""
        upstream: asyncio.StreamWriter | None = None
        try:
            upstream_reader, upstream = await asyncio.open_connection(*self._target)
            back = asyncio.create_task(self._answer(upstream_reader, writer, task))
            forth = asyncio.create_task(self._ask(reader, upstream, task))
            try:
                await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                back.cancel()
                forth.cancel()
                await asyncio.gather(back, forth, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.pop(task, None)
            self._silenced.discard(task)
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()
                    with contextlib.suppress(OSError):
                        await end.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: asyncio.Task[None]) -> None:
        while data := await reader.read(65536):
            if len(self._connections.get(connection, b"")) < 4096:
                self._connections[connection] += data
            writer.write(data)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: asyncio.Task[None]) -> None:
        while data := await reader.read(65536):
            if connection not in self._silenced:
                writer.write(data)
                await writer.drain()
