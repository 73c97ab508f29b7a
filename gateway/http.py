"""The HTTP server of the REST edge: uvicorn in this process's own event loop, so that a request and its RPC share one."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from gateway.settings import HttpSettings
from mesh.process.runtime import PortTaken

log = logging.getLogger(__name__)

_BACKLOG = 2048


class _Server(uvicorn.Server):
    """Tells when it serves, and leaves signals to the process."""

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
async def serve_http(app: Callable[..., Awaitable[None]], settings: HttpSettings, *, grace_s: float) -> AsyncIterator[int]:
    """Serves until the end of the block and yields the port; then lets requests in flight finish for `grace_s`. Raises PortTaken."""
    listener = _listen(settings)
    port = int(listener.getsockname()[1])
    asgi: Any = app  # uvicorn spells out every message of the protocol, the edge does not
    config = uvicorn.Config(
        asgi,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks for the client's address
        # longer than the idle time of the usual load balancers, which would otherwise send into a connection that we close just then
        timeout_keep_alive=75,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    server = _Server(config)
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
        raise PortTaken(f"cannot listen on port {settings.port}: it is taken or not allowed") from error
    return listener
