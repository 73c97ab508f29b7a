"""One call of the API as data, and the plan by which it is tried: with a deadline, retries and waits. Free of I/O."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from clarion_client.errors import RETRYABLE, ClarionError, NotFound, Timeout, invalid

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 8.0
_LONGEST_KEY = 255
_KEY = re.compile(f"[ -~]{{1,{_LONGEST_KEY}}}")
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Call:
    """A method of the API: how it is reached over REST and over gRPC.

    `body` is "*", the name of a field, or empty; `answer` the field of the response that the method returns, or empty for all of it.
    One that `uploads` takes a stream: each element of `body` is a line, and is answered by one of `answer`. `unkeyed` methods take no idempotency key. `idempotent` methods may be repeated as they are, others under an idempotency key. One that `removes` says nothing but that something is no more.
    """

    rpc: str
    http: str
    path: str
    body: str = ""
    answer: str = ""
    idempotent: bool = False
    unkeyed: bool = False
    streams: bool = False
    uploads: bool = False
    removes: bool = False

    def request(self, fields: Mapping[str, Any]) -> tuple[str, Any]:
        """The path with its query, and the JSON body or None. Raises InvalidRequest for an id that is empty."""
        rest = dict(fields)
        path = _VARIABLE.sub(lambda match: _segment(match[1], rest.pop(match[1])), self.path)
        content: Any = None
        if self.body == "*":
            content, rest = rest, {}
        elif self.body:
            content = rest.pop(self.body, {})
        query = urlencode([pair for name, value in rest.items() for pair in _pairs(name, value)], errors="surrogatepass")
        return (f"{path}?{query}" if query else path), content


def _segment(name: str, value: Any) -> str:
    """One part of a path. "." and ".." would lead to another path (RFC 3986, section 5.2.4), such as from a device to its person."""
    text = quote(str(value), safe="", errors="surrogatepass")
    if not text:
        raise invalid(name, "must not be empty")
    return text if text.strip(".") else text.replace(".", "%2E")


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _pairs(f"{name}.{key}", item)]
    if isinstance(value, (list, tuple)):
        return [pair for item in value for pair in _pairs(name, item)]
    return [(name, ("true" if value else "false") if isinstance(value, bool) else str(value))]


@dataclass(frozen=True)
class Options:
    """How one call is made. `timeout_s` bounds it with all its retries; `key` is its idempotency key."""

    timeout_s: float
    retries: int
    key: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def for_call(self, call: Call) -> Options:
        """With a key of its own where the method needs one to be repeatable."""
        if self.key or call.idempotent or call.unkeyed or call.http != "POST":
            return self
        return Options(self.timeout_s, self.retries, str(uuid.uuid4()), self.headers)


@dataclass(frozen=True)
class Send:
    """Make the attempt, within `timeout_s`."""

    timeout_s: float


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


def check_key(key: str) -> str:
    """An idempotency key as it may stand in a header. Raises InvalidRequest."""
    if not _KEY.fullmatch(key):
        raise invalid("idempotency_key", f"must be printable ASCII of at most {_LONGEST_KEY} characters")
    return key


def plan(call: Call, options: Options) -> Generator[Send | Pause, Any, Any]:
    """The attempts at a call. It is sent what came of each Send: the answer, or a ClarionError, which it raises when it gives up."""
    ends_at = time.monotonic() + options.timeout_s
    repeatable = call.idempotent or call.http in {"GET", "DELETE"} or bool(options.key)
    failures = 0
    while True:
        left = ends_at - time.monotonic()
        if left <= 0:
            raise Timeout(f"no answer within {options.timeout_s:g} s")
        outcome = yield Send(left)
        if not isinstance(outcome, ClarionError):
            return outcome
        if failures and call.removes and isinstance(outcome, NotFound):
            return {}  # by a try before, of which the answer was lost
        if not repeatable or not isinstance(outcome, RETRYABLE) or failures >= options.retries:
            raise outcome
        pause = pause_s(failures, outcome.retry_after_s)
        if pause >= ends_at - time.monotonic():
            raise outcome
        yield Pause(pause)
        failures += 1


def pause_s(failures: int, at_least: float | None) -> float:
    """Seconds before the next attempt: growing, with jitter, and never before the server's own Retry-After."""
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**failures)
    jittered = random.uniform(longest / 2, longest)
    return jittered if at_least is None else at_least + jittered / 4
