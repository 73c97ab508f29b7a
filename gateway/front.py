"""What the HTTP server serves: the API, and by the first part of the path pages and addresses that are none of its methods."""

from collections.abc import Mapping
from typing import Protocol

from mesh.errors import ServiceError
from transcoding.asgi import Receive, Scope, Send
from transcoding.cors import App as Edge
from transcoding.errors import Rendered


class Handler(Protocol):
    """Serves every request below its prefix."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request (ASGI 3)."""


class Front:
    """Gives a request to the handler of its prefix (`/console/`), and any other one to the API."""

    def __init__(self, api: Edge, handlers: Mapping[str, Handler]) -> None:
        self._api = api
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection scope."""
        path = scope.get("path", "")
        # the first part with its slash, or the whole path where it has no second one
        handler = self._handlers.get(path[: path.find("/", 1) + 1] or path) if scope["type"] == "http" else None
        await (handler or self._api)(scope, receive, send)

    def refusal(self, error: ServiceError) -> Rendered:
        """The API's response to a request that the HTTP server refuses before it is one."""
        return self._api.refusal(error)
