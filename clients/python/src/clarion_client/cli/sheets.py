"""Tables that are read from files and written into such: CSV as spreadsheets write it, and JSON line by line."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from clarion_client.cli.files import read_text
from clarion_client.cli.session import UsageProblem, session

# What spreadsheets take for a formula, which may run programs and send what is beside it somewhere: such values get a ' in front.
_STARTS = r"(?='*\s*[=+\-@＝＋－＠])"  # noqa: RUF001  the wide letters are meant
_FORMULA, _ESCAPED = re.compile(f"^{_STARTS}"), re.compile(f"^'{_STARTS}")
_AT_ONCE = 8
SURPLUS = "surplus"  # the key under which a row holds what belongs to no column
TOO_MANY = "has more values than the first line has columns; a value that holds the separator stands in quotes"


Row = TypeVar("Row")
Result = TypeVar("Result")


def defused(value: str) -> str:
    """With a ' in front where a spreadsheet would take it for a formula."""
    return _FORMULA.sub("'", value)


def cell(row: dict[str, str], column: str) -> str:
    """What a column holds, without the ' that `defused` puts in front."""
    return _ESCAPED.sub("", (row.get(column) or "").strip())


def text_of(file: Path) -> str:
    """The text of a file, or of standard input for "-". Raises UsageProblem."""
    return sys.stdin.read() if str(file) == "-" else read_text(file)


def reader_of(text: str) -> csv.DictReader[str]:
    """Reads rows; a semicolon separates where the heading has no comma."""
    heading = text.partition("\n")[0]
    csv.field_size_limit(max(len(text), 1))
    # what spreadsheets write where the comma is the decimal sign
    delimiter = "," if "," in heading or ";" not in heading else ";"
    return csv.DictReader(io.StringIO(text, newline=""), restkey=SURPLUS, delimiter=delimiter, strict=True)


def columns_of(reader: csv.DictReader[str]) -> dict[str, str]:
    """The columns as the file names them, by their names in lower case."""
    return {(name or "").strip().lower(): name for name in reader.fieldnames or ()}


def each(rows: Sequence[Row], work: Callable[[Row], Result]) -> Iterator[Result]:
    """What comes of each row, in their order; some are under way at a time, and a bar shows how far it is."""
    with session.progress() as progress, ThreadPoolExecutor(_AT_ONCE) as pool:
        task = progress.add_task("importing", total=len(rows))
        for result in pool.map(work, rows):
            progress.advance(task)
            yield result


@contextmanager
def written(file: Path) -> Iterator[IO[str]]:
    """The file, or standard output for "-", to write into. Raises UsageProblem."""
    if str(file) == "-":
        yield sys.stdout
        return
    try:
        target = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageProblem(f"{file}: {error.strerror}") from None
    with target:
        yield target
