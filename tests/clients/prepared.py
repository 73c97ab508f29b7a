"""`clarion` for tests without the time in which Python imports what it needs: a process that has imported it forks for each run.

The command line's own modules look at the environment and the terminal when they are imported: that happens in the fork, which then is
as a process of its own, with its arguments, environment, folder and files, and ends as Python ends.
"""

import atexit
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Never

from devstack.processes import ROOT

# none of them looks at the environment
_PACKAGES = ("clarion_client", "rich.console", "rich.markup", "rich.progress", "rich.table", "tomli_w", "tomllib", "typer", "yaml")
_NUMBER = struct.Struct("i")
_MOST_BYTES = 1 << 20


class Started(AbstractContextManager["Started"]):
    """One run of the command line; leave its block when it has ended or is not waited for."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self.pid = self.wait()

    def wait(self) -> int:
        """Its exit code, when it has ended. Blocks."""
        number: int = _NUMBER.unpack(self._answers.recv(_NUMBER.size))[0]
        return number

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._answers.close()


def start(arguments: Sequence[str], environ: Mapping[str, str], folder: Path, files: tuple[int, int, int]) -> Started:
    """Starts `clarion` with these descriptors as its standard input, output and error; the caller closes its own."""
    ours, theirs = socket.socketpair()
    request = json.dumps({"arguments": list(arguments), "environ": dict(environ), "folder": str(folder)}).encode()
    with theirs:
        socket.send_fds(_prepared(), [request], [*files, theirs.fileno()])
    return Started(ours)


@cache
def _prepared() -> socket.socket:
    """What takes the requests, one process for all runs of this one."""
    ours, theirs = socket.socketpair()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "clients" / "python" / "src")))}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())], env=environ, cwd=ROOT, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours


def _serve(requests: socket.socket) -> None:
    for name in _PACKAGES:
        importlib.import_module(name)
    # no one waits for the watchers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, _MOST_BYTES, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if (pid := os.fork()) == 0:
                _become(json.loads(request), descriptors)
                return
            _watch(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(pid: int, descriptors: Sequence[int]) -> Never:
    *files, answers = descriptors
    for descriptor in files:
        os.close(descriptor)
    os.write(answers, _NUMBER.pack(pid))
    _, status = os.waitpid(pid, 0)
    os.write(answers, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(request: Any, descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.argv, sys.path[0] = ["-c", *request["arguments"]], ""
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    from clarion_client.cli import main

    main()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
