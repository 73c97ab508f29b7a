"""The HTTP server of the REST edge: uvicorn in this process's own event loop, so that a request and its RPC share one."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Generator, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn

from gateway.http_limits import Connections
from gateway.http_protocol import LimitedProtocol
from gateway.settings import HttpSettings
from mesh.errors import Unavailable
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import PortTaken
from transcoding.asgi import Receive, Scope, Send, send_response
from transcoding.cors import App as Edge

log = logging.getLogger(__name__)

_BACKLOG = 2048


class _Server(uvicorn.Server):
    """Says when it serves, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serve_http(edge: Edge, settings: HttpSettings, *, budget: MemoryBudget, grace_s: float) -> AsyncIterator[int]:
    """Serves until the end of the block and yields the port; then lets requests in flight finish for `grace_s`. Raises PortTaken."""
    listener = _listen(settings)
    port = int(listener.getsockname()[1])
    # uvicorn reports each malformed request as a warning: strangers must not fill the log
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(_config(edge, settings, budget, grace_s))
    running = asyncio.create_task(server.serve([listener]), name="http")
    serving = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({running, serving}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        log.info("serving HTTP", extra={"port": port})
        yield port
    finally:
        serving.cancel()
        server.should_exit = True
        await running


def _config(edge: Edge, settings: HttpSettings, budget: MemoryBudget, grace_s: float) -> uvicorn.Config:
    protocol: Any = partial(LimitedProtocol, connections=Connections(settings.limits, budget), refuse=edge.refusal)
    return uvicorn.Config(
        _finishing(edge),
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        # from these alone, X-Forwarded-For is believed (uvicorn takes the last address in it that is none of theirs)
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=settings.limits.idle_s,  # type: ignore[arg-type]  # it goes to call_later, which takes fractions
        backlog=_BACKLOG,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )


def _finishing(edge: Edge) -> Any:  # uvicorn spells out every message of the protocol, the edge does not
    """The edge, with an answer for requests that uvicorn cancels when the time to stop is over: its own would be a bare 500."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await edge(scope, receive, noting)
        except asyncio.CancelledError:
            if begun:
                raise
            rendered = edge.refusal(Unavailable("the server is stopping; try again", reason="SERVER_STOPPING", retry_after_s=1))
            await send_response(send, rendered.status, rendered.headers, rendered.body)

    return serve


def _listen(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((settings.host, settings.port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PortTaken(settings.port, "CLARION_HTTP_PORT") from error
    return listener
