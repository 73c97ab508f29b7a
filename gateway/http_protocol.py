"""uvicorn's HTTP/1.1 protocol with limits: on a head before it is parsed, on time, on bytes in hand, on waiting requests.

uvicorn has none of them: its parser joins a header's pieces without end, an unfinished head or body stays open for ever, and chunk
extensions or trailers are read without a bound (RFC 9112, section 7.1.1 and 7.1.2, asks a recipient to limit both).
"""

import re
from asyncio import Transport
from asyncio.events import TimerHandle
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.http_limits import Connections, address_group
from mesh.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, ServiceError, Unavailable
from transcoding.asgi import BODY_TAKEN
from transcoding.errors import Rendered

Refuse = Callable[[ServiceError], Rendered]

_LINGER_S = 2.0  # for the rest of a body that was answered before its end: closing at once would cost the client the answer
# reg-name, IPv4, or an address in brackets, and a port (RFC 3986, section 3.2.2)
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


# HTTP statuses of the reasons below, where their code's own is another one.
REFUSAL_STATUS = {"HEAD_TOO_LARGE": 431, "TOO_MANY_HEADERS": 431, "TRAILERS_TOO_LARGE": 431, "REQUEST_TIMEOUT": 408}


class HeadTooLarge(ResourceExhausted):
    """The request line and headers are over the limit."""

    reason = "HEAD_TOO_LARGE"


class RequestTimeout(DeadlineExceeded):
    """The client took too long to send its request."""

    reason = "REQUEST_TIMEOUT"


class _Reading(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()


class _Refused(Exception):
    """Raised in a callback of the parser, which stops there."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `connections` is shared by all of them, `refuse` renders an error."""

    def __init__(self, *args: Any, connections: Connections, refuse: Refuse, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all = connections
        self._limits = connections.limits
        self._refuse = refuse
        self._reading = _Reading.IDLE
        self._head_bytes = 0
        self._parsed_bytes = 0
        self._unread_bytes = 0  # of the body's framing since the last byte of the body itself
        self._held_bytes = 0
        self._streamed = False  # whether the body is read as a stream, which may take its time
        self._deadline: TimerHandle | None = None
        self._stalled: TimerHandle | None = None
        self._refusal: ServiceError | None = None

    # the connection

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # uvicorn's own waiver: asyncio types it loosely
        super().connection_made(transport)
        if self._all.add(self, address_group(self.client[0] if self.client else "")):
            self._await_request()
        else:
            self._answer(Unavailable("too many connections are open; try again", reason="TOO_MANY_CONNECTIONS", retry_after_s=1))

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self)
        self._set_deadline(None)
        self._unset_stalled()
        self._unset_keepalive_if_required()
        self._give_back()
        super().connection_lost(exc)

    def evict(self) -> None:
        """Closes the connection at once."""
        self.transport.abort()

    # what arrives

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._all.busy(self)
        while data and not self.transport.is_closing():
            data = self._feed(data)
        if self.transport.is_closing():
            return
        if self._is(_Reading.BODY):
            if self._deadline is None and not self._streamed:
                self._set_deadline(self._limits.body_s)
        elif self._is(_Reading.HEAD) or self._head_bytes:
            self._await_request()
        else:
            self._set_deadline(None)

    def _feed(self, data: bytes) -> bytes:
        """Parses as much as the limit of a head lets through and returns the rest."""
        if self._is(_Reading.BODY):
            self._unread_bytes += len(data)
            super().data_received(data)
            if self._unread_bytes > self._limits.head_bytes and not self.transport.is_closing():
                self._answer(HeadTooLarge("the body's chunk extensions or trailers are too long", reason="TRAILERS_TOO_LARGE"))
            return b""
        allowed = max(1, self._limits.head_bytes - self._head_bytes)
        self._head_bytes += min(allowed, len(data))
        super().data_received(data[:allowed])
        if not self._is(_Reading.BODY) and self._head_bytes >= self._limits.head_bytes and not self.transport.is_closing():
            self._answer(self._head_too_large())
        return data[allowed:]

    def _is(self, reading: _Reading) -> bool:
        return self._reading is reading

    @property
    def _answering(self) -> bool:
        """Whether a request is in hand whose response is not complete."""
        cycle: Any = self.cycle  # None before the first request, which uvicorn's type leaves out
        return cycle is not None and not cycle.response_complete

    def _await_request(self) -> None:
        """Before or inside a head: the connection may be evicted, and the head has a deadline, once the answer before it is sent."""
        if not self._answering:
            self._all.waits(self)
            if self._deadline is None:
                self._set_deadline(self._limits.head_s)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {BODY_TAKEN: self._body_taken}  # type: ignore[dict-item]  # of our own
        self._streamed = False
        self._reading = _Reading.HEAD
        self._parsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_parsed(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        # trailers arrive here too; they are not headers, and must not become some after the request was checked
        if not self._is(_Reading.HEAD):
            return
        super().on_header(name, value)
        self._count_parsed(len(name) + len(value))
        if len(self.headers) > self._limits.header_count:
            self._stop(HeadTooLarge(f"a request must have at most {self._limits.header_count} headers", reason="TOO_MANY_HEADERS"))

    def _count_parsed(self, size: int) -> None:
        """Counts a head that began in the same piece as the end of the request before it."""
        self._parsed_bytes += size
        if self._parsed_bytes > self._limits.head_bytes:
            self._stop(self._head_too_large())

    def on_headers_complete(self) -> None:
        self._check_host()
        if len(self.pipeline) >= self._limits.pipelined:
            self._stop(ResourceExhausted("too many requests wait on this connection", reason="TOO_MANY_REQUESTS_ON_CONNECTION"))
        super().on_headers_complete()
        self._reading = _Reading.BODY
        self._head_bytes = self._unread_bytes = 0
        self._set_deadline(None)

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        if not self.cycle.response_complete:
            try:
                self._all.budget.take(len(body))
            except Unavailable as busy:
                self._stop(busy)
            self._held_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading = _Reading.IDLE
        self._head_bytes = 0
        self._set_deadline(None)

    def _check_host(self) -> None:
        """RFC 9112, section 3.2: a request without Host (but for HTTP/1.0), with two, or with a wrong one is a 400."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1:
            self._stop(InvalidArgument.of("Host", "must be given once", reason="INVALID_HEADER"))
        if not hosts and self.parser.get_http_version() != "1.0":
            self._stop(InvalidArgument.of("Host", "is required", reason="INVALID_HEADER"))
        if hosts and not _HOST.fullmatch(hosts[0].strip()):
            self._stop(
                InvalidArgument.of(
                    "Host", "must be a host name or address, and a port where it is not the usual one", reason="INVALID_HEADER"
                )
            )

    # what is answered

    def on_response_complete(self) -> None:
        self._give_back()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._is(_Reading.BODY) and not self.pipeline:
            self._unset_keepalive_if_required()
            self._set_deadline(_LINGER_S)
        elif self._is(_Reading.HEAD):
            self._unset_keepalive_if_required()
            self._await_request()
        elif self.timeout_keep_alive_task is not None:
            self._all.waits(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  its words are not sent
        """Called by uvicorn when the parser gives up, on a malformed request or because a limit was met."""
        self._answer(self._refusal or InvalidArgument("the request is not valid HTTP/1.1", reason="MALFORMED_REQUEST"))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self._limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unset_stalled()

    def _unset_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _stop(self, error: ServiceError) -> NoReturn:
        self._refusal = error
        raise _Refused

    def _answer(self, error: ServiceError) -> None:
        """Sends the error and closes. A response that has begun is cut off instead: two can't be mixed."""
        self.pipeline.clear()
        cycle = self.cycle
        if self._answering:
            begun, cycle.disconnected = cycle.response_started, True
            cycle.message_event.set()
            if begun:
                self.transport.abort()
                return
        rendered = self._refuse(error)
        head = [STATUS_LINE[rendered.status]]
        headers = [*rendered.headers, ("content-length", str(len(rendered.body))), ("connection", "close")]
        head += [b"%b: %b\r\n" % item for item in self.server_state.default_headers]
        head += [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers]
        self.transport.write(b"".join([*head, b"\r\n", rendered.body]))
        self.transport.close()
        self._all.busy(self)
        # a client that reads nothing would keep a closing connection for ever
        self._set_deadline(_LINGER_S)

    def _body_taken(self, size: int) -> None:
        """The application reads the body as a stream, which has a limit of its own in time; `size` bytes are held no longer."""
        if self._is(_Reading.BODY) and not self._streamed:
            self._streamed = True
            self._set_deadline(None)
        size = min(size, self._held_bytes)
        self._all.budget.give_back(size)
        self._held_bytes -= size

    def _give_back(self) -> None:
        self._all.budget.give_back(self._held_bytes)
        self._held_bytes = 0

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"the request line and headers must have at most {self._limits.head_bytes} bytes together")

    # time

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or (self._is(_Reading.BODY) and not self._answering):
            self.transport.abort()
        elif self._is(_Reading.IDLE) and not self._head_bytes:
            self.transport.close()  # nothing was asked, so nothing is answered
        else:
            limit, part = (self._limits.body_s, "body") if self._is(_Reading.BODY) else (self._limits.head_s, "head")
            self._answer(RequestTimeout(f"the request's {part} must arrive within {limit:g} s"))
