"""`clarion dead-letters`: review what could not be delivered."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.prompt import Prompt

from clarion_client.cli.notifications import variables_of
from clarion_client.cli.session import EXIT_REFUSED, UsageProblem, page_of, paint, session, when
from clarion_client.cli.users import id_of
from clarion_client.models import DeadLetter, DeadLetterCause, DeadLetterJob

app = typer.Typer(no_args_is_help=True, help="Review what could not be delivered.")
COLUMNS = ("notification_id", "state", "cause", "reason", "channel", "template", "attempts", "create_time")

Cause = Annotated[str | None, typer.Option(help=f"One of {', '.join(DeadLetterCause)}.")]
Channel = Annotated[str | None, typer.Option(help="email or push.")]
Template = Annotated[str | None, typer.Option()]
Reason = Annotated[str | None, typer.Option(help="Such as SMTP_451.")]
After = Annotated[str | None, typer.Option(help="Failed at this time or later.")]
Before = Annotated[str | None, typer.Option(help="Failed before this time.")]
Note = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="open (default), requeued or discarded.")] = None,
    cause: Cause = None,
    channel: Channel = None,
    template: Template = None,
    reason: Reason = None,
    after: After = None,
    before: Before = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50,
) -> None:
    """List, newest first."""
    found = session.clarion.dead_letters.list(
        state=state, page_size=page_of(most), **_filter(cause, channel, template, reason, after, before)
    )
    session.rows(found, COLUMNS, most=most)


@app.command("get")
def get(identifier: Annotated[str, typer.Argument(metavar="NOTIFICATION_ID")]) -> None:
    """Show one: what failed, what would be sent, and who did what about it."""
    session.show(session.clarion.dead_letters.get(identifier))


@app.command("requeue")
def requeue(
    identifier: Annotated[list[str] | None, typer.Argument(metavar="[NOTIFICATION_ID...]")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All open ones that the filters name, as a job.")] = False,
    cause: Cause = None,
    channel: Channel = None,
    template: Template = None,
    reason: Reason = None,
    after: After = None,
    before: Before = None,
    rate: Annotated[int | None, typer.Option(help="Letters per second.")] = None,
    note: Note = None,
    yes: Yes = False,
    var: Annotated[list[str] | None, typer.Option("--var", "-v", help="Of a named one: another value, name=value or name:=JSON.")] = None,
    to: Annotated[str | None, typer.Option(help="Of a named one: another address.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Of a named one: another person's id or e-mail address.")] = None,
) -> int:
    """Send again: those that are named, or by filter with --all."""
    edit: dict[str, Any] = {"variables": variables_of(var) if var else None, "email": to, "user_id": id_of(user) if user else None}
    if identifier:
        session.rows([session.clarion.dead_letters.requeue(one, note=note, **edit) for one in identifier], COLUMNS)
        return 0
    if any(edit.values()):
        raise UsageProblem("--var, --to and --user change one letter: name it")
    return _many("requeue", all_, _filter(cause, channel, template, reason, after, before), rate, note, yes)


@app.command("discard")
def discard(
    identifier: Annotated[list[str] | None, typer.Argument(metavar="[NOTIFICATION_ID...]")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All open ones that the filters name, as a job.")] = False,
    cause: Cause = None,
    channel: Channel = None,
    template: Template = None,
    reason: Reason = None,
    after: After = None,
    before: Before = None,
    rate: Annotated[int | None, typer.Option(help="Letters per second.")] = None,
    note: Note = None,
    yes: Yes = False,
) -> int:
    """Give up: those that are named, or by filter with --all."""
    if identifier:
        session.rows([session.clarion.dead_letters.discard(one, note=note) for one in identifier], COLUMNS)
        return 0
    return _many("discard", all_, _filter(cause, channel, template, reason, after, before), rate, note, yes)


@app.command("review")
def review(cause: Cause = None, channel: Channel = None, template: Template = None, reason: Reason = None) -> None:
    """Go through the open ones, one after the other: requeue, discard, note or skip."""
    seen = 0
    for one in session.clarion.dead_letters.list(**_filter(cause, channel, template, reason, None, None)):
        seen += 1
        letter = session.clarion.dead_letters.get(one.notification_id)
        _picture(letter)
        choice = Prompt.ask(
            "(r)equeue, (d)iscard, (n)ote, (s)kip or (q)uit", choices=["r", "d", "n", "s", "q"], default="s", console=session.out
        )
        if choice == "q":
            break
        if choice in {"r", "d", "n"}:
            note = Prompt.ask("note", default="", console=session.out) or None
            if choice == "r":
                letter = session.clarion.dead_letters.requeue(letter.notification_id, note=note)
            elif choice == "d":
                letter = session.clarion.dead_letters.discard(letter.notification_id, note=note)
            else:
                letter = session.clarion.dead_letters.annotate(letter.notification_id, note=note or "")
            session.out.print(f"  {paint(str(letter.state))}\n")
    session.say(f"{seen} seen")


def _picture(letter: DeadLetter) -> None:
    session.out.print(
        f"[bold]{letter.notification_id}[/bold]  {letter.channel} {escape(letter.template)}  [red]{escape(letter.reason)}[/red]"
    )
    session.out.print(f"  {escape(letter.detail)}")
    session.out.print(f"  [dim]cause {letter.cause}, {letter.attempts} attempts, failed {letter.create_time}[/dim]")
    content = letter.preview.content if letter.preview is not None else None
    if letter.preview is not None and letter.preview.problem:
        session.out.print(f"  [yellow]would fail again: {escape(letter.preview.problem)}[/yellow]")
    elif content is not None:
        session.out.print(
            f"  would send: {escape(content.subject or content.title)} to {escape(letter.preview.recipient if letter.preview else '')}"
        )


def _filter(
    cause: str | None, channel: str | None, template: str | None, reason: str | None, after: str | None, before: str | None
) -> dict[str, Any]:
    given = {
        "cause": cause,
        "channel": channel,
        "template": template,
        "reason": reason,
        "created_after": when(after) if after else None,
        "created_before": when(before) if before else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _many(action: str, all_: bool, wanted: dict[str, Any], rate: int | None, note: str | None, yes: bool) -> int:
    if not all_:
        raise typer.BadParameter("name notifications, or use --all with filters")
    if not yes:
        chosen = ", ".join(f"{name} {value}" for name, value in wanted.items())
        typer.confirm(f"{action} every open dead letter" + (f" with {chosen}" if chosen else "") + "?", abort=True)
    desk = session.clarion.dead_letters
    start = desk.requeue_many if action == "requeue" else desk.discard_many
    job = start(filter=wanted, rate_per_s=rate, note=note)
    job = _until_done(job)
    session.show(job)
    return 0 if job.skipped_count == 0 else EXIT_REFUSED


def _until_done(job: DeadLetterJob) -> DeadLetterJob:
    with session.progress() as progress:
        task = progress.add_task(str(job.action), total=job.total_count or None)
        while str(job.state) == "running":
            time.sleep(0.5)
            job = session.clarion.dead_letters.get_job(job.id)
            progress.update(task, completed=job.done_count + job.skipped_count, total=job.total_count)
    return job
