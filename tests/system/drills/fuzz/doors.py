"""The two doors without the manners of a client library: whatever bytes a caller makes up are sent."""

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

_MOST_ANSWER = 512 * 1024
_TIMEOUT_S = 20.0
_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP's status or gRPC's code by name; empty when the connection was closed or the time was over."""

    status: str
    body: bytes

    def json(self) -> Any:
        """The decoded body, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class RestDoor:
    """One connection per request."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def request(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes | None = None) -> Answer:
        """A request with the headers as they are; Host, Content-Length and `Connection: close` are added."""
        lines = [f"{method} {target} HTTP/1.1", "Host: fuzz", "Connection: close", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return await self.raw("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + (body or b""))

    async def raw(self, data: bytes) -> Answer:
        """Sends the bytes and reads what is answered."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(data)
                    with suppress(ConnectionError):
                        await writer.drain()
                    return _read(await _until_end(reader))
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return Answer("", b"")


async def _until_end(reader: asyncio.StreamReader) -> bytes:
    received = bytearray()
    with suppress(ConnectionError):
        while len(received) < _MOST_ANSWER and (piece := await reader.read(65536)):
            received += piece
            if b"application/x-ndjson" in received or b"text/event-stream" in received:
                break  # a stream goes on for as long as its notification
    return bytes(received)


def _read(received: bytes) -> Answer:
    found = _STATUS_LINE.match(received)
    _, _, body = received.partition(b"\r\n\r\n")
    return Answer(found[1].decode() if found else "", body)


class GrpcDoor:
    """One channel per server. A broken connection is made again by gRPC."""

    def __init__(self, port: int) -> None:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        self.port = port
        self._channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    async def call(
        self, path: str, message: bytes, metadata: Sequence[tuple[str, str | bytes]], *, streaming: bool, timeout_s: float
    ) -> Answer:
        """One call; of a stream the first message."""
        try:
            if not streaming:
                return Answer("OK", await self._channel.unary_unary(path)(message, metadata=metadata, timeout=timeout_s))
            stream = self._channel.unary_stream(path)(message, metadata=metadata, timeout=timeout_s)
            first = await stream.read()
            if first is grpc.aio.EOF:
                return Answer((await stream.code()).name, b"")
            stream.cancel()
            return Answer("OK", first)
        except grpc.aio.AioRpcError as error:
            return Answer(error.code().name, (error.details() or "").encode())

    async def frames(self, data: bytes) -> None:
        """Bytes in place of HTTP/2 frames, after its preface."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + data)
                    with suppress(ConnectionError):
                        await writer.drain()
                        await reader.read(65536)
                finally:
                    writer.transport.abort()
