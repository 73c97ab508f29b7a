"""A private rabbitmq-server: own ports, folders and epmd on loopback, stopped by pid. For tests, the benchmark and the drills."""

import base64
import contextlib
import hashlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mesh.testing import free_port

# The scripts themselves: the wrappers that Debian puts on the path refuse to run as an ordinary user.
_SCRIPT_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin")
_SERVICE_USER = "rabbitmq"
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
_CONTROL_TIMEOUT_S = 60.0
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
# Idle schedulers of the Erlang VM spin by default, which steals a small machine's cores from what is tested.
_ERLANG_FLAGS = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"

# The kernel ends our children when the thread that started them ends, so they are all started by one that lives as long as we do.
_starter = ThreadPoolExecutor(1, thread_name_prefix="rabbitmq-starter")


class RabbitMQError(Exception):
    """The server is not installed or does not start; the message holds the end of its log."""


def find_script(name: str = "rabbitmq-server") -> Path | None:
    """Where RabbitMQ's script of that name is, or None where RabbitMQ is not installed."""
    for folder in _SCRIPT_FOLDERS:
        if (path := Path(folder) / name).exists():
            return path
    found = shutil.which(name)
    return Path(found) if found else None


class RabbitMQServer:
    """One server on loopback. What it holds survives `stop` and `kill`; without a folder of its own it goes with `close`.

    Started by root it runs as the user that the package made, otherwise as the user that starts it. `vhosts` are made at the first start,
    beside the default one. With `beside` it joins the cluster of that server, which must run at its first start. All methods block.
    """

    def __init__(
        self, folder: Path | None = None, *, port: int | None = None, vhosts: Sequence[str] = (), beside: Self | None = None
    ) -> None:
        self._folder = folder
        self._vhosts = ("/", *vhosts)
        self._scratch: Path | None = None
        self._user: str | None = _SERVICE_USER if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self.port = port or free_port()
        self._distribution_port = free_port()
        self._beside = beside
        self.epmd_port: int = beside.epmd_port if beside is not None else free_port()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def node(self) -> str:
        """Its name in a cluster."""
        return f"clarion{self.port}@localhost"

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._server.pid if self._server is not None else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Returns when AMQP is answered: some 4 s. Raises RabbitMQError."""
        script = find_script()
        if script is None:
            raise RabbitMQError("rabbitmq-server is not installed")
        home = self._prepare()
        log_path = home / "rabbitmq.log"
        if self._beside is None:
            self._epmd = self._epmd or self._spawn(["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"], home, log_path)
        self._server = self._spawn([str(script)], home, log_path)
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at and self._server.poll() is None:
            if _answers(self.port):
                return
            time.sleep(0.05)
        log = log_path.read_text(errors="replace")[-2000:]
        self.kill()
        raise RabbitMQError(f"RabbitMQ does not start:\n{log}")

    def stop(self) -> None:
        """An orderly end. Does nothing when it does not run."""
        if self.running and self._server is not None:
            self._server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(_STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """An end like a power cut."""
        server, self._server = self._server, None
        if server is not None:
            # The script waits for the virtual machine beside it; both are in the session that we made.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def close(self) -> None:
        """Stops everything and removes what was written where no folder was given."""
        self.stop()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait()
            self._epmd = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def control(self, *arguments: str) -> str:
        """Runs rabbitmqctl against this server and returns what it printed. Some 3 s."""
        script = find_script("rabbitmqctl")
        if script is None:
            raise RabbitMQError("rabbitmqctl is not installed")
        home = self._home()
        done = subprocess.run(
            [str(script), "--quiet", *arguments],
            env=self._environment(home), cwd=home, user=self._user, group=self._user, extra_groups=[] if self._user else None,
            capture_output=True, text=True, timeout=_CONTROL_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RabbitMQError(f"rabbitmqctl {arguments[0]} failed: {done.stderr[-500:]}")
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _home(self) -> Path:
        if self._folder is not None:
            return self._folder
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="clarion-rabbitmq-"))
        return self._scratch

    def _prepare(self) -> Path:
        home = self._home()
        home.mkdir(parents=True, exist_ok=True)
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 100MB\n"
            f"load_definitions = {home / 'definitions.json'}\n"
            + (f"cluster_formation.classic_config.nodes.1 = {self._beside.node}\n" if self._beside is not None else "")
        )
        # Servers of one cluster know each other by it.
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("clarionclarion")
            cookie.chmod(0o400)
        (home / "definitions.json").write_text(json.dumps(_definitions(self._vhosts)))
        (home / "enabled_plugins").write_text("[].")
        (home / "environment.conf").write_text("")
        if self._user:
            entry = pwd.getpwnam(self._user)
            for path in (home, *home.iterdir()):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        return home

    def _environment(self, home: Path) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "environment.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_FLAGS,
        }

    def _spawn(self, command: list[str], home: Path, log_path: Path) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return _starter.submit(
                subprocess.Popen[bytes],
                [*_ended_with_us(), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(home), cwd=home,
                user=self._user, group=self._user, extra_groups=[] if self._user else None, start_new_session=True,
            ).result()  # fmt: skip


def _definitions(vhosts: Sequence[str]) -> dict[str, Any]:
    """RabbitMQ's export format: the user `guest`, with all rights in each virtual host. Where it loads a user it makes none by itself."""
    salt = b"salt"  # the password is no secret
    password_hash = base64.b64encode(salt + hashlib.sha256(salt + b"guest").digest()).decode()
    user = {"name": "guest", "password_hash": password_hash, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator"}
    rights = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
    return {"users": [user], "vhosts": [{"name": name} for name in vhosts], "permissions": [{"vhost": name, **rights} for name in vhosts]}


def _ended_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
            connection.sendall(_PROTOCOL_HEADER)
            return bool(connection.recv(1))
    except OSError:
        return False
