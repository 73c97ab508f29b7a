"""Calls over REST, with httpx."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx

from clarion_client._calls import Call, Options
from clarion_client._stream import NDJSON_TYPE, SILENCE_S, SSE_TYPE, Messages
from clarion_client.errors import BadResponse, ClarionError, ConnectionFailed, InvalidRequest, Timeout, from_status

_CORRELATION_ID = "x-correlation-id"
# Items of one request. httpx sends a whole body before it reads the answer, so that the server must be able to keep it until then.
_UPLOADED = 500
_ERRORS = (httpx.HTTPError, httpx.InvalidURL)


class HttpTransport:
    """One connection pool to one address. Use it as a context manager, or call `close`."""

    def __init__(self, base_url: str, headers: Mapping[str, str], *, client: httpx.Client | None = None) -> None:
        self._client = client or httpx.Client(**_options(base_url, headers))

    def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        """The JSON of the answer. Raises ClarionError."""
        try:
            return _answer(self._client.send(_request(self._client, call, fields, options, timeout_s)))
        except _ERRORS as error:
            raise _failure(error) from error

    def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> Iterator[Any]:
        """The JSON of each message. Raises ClarionError."""
        yield from self._lines(_request(self._client, call, fields, options, None))

    def upload(self, call: Call, items: Iterator[Any], options: Options) -> Iterator[Any]:
        """The JSON of the answer to each item, in order, request after request. Raises ClarionError."""
        while group := list(itertools.islice(items, _UPLOADED)):
            yield from self._lines(_upload(self._client, call, group, options))

    def _lines(self, request: httpx.Request) -> Iterator[Any]:
        try:
            response = self._client.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    response.read()
                    _answer(response)
                messages = Messages(response.headers.get("content-type", ""))
                for chunk in response.iter_bytes():
                    for message in messages.feed(chunk):
                        yield message
                for message in messages.end():
                    yield message
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise _silent() from error
        except _ERRORS as error:
            raise _failure(error) from error

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


class AsyncHttpTransport:
    """The same for asyncio."""

    def __init__(self, base_url: str, headers: Mapping[str, str], *, client: httpx.AsyncClient | None = None) -> None:
        self._client = client or httpx.AsyncClient(**_options(base_url, headers))

    async def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        """The JSON of the answer. Raises ClarionError."""
        try:
            return _answer(await self._client.send(_request(self._client, call, fields, options, timeout_s)))
        except _ERRORS as error:
            raise _failure(error) from error

    async def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> AsyncIterator[Any]:
        """The JSON of each message. Raises ClarionError."""
        async for message in self._lines(_request(self._client, call, fields, options, None)):
            yield message

    async def upload(self, call: Call, items: Iterator[Any], options: Options) -> AsyncIterator[Any]:
        """The JSON of the answer to each item, in order, request after request. Raises ClarionError."""
        while group := list(itertools.islice(items, _UPLOADED)):
            async for answer in self._lines(_upload(self._client, call, group, options)):
                yield answer

    async def _lines(self, request: httpx.Request) -> AsyncIterator[Any]:
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    await response.aread()
                    _answer(response)
                messages = Messages(response.headers.get("content-type", ""))
                async for chunk in response.aiter_bytes():
                    for message in messages.feed(chunk):
                        yield message
                for message in messages.end():
                    yield message
            finally:
                await response.aclose()
        except httpx.TimeoutException as error:
            raise _silent() from error
        except _ERRORS as error:
            raise _failure(error) from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _options(base_url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    # Reading the certificates of all authorities takes longer than a call. A client of http:// has no use for them, and trusts none.
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if base_url.startswith("http:") else True
    return {"base_url": base_url, "headers": dict(headers), "follow_redirects": False, "verify": verify}


def _request(
    client: httpx.Client | httpx.AsyncClient, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float | None
) -> httpx.Request:
    path, content = call.request(fields)
    headers = dict(options.headers)
    if options.key:
        escaped = options.key.replace("\\", "\\\\").replace('"', '\\"')
        headers["idempotency-key"] = f'"{escaped}"'
    if timeout_s is not None:
        headers["grpc-timeout"] = f"{max(1, int(timeout_s * 1000))}m"
    if call.streams:
        # events, in which a server shows that it lives: of a connection that is half open nothing else is heard
        headers["accept"] = f"{SSE_TYPE}, {NDJSON_TYPE};q=0.9"
    body = None
    if content is not None:
        headers["content-type"] = "application/json"
        body = _json(content)
    timeout = httpx.Timeout(timeout_s) if timeout_s is not None else httpx.Timeout(None, connect=10.0, read=SILENCE_S)
    return client.build_request(call.http, path, content=body, headers=headers, timeout=timeout)


def _upload(client: httpx.Client | httpx.AsyncClient, call: Call, items: list[Any], options: Options) -> httpx.Request:
    content = b"".join([_json(item) + b"\n" for item in items])
    headers = {**options.headers, "content-type": NDJSON_TYPE, "accept": NDJSON_TYPE}
    return client.build_request(call.http, call.path, content=content, headers=headers, timeout=httpx.Timeout(None, connect=10.0))


def _json(value: Any) -> bytes:
    """What no JSON may hold, such as half of a surrogate pair, goes out as it is: the server names the field that has it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _answer(response: httpx.Response) -> Any:
    correlation_id = response.headers.get(_CORRELATION_ID, "")
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = None
    if response.status_code < 300 and body is not None:
        return body
    if not isinstance(body, dict) or not isinstance(body.get("message"), str) or not isinstance(body.get("code"), int):
        said = f"HTTP {response.status_code} without Clarion's error form: is this the address of a Clarion gateway?"
        raise BadResponse(said, status=response.status_code, correlation_id=correlation_id)
    raise from_status(body, status=response.status_code, retry_after=response.headers.get("retry-after"), correlation_id=correlation_id)


def _silent() -> ClarionError:
    return ConnectionFailed("the server was not heard of for too long")


def _failure(error: httpx.HTTPError | httpx.InvalidURL) -> ClarionError:
    if isinstance(error, httpx.InvalidURL):
        # longer than 64 KiB, or with control characters
        return InvalidRequest(f"the request can't be written: {error}", reason="INVALID_ARGUMENT")
    if isinstance(error, httpx.TimeoutException):
        return Timeout("the server did not answer in time")
    return ConnectionFailed(f"the server was not reached: {error}")
