"""One connection of the local FCM server: HTTP/2 as FCM speaks it, and HTTP/1.1 for Google's token endpoint, chosen by ALPN."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from ssl import SSLObject
from typing import Any, Protocol, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h11

# What FCM itself allows on a connection.
_MAX_STREAMS = 100


class Action(StrEnum):
    """What becomes of a request."""

    REPLY = "reply"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, or the lack of one."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    action: Action = Action.REPLY


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    http2: bool


@dataclass(slots=True)
class _Stream:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class ConnectionHost(Protocol):
    """What a connection asks of the server that it belongs to."""

    def add(self, connection: "Connection") -> None:
        """A client has come."""

    def discard(self, connection: "Connection") -> None:
        """A client has gone."""

    def answer(self, request: Request, reply: Callable[[Answer], None]) -> None:
        """Calls `reply` once, now or later."""


class Connection(asyncio.Protocol):
    """Speaks whichever protocol the client has chosen in the handshake."""

    def __init__(self, server: ConnectionHost) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._speaker: _Http2 | _Http1 | None = None
        self.http2 = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        ssl_object: SSLObject = transport.get_extra_info("ssl_object")
        self.http2 = ssl_object.selected_alpn_protocol() == "h2"
        self._speaker = _Http2(self._transport, self._server) if self.http2 else _Http1(self._transport, self._server)
        self._server.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the base class's signature
        self._server.discard(self)

    def data_received(self, data: bytes) -> None:
        assert self._speaker is not None
        self._speaker.receive(data)

    def abort(self) -> None:
        """Closes without a word."""
        if self._transport is not None:
            self._transport.abort()


class _Http2:
    def __init__(self, transport: asyncio.Transport, server: ConnectionHost) -> None:
        self._transport = transport
        self._server = server
        self._streams: dict[int, _Stream] = {}
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._connection.initiate_connection()
        self._connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: _MAX_STREAMS})
        self._flush()

    def receive(self, data: bytes) -> None:
        try:
            events = self._connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._flush()
            self._transport.close()
            return
        for event in events:
            self._act(event)
        self._flush()

    def _act(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=stream_id, headers=headers):
                self._streams[stream_id] = _Stream({str(name): str(value) for name, value in cast(Any, headers)})
            case h2.events.DataReceived(stream_id=stream_id, data=data, flow_controlled_length=length):
                self._streams[stream_id].body += data
                self._connection.acknowledge_received_data(length, stream_id)
            case h2.events.StreamEnded(stream_id=stream_id):
                self._ask(stream_id)
            case h2.events.StreamReset(stream_id=stream_id):
                self._streams.pop(stream_id, None)
            case h2.events.ConnectionTerminated():
                self._transport.close()

    def _ask(self, number: int) -> None:
        stream = self._streams[number]
        request = Request(stream.headers[":method"], stream.headers[":path"], stream.headers, bytes(stream.body), http2=True)
        self._server.answer(request, lambda answer: self._reply(number, answer))

    def _reply(self, number: int, answer: Answer) -> None:
        # the client may have given up meanwhile
        if self._streams.pop(number, None) is None or self._transport.is_closing() or answer.action is Action.HANG:
            return
        if answer.action is Action.RESET:
            self._connection.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        else:
            headers = [(":status", str(answer.status)), *_headers(answer)]
            self._connection.send_headers(number, headers)
            self._connection.send_data(number, answer.body, end_stream=True)
        self._flush()

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class _Http1:
    def __init__(self, transport: asyncio.Transport, server: ConnectionHost) -> None:
        self._transport = transport
        self._server = server
        self._connection = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = bytearray()

    def receive(self, data: bytes) -> None:
        try:
            self._connection.receive_data(data)
            self._read()
        except h11.RemoteProtocolError:
            self._transport.close()

    def _read(self) -> None:
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                self._head = event
                self._body.clear()
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._ask()
                return
            else:
                return

    def _ask(self) -> None:
        assert self._head is not None
        headers = {name.decode(): value.decode() for name, value in self._head.headers}
        method, path = self._head.method.decode(), self._head.target.decode()
        self._server.answer(Request(method, path, headers, bytes(self._body), http2=False), self._reply)

    def _reply(self, answer: Answer) -> None:
        if self._transport.is_closing() or answer.action is Action.HANG:
            return
        if answer.action is Action.RESET:
            self._transport.abort()
            return
        head = h11.Response(status_code=answer.status, headers=_headers(answer))
        for event in (head, h11.Data(data=answer.body), h11.EndOfMessage()):
            self._transport.write(self._connection.send(event) or b"")
        if self._connection.our_state is h11.MUST_CLOSE:
            self._transport.close()
        else:
            self._connection.start_next_cycle()
            self._read()


def _headers(answer: Answer) -> list[tuple[str, str]]:
    kind = [] if any(name == "content-type" for name, _ in answer.headers) else [("content-type", "application/json; charset=UTF-8")]
    return [*kind, ("content-length", str(len(answer.body))), *answer.headers]
