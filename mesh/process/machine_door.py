"""The port for machines: metrics for Prometheus, and the probes of Kubernetes over HTTP.

The probes are not asked on the gRPC port, since any client that holds all of its connections must not make them fail: a restart would end
the calls of those who did nothing. Threads of their own answer here, and each asks the event loop, so that a stuck one is noticed.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from socket import AF_INET, AF_INET6
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from mesh.process.health import HealthMonitor

log = logging.getLogger(__name__)

_LOOP_ANSWERS_WITHIN_S = 3.0  # below the time-out of the liveness probe in k8s/
_CLIENT_TIMEOUT_S = 10.0  # of a client that connects and sends nothing

Start = Callable[[str, list[tuple[str, str]]], Any]


class MachineDoor:
    """Answers `/metrics`, `/livez` and `/readyz`. Both probes fail until there is a `health` to ask."""

    def __init__(self, *, loop_answers_within_s: float = _LOOP_ANSWERS_WITHIN_S) -> None:
        self.port = 0
        self.health: HealthMonitor | None = None
        self._loop = asyncio.get_running_loop()
        self._patience_s = loop_answers_within_s
        self._metrics: Any = make_wsgi_app()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """WSGI (PEP 3333), in a thread of the server's."""
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _say(start, HTTPStatus.METHOD_NOT_ALLOWED, {"message": "only GET is served here"})
        match environ["PATH_INFO"]:
            case "/metrics":
                answer: Iterable[bytes] = self._metrics(environ, start)
                return answer
            case "/livez":
                return self._probe(start, lambda health: (health.alive, {"alive": health.alive}))
            case "/readyz":
                return self._probe(start, lambda health: (health.ready, {"ready": health.ready, "dependencies": health.report()}))
            case _:
                return _say(start, HTTPStatus.NOT_FOUND, {"message": "there are /metrics, /livez and /readyz"})

    def _probe(self, start: Start, read: Callable[[HealthMonitor], tuple[bool, dict[str, Any]]]) -> Iterable[bytes]:
        health = self.health
        if health is None:
            return _say(start, HTTPStatus.SERVICE_UNAVAILABLE, {"message": "the process is starting"})

        async def ask() -> tuple[bool, dict[str, Any]]:
            return read(health)

        asking = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            well, body = asking.result(self._patience_s)
        except TimeoutError:
            asking.cancel()
            return _say(start, HTTPStatus.SERVICE_UNAVAILABLE, {"message": "the event loop is stuck"})
        return _say(start, HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, body)


def _say(start: Start, status: HTTPStatus, body: dict[str, Any]) -> Iterable[bytes]:
    start(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


@contextmanager
def open_machine_door(host: str, port: int, *, loop_answers_within_s: float = _LOOP_ANSWERS_WITHIN_S) -> Iterator[MachineDoor]:
    """Serves until the end of the block; port 0 means any. Raises OSError when the port is taken. To be called in the event loop."""
    door = MachineDoor(loop_answers_within_s=loop_answers_within_s)
    family: type[_Server] = _Server6 if ":" in host else _Server
    with make_server(host, port, door, server_class=family, handler_class=_Handler) as server:
        door.port = server.server_port
        thread = Thread(target=server.serve_forever, name="machine-door", daemon=True)
        thread.start()
        try:
            yield door
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False  # a client that holds its connection must not hold up the stop
    request_queue_size = 128
    address_family = AF_INET

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  the base class's signature
        """A client that sent nothing in time, or left. The base class prints a traceback for each."""
        log.debug("a client of the machine port failed", extra={"error": str(sys.exc_info()[0])})


class _Server6(_Server):
    address_family = AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  named by the base class
        """A line per scrape would say nothing."""
