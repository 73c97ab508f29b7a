"""The little of ASGI that the edge needs: its types, one whole response, and a watch over the client's connection."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# The extension of a scope by which an application says that it reads the body as a stream: called with 0 before it begins, and then with
# the size of each part of the body that it holds no longer.
BODY_TAKEN = "transcoding.body_taken"

# What the server decides, not the call that set it.
_RESERVED = frozenset({"connection", "content-length", "date", "server", "trailer", "transfer-encoding", "upgrade"})


class ClientGone(Exception):
    """The client has closed the connection; there is no one to answer."""


def encode_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers for ASGI. Those that frame the message, gRPC's own and ones with control characters are left out."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name.lower() not in _RESERVED and not name.startswith("grpc-") and value.isascii() and value.isprintable()
    ]


async def send_response(send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes, *, head: bool = False) -> None:
    """One response; `head` keeps the body back but sends its length."""
    raw = encode_headers(headers)
    if status != HTTPStatus.NOT_MODIFIED:  # whose length would be that of the body that it leaves out
        raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if head else body})


class DisconnectWatch:
    """Cancels the task inside the block when the client goes away, and turns that into ClientGone.

    The watch begins after `after_s` seconds: a task per call would cost more than most calls that end before.
    """

    def __init__(self, receive: Receive, *, after_s: float) -> None:
        self._receive = receive
        self._after_s = after_s
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._after_s, self._begin)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watcher is None:
            return
        self._watcher.cancel()
        if not self._gone:
            return
        assert self._task is not None
        if kind is not asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # the cancellation came too late to interrupt anything: take it here
        self._task.uncancel()
        raise ClientGone from None

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch(), name="client-watch")

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        assert self._task is not None
        self._task.cancel()
