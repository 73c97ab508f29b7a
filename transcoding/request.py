"""What the edge reads from an HTTP request besides its path: headers to metadata, the deadline, the body within its limit."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mesh.correlation import CORRELATION_ID, with_correlation_id
from mesh.rpc.metadata import KEY_RULE, parse_idempotency_key
from transcoding.accept import JSON_TYPE
from transcoding.asgi import ClientGone, Receive
from transcoding.errors import BodyTooLarge, InvalidHeader, UnsupportedMediaType

# Read by the edge; one that is given twice is an error rather than a choice.
_SINGLE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"grpc-timeout",
        b"idempotency-key",
        b"last-event-id",
        b"traceparent",
        b"x-correlation-id",
    }
)
_LISTS = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"if-match", b"if-none-match", b"tracestate"}
)  # Several lines are one list (RFC 9110).
_OTHERS = frozenset({b"transfer-encoding"})
_PASSED_ON = ("authorization", "traceparent", "tracestate", "accept-language")

_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_UTF8 = frozenset({"charset=utf-8", 'charset="utf-8', "charset=utf8", "charset=us-ascii"})


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The headers that the edge looks at, by lower-case name."""

    headers: Mapping[str, str]
    repeated: str | None

    @classmethod
    def read(cls, raw: Iterable[tuple[bytes, bytes]]) -> "RequestHead":
        """Takes in the headers of an ASGI scope."""
        headers: dict[str, str] = {}
        repeated = None
        for name, value in raw:
            if name in _SINGLE or name in _LISTS or name in _OTHERS:
                key, text = name.decode(), value.decode("latin-1").strip()
                if key not in headers:
                    headers[key] = text
                elif name in _SINGLE:
                    repeated = key
                else:
                    headers[key] = f"{headers[key]}, {text}"
        return cls(headers, repeated)

    @property
    def accept(self) -> str:
        """The media ranges of the caller; empty means anything."""
        return self.headers.get("accept", "")

    @property
    def takes_gzip(self) -> bool:
        """Whether the caller takes an answer in gzip (RFC 9110, section 12.5.3)."""
        ranges = self.headers.get("accept-encoding", "").lower().split(",")
        found = {name.strip(): weight.replace(" ", "") for name, _, weight in (part.partition(";") for part in ranges)}
        weight = found.get("gzip", found.get("*"))
        return weight is not None and not re.fullmatch(r"q=0(\.0*)?", weight)

    @property
    def has_body(self) -> bool:
        """Whether the request announces a body."""
        return self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers

    def correlation_id(self) -> str:
        """The caller's correlation id where it is sane, else a new one."""
        return with_correlation_id(self.headers)[CORRELATION_ID]

    def metadata(self, correlation_id: str) -> dict[str, str]:
        """The metadata of the call. Raises InvalidHeader."""
        if self.repeated is not None:
            raise InvalidHeader.of(_shown(self.repeated), "must be given once")
        result = {CORRELATION_ID: correlation_id}
        for name in _PASSED_ON:
            value = self.headers.get(name)
            if value:
                if not (value.isascii() and value.isprintable()):
                    raise InvalidHeader.of(_shown(name), "must be printable ASCII")
                result[name] = value
        key = self.headers.get("idempotency-key")
        if key is not None:
            result["idempotency-key"] = _idempotency_key(key)
        return result

    def timeout_s(self) -> float | None:
        """The caller's deadline from `Grpc-Timeout`, None without one. Raises InvalidHeader."""
        text = self.headers.get("grpc-timeout")
        if text is None:
            return None
        found = _TIMEOUT.fullmatch(text)
        if found is None:
            raise InvalidHeader.of("Grpc-Timeout", "must be up to 8 digits and a unit, one of H M S m u n, such as 500m for half a second")
        return int(found[1]) * _SECONDS[found[2]]

    def check_content(self, wanted: str = JSON_TYPE) -> None:
        """Raises UnsupportedMediaType unless the body is JSON, or what is wanted, in plain UTF-8. One without a type is taken."""
        kind, *parameters = (part.strip() for part in self.headers.get("content-type", wanted).lower().split(";"))
        foreign = any(part.startswith("charset=") and part.strip('"') not in _UTF8 for part in parameters)
        if kind not in {JSON_TYPE, wanted} or foreign:
            rule = "in UTF-8: leave the charset out" if kind in {JSON_TYPE, wanted} else f"JSON: send `Content-Type: {wanted}`"
            raise UnsupportedMediaType(f"the body must be {rule}")
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("the body must not be compressed: send no Content-Encoding")

    async def body(self, receive: Receive, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge as soon as it is known to be over `limit` bytes, or ClientGone."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        while True:
            event: Any = await receive()
            if event["type"] == "http.disconnect":
                raise ClientGone
            part = event.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            if not event.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body must have at most {limit} bytes", metadata={"limit_bytes": str(limit)})


def _shown(name: str) -> str:
    return name.title()


def _idempotency_key(text: str) -> str:
    key = parse_idempotency_key(text)
    if key is None:
        raise InvalidHeader.of("Idempotency-Key", KEY_RULE)
    return key
