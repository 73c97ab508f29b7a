"""`clarion suppressions`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from clarion_client import ClarionError
from clarion_client import _values as v
from clarion_client.cli.session import EXIT_REFUSED, UsageProblem, page_of, read_json, session, when
from clarion_client.cli.sheets import SURPLUS, TOO_MANY, cell, columns_of, defused, each, reader_of, text_of, written

app = typer.Typer(no_args_is_help=True, help="Addresses that get no e-mail, or none of a category.")
COLUMNS = ("address", "category", "reason", "create_time", "expire_time")
_EXPORTED = (*COLUMNS, "evidence")
_IMPORTED = ("address", "category", "reason", "expire_time")
_CATEGORY = "Only e-mail of this category."


class _Row(NamedTuple):
    """What a line of a file asks for; `problem` says why it can't be read."""

    line: int
    given: dict[str, str]
    problem: str = ""


@app.command("list")
def list_(
    address: Annotated[str | None, typer.Option(help="Only the entries of this address.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50,
) -> None:
    """List what forbids e-mail now, by address."""
    entries = session.clarion.users.list_suppressions(address=address, page_size=page_of(most))
    session.rows(entries, COLUMNS, most=most)


@app.command("add")
def add(
    address: Annotated[str, typer.Argument()],
    reason: Annotated[str | None, typer.Option(help='A word such as complaint; "manual" without.')] = None,
    category: Annotated[str | None, typer.Option(help=_CATEGORY)] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends, such as 2030-01-31; never without.")] = None,
) -> None:
    """Forbid e-mail to an address."""
    end = when(expires) if expires else None
    session.show(session.clarion.users.create_suppression(address=address, reason=reason, category=category, expire_time=end))


@app.command("remove")
def remove(
    address: Annotated[str, typer.Argument()],
    category: Annotated[
        str | None, typer.Option(help="The entry that is about this category, in place of the one about all e-mail.")
    ] = None,
) -> None:
    """Allow e-mail to an address again."""
    session.clarion.users.delete_suppression(address, category=category)
    session.say("removed")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with a heading, or an object of JSON a line: address (or email), and optionally reason, category, expire_time. "
            "- reads standard input."
        ),
    ],
    reason: Annotated[str | None, typer.Option(help="Of those that give none.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check that the file can be read, and change nothing.")] = False,
) -> int:
    """Put addresses on the list. Lines that fail are named; the others are done. Repeating it changes nothing."""
    rows = list(_rows(file))
    failed = 0
    for row, problem in zip(rows, each(rows, lambda row: row.problem if dry_run else _import_row(row, reason)), strict=True):
        if problem:
            failed += 1
            session.err.print(f"line {row.line}: {problem}", markup=False)
    done = {"readable" if dry_run else "written": len(rows) - failed, "failed": failed}
    if session.as_json:
        session.json(done)
    else:
        session.out.print(", ".join(f"{count} {what}" for what, count in done.items()))
    return EXIT_REFUSED if failed else 0


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="What to write; - writes to standard output.")] = Path("-"),
    ndjson: Annotated[bool, typer.Option("--ndjson", help="An object of JSON a line, in place of CSV.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="CSV: values as they are, also such as a spreadsheet takes for a formula.")] = False,
) -> None:
    """Write the list, as `import` reads it."""
    count = 0
    with written(file) as target:
        writer = csv.writer(target)
        if not ndjson:
            writer.writerow(_EXPORTED)
        for entry in session.clarion.users.list_suppressions(page_size=200):
            data = v.encode(entry)
            if ndjson:
                target.write(json.dumps(data, ensure_ascii=False) + "\n")
            else:
                values = [str(data.get(name) or "") for name in _EXPORTED]
                writer.writerow(values if raw else map(defused, values))
            count += 1
    session.err.print(f"{count} entries")


def _rows(file: Path) -> Iterator[_Row]:
    text = text_of(file)
    if text.lstrip().startswith("{"):
        yield from (_of_json(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
        return
    reader = reader_of(text)
    columns = columns_of(reader)
    columns.setdefault("address", columns.get("email", ""))
    if not columns["address"]:
        raise UsageProblem(f"{file}: the first line must name the columns, address or email among them")
    try:
        for row in reader:
            given = {name: cell(row, columns[name]) for name in _IMPORTED if name in columns}
            yield _Row(reader.line_num, given, TOO_MANY if SURPLUS in row else "")
    except csv.Error as error:
        raise UsageProblem(f"{file}: line {reader.reader.line_num}: {error}") from None


def _of_json(number: int, line: str) -> _Row:
    try:
        read = read_json(line)
    except ValueError:
        return _Row(number, {}, "is no JSON")
    if not isinstance(read, dict):
        return _Row(number, {}, "must be a JSON object")
    given: dict[str, Any] = {name: read[name] for name in _IMPORTED if read.get(name) is not None}
    given.setdefault("address", read.get("email") or "")
    wrong = next((name for name, value in given.items() if not isinstance(value, str)), None)
    return _Row(number, given, f"{wrong}: must be a text" if wrong else "")


def _import_row(row: _Row, reason: str | None) -> str:
    """What is wrong with it; empty for what has been done."""
    if row.problem:
        return row.problem
    given = row.given
    try:
        end = when(given["expire_time"]) if given.get("expire_time") else None
        session.clarion.users.create_suppression(
            address=given["address"], reason=given.get("reason") or reason, category=given.get("category") or None, expire_time=end
        )
    except UsageProblem as problem:
        return f"expire_time: {problem}"
    except ClarionError as error:
        return error.message
    return ""
