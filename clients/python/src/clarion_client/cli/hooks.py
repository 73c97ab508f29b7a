"""`clarion webhooks`."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import httpx
import typer
from rich.markup import escape

from clarion_client import _values as v
from clarion_client import webhooks
from clarion_client.cli.session import UsageProblem, paint, pairs, session, when
from clarion_client.cli.users import id_of
from clarion_client.models import WatchChangesResponse

app = typer.Typer(no_args_is_help=True, help="Addresses that are called with changes of notifications.")
COLUMNS = ("id", "state", "url", "waiting_count", "failing_since", "description")
_TIMEOUT_S = 15.0


@app.command("create")
def create(
    url: Annotated[str, typer.Argument(help="Where to post: https, a public address.")],
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only changes to this; may be given several times.")] = None,
    channel: Annotated[str | None, typer.Option(help="email or push.")] = None,
    template: Annotated[str | None, typer.Option()] = None,
    category: Annotated[str | None, typer.Option()] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="The person's id or e-mail address.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="A label, name=value.")] = None,
) -> None:
    """Add an endpoint; its secret is shown once."""
    wanted: dict[str, Any] = {
        "url": url, "description": description, "statuses": status, "channel": channel, "user_id": id_of(user) if user else None,
        "template": template, "category": category, "metadata": _labels(metadata),
    }  # fmt: skip
    made = session.clarion.webhooks.create(webhook_endpoint={name: value for name, value in wanted.items() if value})
    session.show(made)


@app.command("list")
def list_() -> None:
    """List them."""
    session.rows(session.clarion.webhooks.list(), COLUMNS)


@app.command("get")
def get(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one: its filters, its state and why."""
    session.show(session.clarion.webhooks.get(identifier))


@app.command("rotate")
def rotate(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Make a new secret, shown once; for a day events carry the signatures of both."""
    session.show(session.clarion.webhooks.rotate_webhook_secret(identifier))


@app.command("delete")
def delete(identifier: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Remove endpoints and what is known of their deliveries."""
    for one in identifier:
        session.clarion.webhooks.delete(one)


@app.command("enable")
def enable(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Take an endpoint up again that was disabled, paused or gone."""
    changed = session.clarion.webhooks.update(identifier, webhook_endpoint={"disabled": False}, update_mask="disabled")
    session.rows([changed], COLUMNS)


@app.command("disable")
def disable(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Post nothing to an endpoint."""
    changed = session.clarion.webhooks.update(identifier, webhook_endpoint={"disabled": True}, update_mask="disabled")
    session.rows([changed], COLUMNS)


@app.command("trigger")
def trigger(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> int:
    """Post a test event, and show what the endpoint answers; exit 1 unless it is 2xx."""
    attempt = session.clarion.webhooks.test(identifier)
    session.show(attempt)
    return 0 if 200 <= attempt.status < 300 else 1


@app.command("deliveries")
def deliveries(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    state: Annotated[str | None, typer.Option(help="waiting, delivered or failed.")] = None,
    notification: Annotated[str | None, typer.Option(help="Only those about this notification.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50,
) -> None:
    """List an endpoint's deliveries, newest first."""
    found = session.clarion.webhooks.list_webhook_deliveries(identifier, state=state, notification_id=notification)
    if session.as_json:
        session.rows(found, (), most=most)
        return
    for count, one in enumerate(found):
        if most and count >= most:
            break
        last = one.attempts[-1] if one.attempts else None
        answer = "" if last is None else str(last.status or last.reason)
        stamp = one.create_time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if one.create_time else ""
        line = f"{one.type} {one.notification_id} {one.id} {answer} after {len(one.attempts)}"
        session.out.print(f"[dim]{stamp}[/dim] {paint(str(one.state), width=9)} {escape(line)}")


@app.command("replay")
def replay(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    delivery: Annotated[
        list[str] | None, typer.Argument(metavar="[DELIVERY]...", help="These; or give --since, --until or --state.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First tried at this time or later.")] = None,
    until: Annotated[str | None, typer.Option(help="First tried before this time.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or failed.")] = None,
) -> None:
    """Have deliveries tried again."""
    answer = session.clarion.webhooks.replay_webhook_deliveries(
        identifier, delivery_ids=delivery, since=when(since) if since else None, until=when(until) if until else None, state=state
    )
    if session.as_json:
        session.show(answer)
    else:
        session.say(f"{answer.replayed_count} are tried again")


@app.command("listen")
def listen(
    url: Annotated[str, typer.Argument(help="A server on your own machine, such as http://localhost:3000/clarion.")],
    secret: Annotated[str | None, typer.Option(envvar="CLARION_WEBHOOK_SECRET", help="What to sign with; made anew when left out.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only changes to this; may be given several times.")] = None,
    channel: Annotated[str | None, typer.Option(help="email or push.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="The person's id or e-mail address.")] = None,
    template: Annotated[str | None, typer.Option()] = None,
    category: Annotated[str | None, typer.Option()] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="A label, name=value.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="End after so many; 0 goes on.")] = 0,
) -> None:
    """Post changes to a server that has no public address: follows the feed, and signs as Clarion does."""
    filters: dict[str, Any] = {
        "statuses": status, "channel": channel, "user_id": id_of(user) if user else None, "template": template, "category": category,
        "metadata": _labels(metadata),
    }  # fmt: skip
    signing = secret or webhooks.new_secret()
    if not secret:
        session.say(f"signed with {signing}")
    with httpx.Client(timeout=_TIMEOUT_S) as http:
        for count, response in enumerate(session.clarion.changes.watch(**filters), 1):
            _post(http, url, signing, response)
            if most and count >= most:
                return


def _labels(metadata: list[str] | None) -> list[str]:
    return [f"{name}={value}" for name, value in pairs(metadata or [], "--metadata").items()]


def _post(http: httpx.Client, url: str, secret: str, response: WatchChangesResponse) -> None:
    change = v.encode(response.change)
    kind = f"notification.{change.get('status', '')}"
    body = json.dumps({"type": kind, "timestamp": change.get("time", ""), "data": change}).encode()
    # the same however often this command begins anew, so that a server can leave out what it has handled
    identifier = f"msg_{change['cursor']}"
    headers = {"content-type": "application/json", **webhooks.sign(identifier, int(time.time()), body, secret)}
    try:
        answered = str(http.post(url, content=body, headers=headers).status_code)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise UsageProblem(f"{url!r} is no address of a server: write http://localhost:3000/path") from None
    except httpx.TransportError as error:
        answered = str(error) or type(error).__name__
    notification = str(change.get("notification_id", ""))
    if session.as_json:
        session.json({"type": kind, "notification_id": notification, "answer": answered})
    else:
        session.out.print(f"{paint(str(change.get('status', '')), width=10)} {notification} {escape(answered)}")
