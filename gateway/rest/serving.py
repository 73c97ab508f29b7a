"""Serves the edge over HTTP/1.1 with uvicorn and httptools."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

_BACKLOG = 2048


class PortTaken(Exception):
    """Another process listens on the port, or it is not allowed."""


class _Server(uvicorn.Server):
    """Leaves the signals to the process, which has its own order of stopping."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


@asynccontextmanager
async def serve_http(app: Any, host: str, port: int, *, grace_s: float = 10.0) -> AsyncIterator[int]:
    """Serves until the end of the block and yields the port; then lets requests in flight finish for `grace_s`. Raises PortTaken."""
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # the interceptors log calls, with what matters and nothing personal
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than a load balancer's 60 s, so that the side that may not lose a request closes first
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    server = _Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    ticking = asyncio.create_task(server.main_loop(), name="uvicorn")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"cannot listen on port {port}: it is taken or not allowed") from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
