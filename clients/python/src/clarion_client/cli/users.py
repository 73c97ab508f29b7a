"""`clarion users`."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from clarion_client import _values as v
from clarion_client import errors
from clarion_client.cli.harmless import json_text
from clarion_client.cli.importing import take_in
from clarion_client.cli.session import EXIT_REFUSED, UsageProblem, page_of, pairs, session
from clarion_client.cli.sheets import SURPLUS, cell, columns_of, defused, reader_of, text_of, written

app = typer.Typer(no_args_is_help=True, help="The people who get notifications.")
COLUMNS = ("id", "external_id", "email", "name", "locale", "timezone", "create_time")
_IMPORTED = ("email", "name", "locale", "timezone", "external_id")
# A column with a JSON object, and columns of single attributes, such as attributes.plan.
_ATTRIBUTES, _MEMBER = "attributes", "attributes."
# What a person may have several of, in the document of an export.
_LISTS = {
    "address": "addresses",
    "device": "devices",
    "suppression": "suppressions",
    "identity": "identities",
    "notification": "notifications",
}


@app.command("create")
def create(
    email: Annotated[str, typer.Argument()],
    name: Annotated[str | None, typer.Option()] = None,
    locale: Annotated[str | None, typer.Option(help="BCP 47, such as pt-BR.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA name, such as Europe/Paris.")] = None,
    external_id: Annotated[str | None, typer.Option(help="The id in your own system; it stands in for ours everywhere.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", "-a", help="name=value for templates ({{ user.name }}); as often as needed.")
    ] = None,
) -> None:
    """Create a person."""
    attributes = _attributes(attribute or ()) or None
    session.show(
        session.clarion.users.create(
            email=email, name=name, locale=locale, timezone=timezone, external_id=external_id, attributes=attributes
        )
    )


@app.command("set")
def set_(
    who: Annotated[str, typer.Argument(metavar="ID|EMAIL")],
    attribute: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="5, true and JSON are taken as such; nothing removes it.")],
) -> None:
    """Change attributes of a person, which templates read as {{ user.NAME }}; the others stay."""
    user = session.clarion.users.get(id_of(who))
    changed = {**(user.attributes or {}), **_attributes(attribute)}
    kept = {name: value for name, value in changed.items() if value != ""}
    # with the etag, since another one's change between reading and writing would be undone
    session.show(session.clarion.users.update(user.id, user={"attributes": kept, "etag": user.etag}, update_mask="attributes"))


@app.command("get")
def get(who: Annotated[str, typer.Argument(metavar="ID|EMAIL")]) -> None:
    """Show a person, by id or address."""
    session.show(session.clarion.users.get(id_of(who)))


@app.command("list")
def list_(most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50) -> None:
    """List people, newest first."""
    session.rows(session.clarion.users.list(page_size=page_of(most)), COLUMNS, most=most)


@app.command("devices")
def devices(who: Annotated[str, typer.Argument(metavar="ID|EMAIL")]) -> None:
    """List a person's devices."""
    session.rows(
        session.clarion.users.list_devices(id_of(who)).devices, ("id", "platform", "app", "token_suffix", "last_seen_time", "create_time")
    )


@app.command("sessions")
def sessions(who: Annotated[str, typer.Argument(metavar="ID|EMAIL")]) -> None:
    """List where a person is signed in."""
    columns = ("id", "create_time", "last_use_time", "expire_time", "current")
    session.rows(session.clarion.auth.list_sessions(id_of(who)).sessions, columns)


@app.command("end-session")
def end_session(
    who: Annotated[str, typer.Argument(metavar="ID|EMAIL")],
    identifier: Annotated[str, typer.Argument(metavar="SESSION", help="- for all but the one that asks.")],
) -> None:
    """Sign a person out of one session, or of all."""
    session.show(session.clarion.auth.delete_session(id_of(who), identifier))


@app.command("delete")
def delete(
    who: Annotated[str, typer.Argument(metavar="ID|EMAIL")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person everywhere. There is no way back."""
    identifier = id_of(who)
    if not yes:
        typer.confirm(f"erase {who} and everything that is known of them?", abort=True)
    session.show(session.clarion.users.delete(identifier))


@app.command("verify-address")
def verify_address(who: Annotated[str, typer.Argument(metavar="ID|EMAIL")]) -> None:
    """Mail a person a link that proves, once and for 24 hours, that their address is theirs."""
    session.clarion.accounts.request_address_verification(id_of(who))
    session.say("the mail is on its way, unless the address is verified already")


@app.command("export-data")
def export_data(
    who: Annotated[str, typer.Argument(metavar="ID|EMAIL")],
    file: Annotated[Path, typer.Argument(help="JSON to write, readable by you only; - writes to standard output.")] = Path("-"),
) -> None:
    """Write everything that is held about a person as one JSON document, for the person who asks for it."""
    document: dict[str, Any] = {name: [] for name in _LISTS.values()}
    for item in session.clarion.personal_data.export_personal_data(id_of(who)):
        for kind, value in v.encode(item).items():
            if kind in _LISTS:
                document[_LISTS[kind]].append(value)
            else:
                document[kind] = value
    text = json_text(document, indent=2) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        # made anew, since one that is there may be readable by others
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise UsageProblem(f"{file}: {error.strerror}") from None
    session.err.print(f"{len(document['notifications'])} notifications")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(help="CSV with a heading: email or external_id, and optionally name, locale, timezone. - reads standard input."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file, create no one.")] = False,
) -> int:
    """Create people from a CSV. Rows that fail are listed with their line; the others are created.

    Repeating it skips who exists by address, and brings up to date who has an external_id.
    """
    rows = list(_rows(file))
    if dry_run:
        session.say(f"{len(rows)} rows are readable")
        return 0
    done = {"created": 0, "existing": 0, "written": 0, "failed": 0}
    for line, outcome, detail in take_in(session.clarion.users, rows):
        done[outcome] += 1
        if outcome == "failed":
            session.err.print(f"line {line}: {detail}", markup=False)
    if session.as_json:
        session.json(done)
    else:
        session.out.print(", ".join(f"{count} {what}" for what, count in done.items() if count or what != "written"))
    return EXIT_REFUSED if done["failed"] else 0


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="CSV to write; - writes to standard output.")] = Path("-"),
    raw: Annotated[
        bool, typer.Option("--raw", help="Write values as they are, also those that a spreadsheet takes for a formula.")
    ] = False,
) -> None:
    """Write all people as CSV. A value that a spreadsheet would take for a formula gets a ' in front, which `import` takes off again."""
    with written(file) as target:
        writer = csv.writer(target)
        writer.writerow(("id", *_IMPORTED, _ATTRIBUTES))
        count = 0
        for user in session.clarion.users.list(page_size=200):
            values = (user.id, *(getattr(user, name) for name in _IMPORTED), _text(user.attributes))
            writer.writerow([value if raw else defused(value) for value in values])
            count += 1
    session.err.print(f"{count} people")


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = reader_of(text_of(file))
    try:
        yield from _people(file, reader)
    except csv.Error as error:
        raise UsageProblem(f"{file}: line {reader.reader.line_num}: {error}") from None


def _people(file: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = columns_of(reader)
    if "email" not in columns and "external_id" not in columns:
        raise UsageProblem(f"{file}: the first line must name the columns, email or external_id among them")
    for row in reader:
        given = {name: cell(row, columns[name]) for name in _IMPORTED if name in columns}
        surplus = {SURPLUS: ""} if SURPLUS in row else {}
        members = {name: cell(row, column) for name, column in columns.items() if name.startswith(_ATTRIBUTES)}
        attributes = _attributes_of(members, columns)
        yield reader.line_num, {**{name: value for name, value in given.items() if value}, **attributes, **surplus}


def _attributes_of(cells: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, Any]:
    """What a row says of attributes: those of a JSON object, and those with a column of their own."""
    found: dict[str, Any] = {}
    if whole := cells.get(_ATTRIBUTES):
        try:
            read = json.loads(whole)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            return {SURPLUS: "attributes: must be a JSON object"}
        found = read
    for name, text in cells.items():
        if name.startswith(_MEMBER) and text:
            found[columns[name].strip()[len(_MEMBER) :]] = _value(text)
    return {_ATTRIBUTES: found} if found else {}


def _attributes(given: Sequence[str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in pairs(given, "attribute").items()}


def _value(text: str) -> Any:
    """A number, a flag, null or a JSON object or list as what it is; a text as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(attributes: Any) -> str:
    return json.dumps(attributes, ensure_ascii=False) if attributes else ""


def id_of(who: str) -> str:
    """The id of a person who is given by id or address. An id of the caller's own may look like an address: it is one where no one has that."""
    if "@" in who:
        with suppress(errors.InvalidRequest):
            for user in session.clarion.users.list(email=who):
                return user.id
    return who
