"""A real RabbitMQ for tests: what CLARION_TEST_AMQP_URL names, else servers of our own, else a container, else a failure that says so."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext

import aio_pika
import pytest

from delivery.lanes import build_topology
from devstack.rabbitmq import RabbitMQServer, find_script
from tests.sharing import locked, run_folder, shared

_IMAGE = "rabbitmq:4"
_MISSING = (
    "The tests need a real RabbitMQ: set CLARION_TEST_AMQP_URL, or install rabbitmq-server (Debian: apt-get install rabbitmq-server), "
    "or start a container engine."
)


class ContainerServer:
    """RabbitMQ in a container, with the methods of RabbitMQServer that tests use."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._id = ""

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        if self._id:
            _docker("start", self._id)
        else:
            self._id = _docker("run", "--detach", "--publish", f"127.0.0.1:{self.port}:5672", _IMAGE).strip()
        give_up_at = time.monotonic() + 120
        while not _answers(self.port):
            assert time.monotonic() < give_up_at, "RabbitMQ in a container did not start within 120 s"
            time.sleep(0.2)

    def stop(self) -> None:
        _docker("stop", self._id)

    def kill(self) -> None:
        _docker("kill", self._id)

    def close(self) -> None:
        _docker("rm", "--force", "--volumes", self._id)


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQServer | ContainerServer]:
    """A server of this worker alone, which tests may stop, kill and start again; they leave it running."""
    server: RabbitMQServer | ContainerServer
    if find_script() is not None:
        server = RabbitMQServer()
    elif _has_container_engine():
        server = ContainerServer()
    else:
        pytest.fail(_MISSING, pytrace=False)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _amqp_base_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """A virtual host for this worker, on a server for all of them where RabbitMQ is installed."""
    given = os.environ.get("CLARION_TEST_AMQP_URL")
    if given or find_script() is None:
        yield given or request.getfixturevalue("rabbitmq_server").url
        return

    @contextmanager
    def open_server() -> Iterator[str]:
        with RabbitMQServer(vhosts=_worker_names()) as server:
            yield server.url

    with shared(run_folder(tmp_path_factory, worker_id), "rabbitmq", open_server) as url:
        yield url + worker_id


def _worker_names() -> list[str]:
    """The names that pytest-xdist gives to the workers of this run."""
    return ["master", *(f"gw{number}" for number in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))))]


@pytest.fixture
async def amqp_url(_amqp_base_url: str, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> AsyncIterator[str]:
    """The URL of a RabbitMQ without Clarion's queues and exchanges, which a test must not stop; nothing else in it is touched."""
    # All workers have that one virtual host, so they take turns.
    turn = locked(run_folder(tmp_path_factory, worker_id) / "amqp.turn") if os.environ.get("CLARION_TEST_AMQP_URL") else nullcontext()
    with turn:
        await remove_topology(_amqp_base_url)
        yield _amqp_base_url
        await remove_topology(_amqp_base_url)


@pytest.fixture
async def own_amqp_url(rabbitmq_server: RabbitMQServer | ContainerServer) -> AsyncIterator[str]:
    """The URL of `rabbitmq_server`, without Clarion's queues and exchanges."""
    await remove_topology(rabbitmq_server.url)
    yield rabbitmq_server.url
    await remove_topology(rabbitmq_server.url)


async def remove_topology(url: str) -> None:
    """Empties a broker of Clarion's queues and exchanges."""
    topology = build_topology()
    connection = await aio_pika.connect(url)
    try:
        channel = await connection.channel()
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange)
    finally:
        await connection.close()


def _has_container_engine() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False, timeout=20).returncode == 0


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, check=True, text=True, timeout=300).stdout


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False
