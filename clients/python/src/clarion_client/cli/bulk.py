"""`clarion send --from-file`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from clarion_client.cli.session import EXIT_REFUSED, UsageProblem, read_json, session

_SHOWN_EVERY = 500


def send_file(path: Path, defaults: Mapping[str, str | None], key: str | None) -> int:
    """Sends each line of a file; lists those that were refused. Returns the exit code."""
    if str(path) == "-":
        return _send(_Rows(sys.stdin.buffer, defaults, key), 0)
    try:
        with path.open("rb") as file:
            return _send(_Rows(file, defaults, key), path.stat().st_size)
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}") from None


def _send(rows: _Rows, size: int) -> int:
    accepted = answered = 0
    bar = (SpinnerColumn(), TextColumn("{task.fields[count]} sent, {task.fields[failed]} failed"), BarColumn(), TimeRemainingColumn())
    with session.progress(*bar) as progress:
        task = progress.add_task("sending", total=size or None, count=0, failed=0)
        for result in session.clarion.notifications.bulk_send(rows.items()):
            line = rows.sent.popleft()
            answered += 1
            if result.accepted is not None:
                accepted += 1
                if session.as_json:
                    session.json({"line": line, "id": result.accepted.id, "status": str(result.accepted.status)})
            else:
                rows.fail(line, str((result.error or {}).get("message", "refused")))
            if answered % _SHOWN_EVERY == 0:
                progress.update(task, completed=rows.read, count=accepted, failed=rows.failed)
        progress.update(task, completed=rows.read, count=accepted, failed=rows.failed)
    if session.as_json:
        session.json({"accepted": accepted, "failed": rows.failed})
    else:
        session.out.print(f"{accepted} accepted, {rows.failed} failed")
    return EXIT_REFUSED if rows.failed else 0


class _Rows:
    """The lines of a file as items. `sent` are the numbers of those that were handed out and not answered yet."""

    def __init__(self, file: IO[bytes], defaults: Mapping[str, str | None], key: str | None) -> None:
        self._file = file
        self._defaults = {name: value for name, value in defaults.items() if value}
        self._key = key
        self.sent: deque[int] = deque()
        self.read = self.failed = 0

    def items(self) -> Iterator[dict[str, Any]]:
        """Each line that is a JSON object."""
        for number, line in enumerate(self._file, 1):
            self.read += len(line)
            if not line.strip():
                continue
            try:
                row = read_json(line)
            except ValueError as error:
                self.fail(number, f"is no JSON: {error}")
                continue
            if not isinstance(row, dict):
                self.fail(number, "must be a JSON object")
                continue
            item = {**self._defaults, **row}
            if self._key and not item.get("request_id"):
                item["request_id"] = f"{self._key}/{number}"
            self.sent.append(number)
            yield item

    def fail(self, line: int, why: str) -> None:
        """Lists a line that was not sent."""
        self.failed += 1
        if session.as_json:
            session.json({"line": line, "error": why})
        else:
            session.err.print(f"line {line}: {why}", markup=False)
