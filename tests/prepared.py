"""Programs of this repository without the time in which Python imports what they need: a process that has imported it forks for each run.

The fork then is as a process of its own, with its arguments, environment, folder and files, and ends as Python ends. What looks at the
environment or the terminal when it is imported must not be imported beforehand.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Never

from devstack.processes import ROOT

# what a run imports at its first argument, call and table, beside its commands
_LATE = ("httpcore", "pydantic.fields", "pydantic.type_adapter", "importlib.metadata", "encodings.idna", "rich.markdown", "rich.table")
_CLI = ("clarion_client.cli.app:command", *_LATE)
_SERVICES = tuple(f"{name}.app" for name in ("gateway", "gateway.webhooks", "user_svc", "template_svc", "email_worker", "push_worker"))
_NUMBER = struct.Struct("i")
_MOST_BYTES = 1 << 20
# A hang guard, not a measurement.
_GUARD_S = 60.0
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


class Forked:
    """One run, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._code: int | None = None
        self.pid = self._number()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended. Blocks. Raises subprocess.TimeoutExpired."""
        if self._code is None:
            self._answers.settimeout(timeout)
            try:
                self._code = self._number()
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
            self._answers.close()
        return self._code

    def send_signal(self, number: int) -> None:
        """Does nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, without waiting."""
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        number: int = _NUMBER.unpack(self._answers.recv(_NUMBER.size))[0]
        return number


def start_cli(arguments: Sequence[str], environ: Mapping[str, str], folder: Path, files: tuple[int, int, int]) -> Forked:
    """Starts `clarion` with these descriptors as its standard input, output and error; the caller closes its own."""
    return _prepared(_CLI).start("clarion_client.cli:main", arguments, environ, folder, files)


def start_service(package: str, environ: Mapping[str, str], folder: Path, log: int) -> Forked:
    """Starts `python -m package`, what `ProcessStack` asks for."""
    with Path(os.devnull).open() as nothing:
        return _prepared(_SERVICES).start(package, (), environ, folder, (nothing.fileno(), log, log))


def run_service(package: str, *arguments: str, environ: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """The exit code of `python -m package` with these arguments, what it printed and what it said on its standard error. Blocks."""
    with Path(os.devnull).open() as nothing, tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as error:
        files = (nothing.fileno(), output.fileno(), error.fileno())
        process = _prepared(_SERVICES).start(package, arguments, environ, folder, files)
        try:
            code = process.wait(_GUARD_S)
        finally:
            process.kill()
        for file in (output, error):
            file.seek(0)
        return code, output.read(), error.read()


class _Prepared:
    """The process that takes requests, one for all runs of this one."""

    def __init__(self, modules: Sequence[str]) -> None:
        # a request is one message
        self._requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        # threads of this process ask for runs
        self._turn = threading.Lock()
        paths = [ROOT, ROOT / "gen", ROOT / "clients" / "python" / "src"]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *modules], env=environ, cwd=ROOT, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self._end)

    def start(
        self, program: str, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, files: tuple[int, int, int]
    ) -> Forked:
        """`program` is a module that is run, or a function of one that is called: "module:function"."""
        # what Python says of a process that it starts itself: tests of the fast tier start none (tests/conftest.py)
        sys.audit("os.fork")
        request = {"program": program, "arguments": list(arguments), "environ": dict(environ), "folder": str(folder)}
        ours, theirs = socket.socketpair()
        with theirs, self._turn:
            socket.send_fds(self._requests, [json.dumps(request).encode()], [*files, theirs.fileno()])
        return Forked(ours)

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def _prepared(modules: tuple[str, ...]) -> _Prepared:
    return _Prepared(modules)


def _serve(requests: socket.socket, modules: Sequence[str]) -> None:
    for name in modules:
        _run(name)
    # a collection in a fork would look at each object that was there before, and the kernel copy the page of each
    gc.collect()
    gc.freeze()
    # no one waits for the watchers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, _MOST_BYTES, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _end_with_the_parent()
            if (pid := os.fork()) == 0:
                _end_with_the_parent()
                _become(json.loads(request), descriptors)
                return
            _watch(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _end_with_the_parent() -> None:
    """The kernel ends the run, too, when the tests are killed without a chance to end it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _watch(pid: int, descriptors: Sequence[int]) -> Never:
    *files, answers = descriptors
    for descriptor in files:
        os.close(descriptor)
    os.write(answers, _NUMBER.pack(pid))
    _, status = os.waitpid(pid, 0)
    os.write(answers, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(request: Any, descriptors: Sequence[int]) -> None:
    os.setsid()
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.argv, sys.path[0] = ["-c", *request["arguments"]], ""
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if ":" in request["program"]:
        _run(request["program"])
    else:
        runpy.run_module(request["program"], run_name="__main__", alter_sys=True)


def _run(name: str) -> None:
    """Imports a module, and calls a function of it: "module:function"."""
    module, _, function = name.partition(":")
    imported = importlib.import_module(module)
    if function:
        getattr(imported, function)()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
