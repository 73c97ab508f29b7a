"""The command line in a pseudo-terminal, as a person sees it. A prepared process runs it (tests/prepared.py)."""

import asyncio
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from devstack.processes import Process
from tests import prepared

COLUMNS, LINES = 240, 50
# A hang guard, not a measurement.
_GUARD_S = 60
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Run(NamedTuple):
    """What a run printed, without colours, and its exit code."""

    code: int
    said: str


class Beside(NamedTuple):
    """What is done once a text has appeared, and again each second until the program has ended: the first time may be too early."""

    text: str
    do: Callable[[], None]


class Terminal:
    """Runs commands in a folder with one environment."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": str(COLUMNS),
            "LINES": str(LINES),
            **environ,
        }

    async def run(self, *arguments: str, answers: Sequence[tuple[str, str]] = (), raw: bool = False) -> Run:
        """Runs `clarion` with the arguments. `answers` are what the person types, each when its prompt has appeared."""
        done = await asyncio.to_thread(self.type, ["clarion", *arguments], answers)
        return done if raw else Run(done.code, _plain(done.said).replace("\r", ""))

    async def piped(self, *arguments: str) -> Run:
        """Runs `clarion` with its output in a pipe."""
        return await asyncio.to_thread(self._piped, arguments)

    def type(self, words: Sequence[str], answers: Sequence[tuple[str, str]] = (), beside: Beside | None = None) -> Run:
        """Runs `clarion` or another program of the machine; answers what the terminal got. Blocks."""
        master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
            process = self._start(words, (slave, slave, slave))
        finally:
            os.close(slave)
        try:
            said = _converse(master, words, list(answers), beside)
            return Run(process.wait(), said)
        finally:
            os.close(master)
            process.kill()
            process.wait()

    def start(self, *arguments: str, files: tuple[int, int, int]) -> Process:
        """Starts `clarion` with what the descriptors lead to as its standard streams."""
        return self._start(["clarion", *arguments], files)

    def _piped(self, arguments: Sequence[str]) -> Run:
        ours, theirs = os.pipe()
        with Path(os.devnull).open() as nothing:
            try:
                process = self._start(["clarion", *arguments], (nothing.fileno(), theirs, theirs))
            finally:
                os.close(theirs)
        with os.fdopen(ours, "rb") as stream:
            said = stream.read().decode()
        return Run(process.wait(), said)

    def _start(self, words: Sequence[str], files: tuple[int, int, int]) -> Process:
        if words[0] == "clarion":
            return prepared.start_cli(words[1:], self._environ, self.folder, files)
        stdin, stdout, stderr = files
        return subprocess.Popen(words, env=self._environ, cwd=self.folder, stdin=stdin, stdout=stdout, stderr=stderr)


def _converse(master: int, words: Sequence[str], answers: list[tuple[str, str]], beside: Beside | None) -> str:
    said, seen, begun = bytearray(), 0, False
    while True:
        ready, _, _ = select.select([master], [], [], 1.0 if begun else _GUARD_S)
        if not ready and begun and beside is not None:
            beside.do()
            continue
        if not ready:
            raise TimeoutError(f"{' '.join(words)}: says nothing for {_GUARD_S} s after {said.decode('utf-8', 'replace')[-300:]!r}")
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux's way to say that the other end has closed
            return said.decode("utf-8", "replace")
        said += chunk
        # a prompt may change its colour in the middle
        plain = _plain(said.decode("utf-8", "replace"))
        if answers and (found := plain.find(answers[0][0], seen)) >= 0:
            seen = found + 1
            os.write(master, (answers.pop(0)[1] + "\n").encode())
        if beside is not None and not begun and beside.text in plain:
            begun = True
            beside.do()


def _plain(text: str) -> str:
    return _CONTROL.sub("", text)
