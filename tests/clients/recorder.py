"""Sessions with the command line, recorded in a pseudo-terminal and written down as a person sees them.

What differs from one recording to the next (ids, times, addresses, secrets) is replaced, so that two recordings are equal as long as the
command line says the same.
"""

import asyncio
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.clients.terminal import Beside, Terminal

_CONTROL = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
# What differs, and what is written in its place; times have the length that they nearly always have.
_WRITTEN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)(Z|\+00:00)"), "2030-01-31T09:00:00.000000Z"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2030-02-28T09:00:00Z"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+\+00:00)?"), "2030-01-31 09:00:00"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "09:00:00"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    (re.compile(r"\bclk_(live|test)_[A-Za-z0-9_-]{20,}"), r"clk_\1_shown_once_and_never_again_000000000000000"),
    (re.compile(r"\bclk_(live|test)_(?!shown)[A-Za-z0-9_-]{4,12}"), r"clk_\1_a1b2"),
    (re.compile(r"\bmsg_[0-9a-f]{32}\b"), "msg_5e1cc0dec0de45fdb1aa000000000000"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "4bf92f3577b34da6a3ce929d0e0e4736"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "9f2c04d1a7b3e856"),
    (re.compile(r"\bMII[A-Za-z0-9+/=]{100,}"), "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA…"),
    (re.compile(r"\bclarion(\d{6,}|-[0-9a-f]{6,})\b"), "clarion1a2b3c"),
    (re.compile(r"(?<=^etag)( +)\S+", re.MULTILINE), r"\g<1>9FsrZlAHpT8ytmoW"),
    (re.compile(r'^(scopes +\["[^"]+", "[^"]+"), ".*\]$', re.MULTILINE), r"\1, …]"),
    (re.compile(r"clarion-client \S+ Python \S+"), "clarion-client 0.1.0, Python 3.13.0"),
    (re.compile(r"\b\d+(\.\d+)? ms\b"), "12 ms"),
    (re.compile(r"\b\d+\.\d+ ?s\b"), "0.2 s"),
    (re.compile(r"\b\d+ s from"), "0 s from"),
    (re.compile(r"^took up to .*", re.MULTILINE), "took up to 0.2 s (half), 0.3 s (95 %), 0.3 s (99 %); 100.0% within 2 s"),
    (re.compile(r"^(sent|failed|accepted) +[ ▁▂▃▄▅▆▇█]+ +most \d+ in .*", re.MULTILINE), r"\1       ▁▁▁▁▁▂▁▁▁▅█▃▁▁  most 2 in 1 min"),
)
# Lines of steps that a notification may go too fast through to be seen.
_MAYBE = re.compile(r"^09:00:00 queued *\n", re.MULTILINE)


class Step(NamedTuple):
    """One command, as a person types it, with what they answer when a prompt has appeared.

    `code` is how it has to end; `green` and `red` are words that must have that colour. `beside` is typed in another terminal once
    the text before it has appeared.
    """

    line: str
    answers: tuple[tuple[str, str], ...] = ()
    code: int = 0
    green: tuple[str, ...] = ()
    red: tuple[str, ...] = ()
    beside: tuple[str, str] | None = None


class Recording(NamedTuple):
    """What came of a step: the exit code, what the terminal got, and what it showed in the end."""

    step: Step
    code: int
    raw: str
    shown: str


class Recorder:
    """A terminal in a folder. `clarion` runs with the environment; any other command of a step is the machine's."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._terminal = Terminal(environ, folder)
        self._names: dict[str, str] = {}
        # what is shown in place of names that are of this machine
        self.instead = {str(folder): "~"}

    @property
    def folder(self) -> Path:
        """Where the commands run."""
        return self._terminal.folder

    async def record(self, step: Step) -> Recording:
        """Types the step and waits until it has ended."""
        beside = None if step.beside is None else Beside(step.beside[0], partial(self._type_beside, step.beside[1]))
        code, raw = await asyncio.to_thread(self._terminal.type, shlex.split(step.line), step.answers, beside)
        return Recording(step._replace(line=self._written_down(step.line)), code, raw, self._written_down(screen(raw)))

    def find(self, pattern: str, recording: Recording) -> str:
        """What a group of a pattern has found in what the terminal got: an id that a later step needs."""
        found = re.search(pattern, screen(recording.raw))
        assert found is not None, recording.shown
        return found[1]

    def _type_beside(self, line: str) -> None:
        code, said = self._terminal.type(shlex.split(line))
        # it is typed again where a part was slow
        assert code == 0 or "DEADLINE_EXCEEDED" in said, said

    def _written_down(self, text: str) -> str:
        for name, written in self.instead.items():
            text = text.replace(name, written)
        for pattern, written in _WRITTEN:
            text = pattern.sub(written, text)
        text = _UUID.sub(lambda found: self._names.setdefault(found[0], f"01a2c0de-0000-7000-8000-{len(self._names) + 1:012d}"), text)
        return _MAYBE.sub("", text)


def screen(raw: str) -> str:
    """What a terminal shows after all of this: lines that were drawn over and erased (progress) are there as they were last."""
    lines, row, column, place = [""], 0, 0, 0
    while place < len(raw):
        control = _CONTROL.match(raw, place)
        if control is not None:
            place = control.end()
            row, column = _controlled(lines, row, column, control[2], control[1])
            continue
        character = raw[place]
        place += 1
        if character == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif character == "\r":
            column = 0
        elif character >= " ":
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _controlled(lines: list[str], row: int, column: int, command: str, number: str) -> tuple[int, int]:
    if command == "A":
        return max(0, row - int(number or 1)), column
    if command == "K":
        lines[row] = "" if number == "2" else lines[row][:column]
    return row, column


def coloured(raw: str, word: str, colour: str) -> bool:
    """Whether the terminal showed a word in a colour: "green" or "red"."""
    number = {"green": "32", "red": "31"}[colour]
    return re.search(rf"\x1b\[(?:\d+;)*{number}m[^\x1b]*{re.escape(word)}", raw) is not None


def markdown(recordings: Sequence[Recording]) -> str:
    """A session as a block of a page."""
    lines: list[str] = []
    for step, code, _, shown in recordings:
        lines.append(f"$ {step.line}")
        if shown:
            lines.append(shown)
        if code:
            lines.append(f"# exit code {code}")
    return "```console\n" + "\n".join(lines) + "\n```\n"
