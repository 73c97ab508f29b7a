"""The messages of a stream over HTTP, out of its bytes as they come: server-sent events, or one JSON object a line. Free of I/O.

A line ends with a line feed and with nothing else: JSON texts may hold U+0085, U+2028 and U+2029, at which `str.splitlines` would cut them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from clarion_client.errors import BadResponse, ConnectionFailed, from_status

SSE_TYPE = "text/event-stream"
NDJSON_TYPE = "application/x-ndjson"
# The server shows every 15 s that a stream of events lives. After four times that silence it is taken for dead, and is opened again.
SILENCE_S = 60.0


class Messages:
    """Reads one stream. `content_type` is that of the answer."""

    def __init__(self, content_type: str) -> None:
        self._sse = content_type.partition(";")[0].strip().lower() == SSE_TYPE
        self._rest = b""
        self._event = ""
        self._data: list[bytes] = []
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """The JSON of each message that is whole by now. Raises ClarionError: that which ends the stream, or BadResponse for what is no message."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))

    def end(self) -> Iterator[Any]:
        """What stands behind the last line feed. Raises ConnectionFailed where the stream has not said that it is over."""
        if not self._sse:
            yield from self._line(self._rest)
        elif not self._ended:
            raise ConnectionFailed("the stream was cut off")

    def _line(self, line: bytes) -> list[Any]:
        if self._sse:
            return self._event_line(line)
        if not line.strip():
            return []
        message = _json(line)
        if "error" in message:
            raise from_status(message["error"])
        if "result" not in message:
            raise _not_ours()
        return [message["result"]]

    def _event_line(self, line: bytes) -> list[Any]:
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if name == b"event":
            self._event = value.decode("ascii", "replace")
        elif name == b"data":
            self._data.append(value)
        if line or not self._data:
            return []
        event, data = self._event, b"\n".join(self._data)
        self._event, self._data = "", []
        if event == "error":
            raise from_status(_json(data))
        self._ended = event == "end"
        return [] if self._ended else [_json(data)]


def _json(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise _not_ours() from None
    if not isinstance(value, dict):
        raise _not_ours()
    return value


def _not_ours() -> BadResponse:
    return BadResponse("the stream holds what is no message of Clarion: is this the address of a Clarion gateway?")
