"""`clarion send`, `watch` and `notifications`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from clarion_client.cli.bulk import send_file
from clarion_client.cli.files import read_text
from clarion_client.cli.session import UsageProblem, page_of, paint, pairs, read_json, session, when
from clarion_client.cli.users import id_of
from clarion_client.models import AttachedFile, Notification, NotificationStatus, WatchChangesResponse

app = typer.Typer(no_args_is_help=True, help="Read, list and cancel notifications.")
COLUMNS = ("id", "status", "channel", "template", "user_id", "reason", "create_time")
# What a send may hold itself.
_INLINE_BYTES = 512 * 1024
TERMINAL = frozenset({"sent", "failed", "skipped", "cancelled", "expired"})


def send(
    template: Annotated[str | None, typer.Argument(help="Name of a template with a published version.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="The person's id or e-mail address.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="An e-mail address in place of --user; a user is made where no one has it.")
    ] = None,
    device_token: Annotated[
        str | None, typer.Option("--device-token", help="A device in place of --user, for push; a user is made where no one has it.")
    ] = None,
    channel: Annotated[str, typer.Option("--channel", "-c", help="email, or push with --device-token.", show_default=False)] = "",
    var: Annotated[list[str] | None, typer.Option("--var", "-v", help="A variable, name=value; name:=JSON for what is no text.")] = None,
    variables: Annotated[Path | None, typer.Option(help="A JSON file of variables; - reads standard input.")] = None,
    locale: Annotated[str | None, typer.Option(help="Overrides the person's language.")] = None,
    high: Annotated[bool, typer.Option("--high", help="The urgent lane.")] = False,
    at: Annotated[str | None, typer.Option(help="When to send, RFC 3339.")] = None,
    at_local: Annotated[
        str | None, typer.Option("--at-local", help="When by the person's own clock: 09:00 for the next time, or 2030-01-31T09:00.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="After which not to send any more, RFC 3339.")] = None,
    category: Annotated[str | None, typer.Option(help="Overrides the template's category.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="A label, name=value.")] = None,
    attach: Annotated[
        list[Path] | None, typer.Option("--attach", help="A file that the mail carries; its name and ending are those of the file.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Idempotency key; repeating the command with it sends nothing twice. Of a file: line N has KEY/N as request_id."),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from-file",
            "-f",
            help="NDJSON, an object of POST /v1/notifications a line; - reads standard input. TEMPLATE is for lines without.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Wait until it is over; exit 1 unless it was sent.")] = False,
) -> int:
    """Send one notification, or with --from-file any number; lines that fail are listed, the others are sent."""
    channel = channel or ("push" if device_token else "email")
    if from_file is not None:
        return send_file(from_file, {"template": template, "channel": channel}, key)
    if template is None:
        raise UsageProblem("say what to send: the name of a template")
    if sum(map(bool, (user, to, device_token))) != 1:
        raise UsageProblem("say whom it is for: --user with an id, --to with an address, or --device-token")
    accepted = session.clarion.notifications.send(
        user_id=id_of(user) if user else None,
        to={"email": to} if to else {"device_token": device_token} if device_token else None,
        channel=channel,
        template=template,
        variables={**_file(variables), **variables_of(var or [])},
        locale=locale,
        priority="high" if high else None,
        send_at=when(at) if at else None,
        send_at_local=at_local,
        expires_at=when(expires) if expires else None,
        category=category,
        metadata=pairs(metadata, "--metadata") if metadata else None,
        attachments=[_attached(path) for path in attach or []] or None,
        idempotency_key=key,
    )
    if follow:
        return watch(accepted.id)
    session.show(accepted)
    return 0


def _attached(path: Path) -> AttachedFile:
    """The file; a larger one is kept first."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror or error}") from None
    if not content:
        raise UsageProblem(f"{path}: is empty")
    if len(content) <= _INLINE_BYTES:
        return AttachedFile(filename=path.name, content=content)
    return AttachedFile(filename=path.name, attachment_id=session.clarion.attachments.create(content=content).id)


def watch(identifier: Annotated[str, typer.Argument(metavar="ID", help="The notification's id.")]) -> int:
    """Follow a notification until it is over; exit 1 unless it was sent."""
    shown: set[tuple[Any, ...]] = set()
    last: Notification | None = None
    for last in session.clarion.notifications.watch(identifier):
        if session.as_json:
            session.json({"id": last.id, "status": str(last.status), "reason": last.reason})
            continue
        for entry in last.timeline:
            key = (entry.time, str(entry.status), entry.attempt)
            if key not in shown:
                shown.add(key)
                stamp = entry.time.astimezone().strftime("%H:%M:%S") if entry.time else ""
                session.out.print(
                    f"[dim]{stamp}[/dim] {paint(str(entry.status), width=10)} {entry.reason} [dim]{escape(entry.detail)}[/dim]".rstrip()
                )
    return 0 if last is not None and str(last.status) == "sent" else 1


def tail(
    status: Annotated[list[str] | None, typer.Option(help=f"Only changes to this; one of {', '.join(NotificationStatus)}.")] = None,
    channel: Annotated[str | None, typer.Option(help="email or push.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="The person's id or e-mail address.")] = None,
    template: Annotated[str | None, typer.Option()] = None,
    category: Annotated[str | None, typer.Option()] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="A label, name=value.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="A cursor: begin behind it. 0 begins with the oldest that is kept.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="End after so many; 0 goes on.")] = 0,
) -> None:
    """Follow the changes of all notifications as they happen; goes on where it was when the connection is lost."""
    filters: dict[str, Any] = {
        "statuses": status, "channel": channel, "user_id": id_of(user) if user else None, "template": template, "category": category,
        "metadata": _labels(metadata),
    }  # fmt: skip
    seen = 0
    for response in session.clarion.changes.watch(cursor=since, **filters):
        _print_change(response)
        seen += 1
        if most and seen >= most:
            return


def _print_change(response: WatchChangesResponse) -> None:
    change = response.change
    if session.as_json:
        session.show(response)
    elif change is not None:
        stamp = change.time.astimezone().strftime("%H:%M:%S") if change.time else ""
        about = f"{change.channel} {change.template} {change.notification_id} {change.reason}"
        session.out.print(f"[dim]{stamp}[/dim] {paint(str(change.fact or change.status), width=10)} {escape(about.rstrip())}")


@app.command("get")
def get(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one with its timeline."""
    found = session.clarion.notifications.get(identifier)
    if session.as_json:
        session.show(found)
        return
    session.rows([found], COLUMNS)
    session.out.print()
    session.rows(found.timeline, ("time", "status", "fact", "attempt", "reason", "detail", "provider"))


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help=f"One of {', '.join(NotificationStatus)}.")] = None,
    channel: Annotated[str | None, typer.Option(help="email or push.")] = None,
    user: Annotated[str | None, typer.Option(help="The person's id or e-mail address.")] = None,
    template: Annotated[str | None, typer.Option()] = None,
    after: Annotated[str | None, typer.Option(help="Accepted at this time or later.")] = None,
    before: Annotated[str | None, typer.Option(help="Accepted before this time.")] = None,
    updated_after: Annotated[str | None, typer.Option(help="Last changed at this time or later.")] = None,
    updated_before: Annotated[str | None, typer.Option(help="Last changed before this time.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="A label, name=value.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Of the request that sent it.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50,
) -> None:
    """List, newest first."""
    found = session.clarion.notifications.list(
        status=status,
        channel=channel,
        user_id=id_of(user) if user else None,
        template=template,
        created_after=when(after) if after else None,
        created_before=when(before) if before else None,
        updated_after=when(updated_after) if updated_after else None,
        updated_before=when(updated_before) if updated_before else None,
        metadata=_labels(metadata),
        correlation_id=correlation_id,
        page_size=page_of(most),
    )
    session.rows(found, COLUMNS, most=most)


@app.command("content")
def content(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show what a sent one said; takes the scope notifications:content, and is in the audit log."""
    found = session.clarion.notifications.get_sent_content(identifier)
    if session.as_json:
        session.show(found)
        return
    said = found.content
    session.out.print(f"[dim]{found.channel} {escape(found.template)}, version {found.template_version}, {found.locale}[/dim]")
    if found.masked_variables:
        session.out.print(f"[yellow]masked: {escape(', '.join(found.masked_variables))}[/yellow]")
    if said is not None:
        session.out.print(f"[bold]{escape(said.subject or said.title)}[/bold]\n")
        session.out.print(escape(said.text or said.body))


@app.command("resend")
def resend(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    user: Annotated[str | None, typer.Option("--user", "-u", help="The person's id or e-mail address.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="An e-mail address in place of --user; a user is made where no one has it.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key; repeating the command with it sends nothing twice.")] = None,
) -> None:
    """Send a sent one again, to another person or address; takes the scope notifications:content, and is in the audit log."""
    if (user is None) == (to is None):
        raise UsageProblem("say whom it is for: --user with an id, or --to with an address")
    notifications = session.clarion.notifications
    session.show(
        notifications.resend(identifier, user_id=id_of(user) if user else None, to={"email": to} if to else None, idempotency_key=key)
    )


@app.command("cancel")
def cancel(identifier: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Cancel what no attempt has begun to send."""
    for one in identifier:
        session.rows([session.clarion.notifications.cancel(one)], COLUMNS)


@app.command("skip-wait")
def skip_wait(identifier: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Send a test key's notification now that is scheduled, or waits for the end of quiet hours."""
    for one in identifier:
        session.rows([session.clarion.notifications.skip_wait(one)], COLUMNS)


def _labels(given: list[str] | None) -> list[str]:
    return [f"{name}={value}" for name, value in pairs(given or [], "--metadata").items()]


def variables_of(given: list[str]) -> dict[str, Any]:
    """Variables that are written as name=value or name:=JSON."""
    found: dict[str, Any] = {}
    for one in given:
        name, separator, value = one.partition("=")
        if not separator:
            raise UsageProblem(f"--var {one}: write it as name=value, or name:=JSON")
        if name.endswith(":"):
            try:
                found[name[:-1]] = read_json(value)
            except ValueError:
                raise UsageProblem(f"--var {one}: what follows := is no JSON") from None
        else:
            found[name] = value
    return found


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        data = read_json(sys.stdin.read() if str(path) == "-" else read_text(path))
    except (OSError, ValueError) as error:
        raise UsageProblem(f"--variables {path}: {error}") from None
    if not isinstance(data, dict):
        raise UsageProblem(f"--variables {path}: must hold a JSON object")
    return data
