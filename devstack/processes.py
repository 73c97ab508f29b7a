"""The six processes as they run in production, each its own, against real stores: for system tests, the benchmark and drills."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import grpc.aio

from devstack.postgres import PostgresServer
from mesh.process.health import SERVING
from mesh.stores import migrations
from mesh.testing import free_port, held_port, watch_health

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("user_svc", "template_svc", "gateway", "webhooks", "email_worker", "push_worker")
# What runs it, and whose database it uses, where that is not its name.
_PACKAGES = {"webhooks": "gateway.webhooks"}
DATABASES = ("user_svc", "template_svc", "gateway")
API_KEY = "clk_live_devstack_key_for_this_machine_only_000000"
SECRET = "devstack-service-secret-for-this-machine-only"  # noqa: S105  development only
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0


class Process(Protocol):
    """What a `subprocess.Popen` does."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended. Raises subprocess.TimeoutExpired."""

    def send_signal(self, sig: int, /) -> None:
        """Does nothing when it has ended."""

    def kill(self) -> None:
        """SIGKILL, without waiting."""


# a package, its environment, the folder in which it runs, a file descriptor for what it writes
Start = Callable[[str, Mapping[str, str], Path, int], Process]


class ProcessError(Exception):
    """A process did not start; the message holds the end of its log."""


class ProcessStack:
    """Starts, kills and stops the processes. `shared` is the environment that all get: Redis, RabbitMQ, SMTP and FCM.

    More than one gateway share the REST port; the second one is called `gateway.2`. `replicas` starts so many of every process, each with
    ports of its own. `start` is in place of `start_module`.
    """

    def __init__(
        self,
        folder: Path,
        postgres: PostgresServer,
        shared: Mapping[str, str],
        *,
        start: Start | None = None,
        gateways: int = 1,
        replicas: int = 1,
    ) -> None:
        self.folder = folder
        self.postgres = postgres
        second = [f"{service}.{number}" for number in range(2, replicas + 1) for service in SERVICES]
        self.names = (*SERVICES, *second, *(f"gateway.{number}" for number in range(replicas + 1, gateways + 1)))
        self._shares_port = gateways > 1
        self.grpc_ports = {name: free_port() for name in self.names}
        self.metrics_ports = {name: free_port() for name in self.names}
        self.http_port = free_port()
        self._http_ports = {f"gateway.{number}": free_port() for number in range(2, replicas + 1)}
        self.processes: dict[str, Process] = {}
        self._start = start or start_module
        self._held: list[socket.socket] = []
        self._databases = {name: f"clarion_{name}" for name in DATABASES}
        self._shared = dict(shared)
        self._own: dict[str, dict[str, str]] = {}

    @property
    def url(self) -> str:
        """The first gateway's REST address."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def urls(self) -> list[str]:
        """The REST addresses of all gateways that have one of their own."""
        return [self.url, *(f"http://127.0.0.1:{port}" for port in self._http_ports.values())]

    def replicas_of(self, service: str) -> list[str]:
        """The names of a service's processes."""
        return [name for name in self.names if name.partition(".")[0] == service]

    def _target(self, service: str) -> str:
        return "ipv4:" + ",".join(f"127.0.0.1:{self.grpc_ports[name]}" for name in self.replicas_of(service))

    def environ(self, service: str) -> dict[str, str]:
        """The environment of one process."""
        own = {
            "CLARION_HOST": "127.0.0.1",
            "CLARION_GRPC_PORT": str(self.grpc_ports[service]),
            "CLARION_METRICS_PORT": str(self.metrics_ports[service]),
            "CLARION_REFLECTION": "true",
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_USER_SVC_TARGET": self._target("user_svc"),
            "CLARION_TEMPLATE_SVC_TARGET": self._target("template_svc"),
            "CLARION_BOOTSTRAP_API_KEY": API_KEY,
            "CLARION_HTTP_PORT": str(self._http_ports.get(service, self.http_port)),
            "CLARION_WEBHOOK_ALLOW": "127.0.0.0/8",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
        }
        owner = package_of(service).partition(".")[0]
        if owner in self._databases:
            own["CLARION_DATABASE_URL"] = self.postgres.url(self._databases[owner])
        if self._shares_port:
            own["CLARION_HTTP_REUSE_PORT"] = "true"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CLARION_")}
        return {**inherited, **own, **self._shared, **self._own.get(service, {})}

    def give(self, service: str, variables: Mapping[str, str]) -> None:
        """From its next start on one service has these beside what all get, or instead: the address of a proxy, say."""
        self._own.setdefault(service, {}).update(variables)

    async def start(self) -> None:
        """Creates and migrates the databases, starts every process and returns when all are SERVING. Raises ProcessError."""
        ports = {*self.grpc_ports.values(), *self.metrics_ports.values(), self.http_port, *self._http_ports.values()}
        self._held = [held_port(port) for port in ports]
        for package, database in self._databases.items():
            await asyncio.to_thread(self.postgres.create_database, database)
            await migrations.upgrade(package, self.postgres.url(database))
        for service in self.names:
            self.spawn(service)
        await asyncio.gather(*(self.wait_serving(service) for service in self.names))

    def spawn(self, service: str) -> None:
        """Starts one process without waiting for it."""
        with (self.folder / f"{service}.log").open("ab") as log:
            self.processes[service] = self._start(package_of(service), self.environ(service), self.folder, log.fileno())

    async def wait_serving(self, service: str) -> None:
        """Returns when the process says SERVING. Raises ProcessError when it ended or takes too long."""
        watching = asyncio.create_task(self._watch(service))
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        # no thread waits for the end of the process: a few of them would fill the pool that everything else needs too
        while not watching.done() and self.processes[service].poll() is None and time.monotonic() < give_up_at:
            await asyncio.wait({watching}, timeout=0.1)
        if not watching.done():
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            log = (self.folder / f"{service}.log").read_text(errors="replace")[-3000:]
            raise ProcessError(f"{service} does not start:\n{log}")
        await watching

    async def _watch(self, service: str) -> None:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_ports[service]}", options=[("grpc.max_reconnect_backoff_ms", 200)]) as channel,
            aclosing(watch_health(channel)) as statuses,
        ):
            async for status in statuses:
                if status == SERVING:
                    return

    def kill(self, service: str) -> None:
        """SIGKILL, and waits until the process is gone."""
        self._end(service, signal.SIGKILL)

    def stop(self, service: str) -> int:
        """SIGTERM, and waits for the drain. Answers the exit code."""
        return self._end(service, signal.SIGTERM)

    def _end(self, service: str, number: signal.Signals) -> int:
        process = self.processes.pop(service)
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ProcessError(f"{service} did not stop within {_STOP_TIMEOUT_S:g} s of {number.name}") from None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self._stop_all()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self._stop_all)

    def _stop_all(self) -> None:
        # those that call others first
        for service in reversed(self.names):
            if service in self.processes:
                self.stop(service)
        for held in self._held:
            held.close()


def package_of(service: str) -> str:
    """What runs a process: `python -m` with this."""
    name = service.partition(".")[0]
    return _PACKAGES.get(name, name)


def start_module(package: str, environ: Mapping[str, str], folder: Path, log: int) -> Process:
    """Runs `python -m package` in the folder, with a file descriptor for what it writes."""
    return subprocess.Popen(
        [*_ends_with_us(), sys.executable, "-m", package],
        env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True,
    )  # fmt: skip


def _ends_with_us() -> list[str]:
    """The kernel stops the processes when a test run is killed without a chance to stop them."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []
