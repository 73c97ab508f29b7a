"""Server streams over HTTP: one JSON object per line (NDJSON), or server-sent events for those who ask for them by `Accept`.

NDJSON: `{"result": ...}` per message, or per element where the rule's `response_body` is a list; an error after the first ends the stream
as `{"error": <google.rpc.Status>}`.
SSE: `id: <number>` (or the field by which the stream is resumed) and `data: <message>` per message, with `retry: <milliseconds>` before the
first, `event: error` likewise, `event: end` as the last word, so that a browser need not connect again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.message import Message

from mesh.errors import Internal, ServiceError
from transcoding.accept import NDJSON_TYPE, SSE_TYPE
from transcoding.asgi import Send, encode_headers
from transcoding.json_text import write_json

log = logging.getLogger(__name__)

# How long a browser waits before it connects again; on its own it is no event (WHATWG HTML, section 9.2.6).
_RETRY = b"retry: 2000\n\n"
_BEAT = b": still here\n\n"
# After it the response begins without a message, so that a reader of a quiet stream knows that it is connected.
_FIRST_S = 1.0
_Item = tuple[bytes, Sequence[bytes]] | ServiceError | None  # a message's id and JSON texts, the error that ends the stream, or its end


class EventStream:
    """One stream on its way to one client. `first` must be awaited before `send_to`: an error there still has an HTTP status of its own.

    `id_field` is the text field of each message that its reader resumes by; empty where the messages are numbered.
    """

    def __init__(
        self,
        messages: AsyncIterator[Message],
        *,
        write: Callable[[Message], Sequence[bytes]],
        status_value: Callable[[ServiceError], Any],
        sse: bool,
        id_field: str = "",
    ) -> None:
        self._messages = messages
        self._write = write
        self._status_value = status_value
        self._sse = sse
        self._id_field = id_field
        self._number = 0
        # of one, so that a slow client slows its stream and nothing piles up
        self._items: asyncio.Queue[_Item] = asyncio.Queue(1)
        # a task of its own, since a stream must be read in one context while the beat times out around it
        self._pump = asyncio.create_task(self._run(), name="stream")
        self._first: _Item = None
        self._quiet = False

    @property
    def content_type(self) -> str:
        """What the lines are."""
        return SSE_TYPE if self._sse else NDJSON_TYPE

    async def first(self) -> None:
        """Waits for the first message or the end, though not for long. Raises ServiceError when the stream begins with one."""
        try:
            async with asyncio.timeout(_FIRST_S):
                self._first = await self._items.get()
        except TimeoutError:
            self._quiet = True
        if isinstance(self._first, ServiceError):
            raise self._first

    async def send_to(self, send: Send, headers: Iterable[tuple[str, str]], *, beat_s: float) -> None:
        """Sends the whole response; with SSE a comment every `beat_s` seconds of silence keeps proxies from closing it."""
        await send({"type": "http.response.start", "status": 200, "headers": encode_headers(headers)})
        # an empty chunk where there is nothing to say, since some servers send the head with the first
        await self._send(send, _RETRY if self._sse else b"")
        item = await self._next(send, beat_s) if self._quiet else self._first
        while item is not None and not isinstance(item, ServiceError):
            await self._send(send, self._chunk(*item))
            item = await self._next(send, beat_s)
        last = b"event: end\ndata: {}\n\n" if self._sse else b""
        if isinstance(item, ServiceError):
            status = write_json(self._status_value(item))
            last = b"event: error\ndata: %b\n\n" % status if self._sse else b'{"error":%b}\n' % status
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def close(self) -> None:
        """Cancels the call if it still runs."""
        self._pump.cancel()
        with suppress(asyncio.CancelledError):
            await self._pump

    async def _next(self, send: Send, beat_s: float) -> _Item:
        while True:
            try:
                async with asyncio.timeout(beat_s if self._sse else None):
                    return await self._items.get()
            except TimeoutError:
                await self._send(send, _BEAT)

    def _chunk(self, name: bytes, texts: Sequence[bytes]) -> bytes:
        if self._sse:
            return b"".join([b"id: %b\ndata: %b\n\n" % (name, text) for text in texts])
        return b"".join([b'{"result":%b}\n' % text for text in texts])

    @staticmethod
    async def _send(send: Send, chunk: bytes) -> None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _run(self) -> None:
        try:
            async for message in self._messages:
                self._number += 1
                name = getattr(message, self._id_field) if self._id_field else str(self._number)
                await self._items.put((name.encode(), self._write(message)))
            await self._items.put(None)
        except ServiceError as error:
            await self._items.put(error)
        except Exception:
            log.exception("a stream failed unexpectedly")
            await self._items.put(Internal("internal error"))
        finally:
            close = getattr(self._messages, "aclose", None)
            if close is not None:
                await close()
