"""What the clients and their resources are made of: making a call by its plan, pages as iterators, streams that resume."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

from clarion_client._calls import Call, Options, Pause, Send, check_key, pause_s, plan
from clarion_client._sending import Sending
from clarion_client.errors import RETRYABLE, ClarionError

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_RETRIES = 3
# A stream that was open for so long has not failed: servers end streams at some age, also those in which nothing happens.
_LASTING_S = 10.0
_Read = Callable[[Any], T]


class Transport(Protocol):
    """What carries calls: REST, gRPC, or the memory of `clarion_client.testing`."""

    def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        """The JSON of the answer. Raises ClarionError."""
        ...

    def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> Iterator[Any]:
        """The JSON of each message. Raises ClarionError."""
        ...

    def upload(self, call: Call, items: Iterator[Any], options: Options) -> Iterator[Any]:
        """The JSON of the answer to each item, in order. Items are read ahead. Raises ClarionError."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        """The JSON of the answer. Raises ClarionError."""
        ...

    def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> AsyncIterator[Any]:
        """The JSON of each message. Raises ClarionError."""
        ...

    def upload(self, call: Call, items: Iterator[Any], options: Options) -> AsyncIterator[Any]:
        """The JSON of the answer to each item, in order. Items are read ahead. Raises ClarionError."""
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


class Settings:
    """Where the server is, who calls, and how patiently."""

    def __init__(self, url: str | None, api_key: str | None, timeout_s: float, retries: int, headers: Mapping[str, str] | None) -> None:
        self.url = (url or os.environ.get("CLARION_URL") or "http://localhost:8000").rstrip("/")
        key = (api_key or os.environ.get("CLARION_API_KEY") or "").strip()
        self.timeout_s = timeout_s
        self.retries = retries
        self.headers = {"user-agent": "clarion-client-python", **(headers or {})}
        if key:
            self.headers["authorization"] = f"Bearer {key}"
        scheme, separator, self.target = self.url.partition("://")
        if not separator or scheme not in {"http", "https", "grpc", "grpcs"}:
            raise ValueError(f"{self.url!r} is no address of a server: it starts with https://, http://, grpcs:// or grpc://")
        if not _is_reachable(self.url):
            raise ValueError(f"{self.url!r} is no address of a server: write it as {scheme}://name:port")
        if not (key.isascii() and key.isprintable()):
            raise ValueError("the API key holds a character that no key has: give it as it was shown")
        self.is_grpc = scheme in {"grpc", "grpcs"}
        self.tls = scheme in {"https", "grpcs"}

    def options(self, timeout_s: float | None, key: str | None) -> Options:
        """The options of one call."""
        return Options(self.timeout_s if timeout_s is None else timeout_s, self.retries, check_key(key) if key else "")


def _is_reachable(url: str) -> bool:
    """Whether it has a host, and a port that there may be."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and " " not in url and bool(httpx.URL(url).host)
    except (ValueError, httpx.InvalidURL):
        return False


class Pager(Generic[T]):
    """The items of a list, page after page, fetched as they are iterated over."""

    def __init__(self, fetch: Callable[[str], Any], field: str, read: _Read[T]) -> None:
        self._fetch = fetch
        self._field = field
        self._read = read

    def __iter__(self) -> Iterator[T]:
        """Every item."""
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[tuple[T, ...]]:
        """Page after page."""
        token = ""
        while True:
            answer = self._fetch(token)
            yield tuple(self._read(item) for item in answer.get(self._field, ()))
            token = answer.get("next_page_token", "")
            if not token:
                return


class AsyncPager(Generic[T]):
    """The same for asyncio."""

    def __init__(self, fetch: Callable[[str], Any], field: str, read: _Read[T]) -> None:
        self._fetch = fetch
        self._field = field
        self._read = read

    async def __aiter__(self) -> AsyncIterator[T]:
        """Every item."""
        async for page in self.pages():
            for item in page:
                yield item

    async def pages(self) -> AsyncIterator[tuple[T, ...]]:
        """Page after page."""
        token = ""
        while True:
            answer = await self._fetch(token)
            yield tuple(self._read(item) for item in answer.get(self._field, ()))
            token = answer.get("next_page_token", "")
            if not token:
                return


class Resource:
    """The methods of one service; made by the client."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings

    def _unary(self, call: Call, fields: Mapping[str, Any], read: _Read[T], timeout_s: float | None, key: str | None = None) -> T:
        return read(self._json(call, fields, timeout_s, key))

    def _json(self, call: Call, fields: Mapping[str, Any], timeout_s: float | None, key: str | None) -> Any:
        options = self._settings.options(timeout_s, key).for_call(call)
        attempts = plan(call, options)
        step = next(attempts)
        try:
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = attempts.send(None)
                else:
                    step = attempts.send(self._attempt(call, fields, options, step))
        except StopIteration as end:
            return end.value

    def _attempt(self, call: Call, fields: Mapping[str, Any], options: Options, step: Send) -> Any:
        try:
            return self._transport.unary(call, fields, options, step.timeout_s)
        except ClarionError as error:
            return error

    def _pages(self, call: Call, fields: Mapping[str, Any], field: str, read: _Read[T], timeout_s: float | None) -> Pager[T]:
        def fetch(token: str) -> Any:
            return self._json(call, {**fields, "page_token": token} if token else fields, timeout_s, None)

        return Pager(fetch, field, read)

    def _stream(self, call: Call, fields: Mapping[str, Any], read: _Read[T], cursor: str = "") -> Iterator[T]:
        failures, fields = 0, dict(fields)
        while True:
            began = time.monotonic()
            try:
                for message in self._transport.stream(call, fields, self._settings.options(None, None)):
                    failures = 0
                    if cursor:
                        fields[cursor] = message[cursor]
                        if len(message) == 1:  # where the stream begins, and nothing to read
                            continue
                    yield read(message)
                if not cursor:
                    return
            except RETRYABLE as error:
                failures = 0 if time.monotonic() - began > _LASTING_S else failures
                if failures >= self._settings.retries:
                    raise
                time.sleep(pause_s(failures, error.retry_after_s))
                failures += 1

    def _upload(self, call: Call, items: Iterable[Any], read: _Read[T]) -> Iterator[T]:
        sending = Sending(items)
        failures = 0
        while not sending.done:
            try:
                for answer in self._transport.upload(call, sending.items(), self._settings.options(None, None)):
                    sending.answered()
                    failures = 0
                    yield read(answer)
                sending.check_ended()
            except RETRYABLE as error:
                if failures >= self._settings.retries:
                    raise
                time.sleep(pause_s(failures, error.retry_after_s))
                failures += 1


class AsyncResource:
    """The same for asyncio."""

    def __init__(self, transport: AsyncTransport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings

    async def _unary(self, call: Call, fields: Mapping[str, Any], read: _Read[T], timeout_s: float | None, key: str | None = None) -> T:
        return read(await self._json(call, fields, timeout_s, key))

    async def _json(self, call: Call, fields: Mapping[str, Any], timeout_s: float | None, key: str | None) -> Any:
        options = self._settings.options(timeout_s, key).for_call(call)
        attempts = plan(call, options)
        step = next(attempts)
        try:
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = attempts.send(None)
                else:
                    step = attempts.send(await self._attempt(call, fields, options, step))
        except StopIteration as end:
            return end.value

    async def _attempt(self, call: Call, fields: Mapping[str, Any], options: Options, step: Send) -> Any:
        try:
            return await self._transport.unary(call, fields, options, step.timeout_s)
        except ClarionError as error:
            return error

    def _pages(self, call: Call, fields: Mapping[str, Any], field: str, read: _Read[T], timeout_s: float | None) -> AsyncPager[T]:
        async def fetch(token: str) -> Any:
            return await self._json(call, {**fields, "page_token": token} if token else fields, timeout_s, None)

        return AsyncPager(fetch, field, read)

    async def _stream(self, call: Call, fields: Mapping[str, Any], read: _Read[T], cursor: str = "") -> AsyncIterator[T]:
        failures, fields = 0, dict(fields)
        while True:
            began = time.monotonic()
            try:
                async for message in self._transport.stream(call, fields, self._settings.options(None, None)):
                    failures = 0
                    if cursor:
                        fields[cursor] = message[cursor]
                        if len(message) == 1:  # where the stream begins, and nothing to read
                            continue
                    yield read(message)
                if not cursor:
                    return
            except RETRYABLE as error:
                failures = 0 if time.monotonic() - began > _LASTING_S else failures
                if failures >= self._settings.retries:
                    raise
                await asyncio.sleep(pause_s(failures, error.retry_after_s))
                failures += 1

    async def _upload(self, call: Call, items: Iterable[Any], read: _Read[T]) -> AsyncIterator[T]:
        sending = Sending(items)
        failures = 0
        while not sending.done:
            try:
                async for answer in self._transport.upload(call, sending.items(), self._settings.options(None, None)):
                    sending.answered()
                    failures = 0
                    yield read(answer)
                sending.check_ended()
            except RETRYABLE as error:
                if failures >= self._settings.retries:
                    raise
                await asyncio.sleep(pause_s(failures, error.retry_after_s))
                failures += 1
