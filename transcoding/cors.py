"""Cross-origin requests (the Fetch standard's CORS protocol): which pages of other origins may call the API from a browser."""

from collections.abc import Collection, MutableMapping
from typing import Any, Protocol

from mesh.errors import ServiceError
from transcoding.asgi import Receive, Scope, Send
from transcoding.errors import Rendered


class App(Protocol):
    """What is wrapped: an edge."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection scope."""

    def refusal(self, error: ServiceError) -> Rendered:
        """The response to a request that the HTTP server refuses before it is one."""


ANY_ORIGIN = "*"
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_HEADERS = b"accept, authorization, content-type, grpc-timeout, idempotency-key, if-match, if-none-match, x-correlation-id"
_EXPOSED = b"etag, location, ratelimit, ratelimit-policy, retry-after, x-correlation-id"
_MAX_AGE_S = b"600"  # how long a browser may remember a preflight's answer


class Cors:
    """Lets pages of the `origins` (such as `https://app.example.com`, or `*` for every one) call the app.

    Credentials mode is off: callers send tokens, and the API has no cookies that a foreign page could use.
    """

    def __init__(self, app: App, origins: Collection[str]) -> None:
        self._app = app
        self._any = ANY_ORIGIN in origins
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        allowed = origin is not None and (self._any or origin in self._origins)
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            answer = [*self._allow(origin), (b"access-control-allow-methods", _METHODS), (b"access-control-allow-headers", _HEADERS)]
            answer += [(b"access-control-max-age", _MAX_AGE_S), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 204, "headers": answer})
            await send({"type": "http.response.body", "body": b""})
            return
        more = [*self._allow(origin), (b"access-control-expose-headers", _EXPOSED)] if allowed else self._vary()

        async def send_on(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], *more]
            await send(event)

        await self._app(scope, receive, send_on)

    def refusal(self, error: ServiceError) -> Rendered:
        """The app's response to a request that the HTTP server refuses before it is one; its origin is not known."""
        return self._app.refusal(error)

    def _allow(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        return [(b"access-control-allow-origin", b"*" if self._any or origin is None else origin), *self._vary()]

    def _vary(self) -> list[tuple[bytes, bytes]]:
        """The answer depends on the origin, unless all are alike."""
        return [] if self._any else [(b"vary", b"origin")]
