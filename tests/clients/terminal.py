"""The command line in a pseudo-terminal, as a person sees it."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from devstack.processes import ROOT

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
# A hang guard, not a measurement.
_GUARD_S = 60
_PROGRAM = "from clarion_client.cli import main; main()"


class Run(NamedTuple):
    """What a run printed, without colours, and its exit code."""

    code: int
    said: str


class Terminal:
    """Runs commands with one environment."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TERM": "xterm-256color",
            "COLUMNS": "200",
            "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
            **environ,
        }
        self._folder = folder

    async def piped(self, *arguments: str) -> Run:
        """Runs `clarion` with its output in a pipe."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROGRAM, *arguments, env=self._environ, cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return Run(await process.wait(), said.decode())

    async def run(self, *arguments: str, answers: Sequence[tuple[str, str]] = (), raw: bool = False) -> Run:
        """Runs `clarion` with the arguments. `answers` are what the person types, each when its prompt has appeared."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROGRAM, *arguments, stdin=slave, stdout=slave, stderr=slave, env=self._environ, cwd=self._folder
        )
        os.close(slave)
        try:
            async with asyncio.timeout(_GUARD_S):
                said = (await asyncio.to_thread(_converse, master, list(answers))).decode("utf-8", "replace")
                return Run(await process.wait(), said if raw else _CONTROL.sub("", said))
        finally:
            os.close(master)
            if process.returncode is None:
                process.kill()


def _converse(descriptor: int, answers: list[tuple[str, str]]) -> bytes:
    said, seen = bytearray(), 0
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux's way to say that the other end has closed
            return bytes(said)
        if not chunk:
            return bytes(said)
        said += chunk
        if answers and (found := said.find(answers[0][0].encode(), seen)) >= 0:
            seen = found + 1
            os.write(descriptor, (answers.pop(0)[1] + "\n").encode())
