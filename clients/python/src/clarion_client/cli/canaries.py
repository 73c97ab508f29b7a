"""`clarion templates canary`: a version is tried with a share of the notifications, and compared with the published one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

import typer

from clarion_client.cli.session import session
from clarion_client.models import Canary, VersionActivity

app = typer.Typer(no_args_is_help=True, help="Try a version with a share of the notifications.")
_COLUMNS = ("template", "version", "percent", "unit", "state", "published_version", "started_by", "start_time", "end_time", "note")
_RESULTS = (
    "version",
    "gets",
    "accepted",
    "sent",
    "failed",
    "skipped",
    "delivered",
    "bounced",
    "complained",
    "opened",
    "failed_share",
    "p95_s",
)


@app.command("start")
def start(
    name: Annotated[str, typer.Argument()],
    version: Annotated[int, typer.Argument(help="One that is not published.")],
    percent: Annotated[int, typer.Option(min=1, max=99, help="The share. The version that runs already gets another share.")],
    unit: Annotated[str, typer.Option("--by", help="notification, or user: the same people each time.")] = "notification",
    note: Annotated[str | None, typer.Option(help="Why, for those who look at it.")] = None,
) -> None:
    """Give a version to a share of the notifications that are accepted from now on."""
    session.rows([session.clarion.canaries.start(name, version, percent=percent, unit=unit, note=note)], _COLUMNS)


@app.command("show")
def show(name: Annotated[str, typer.Argument()]) -> None:
    """Show the canary that runs, or the last one, and what became of its notifications beside the others'."""
    canary = session.clarion.canaries.get(name)
    start_time = canary.start_time or datetime.now(timezone.utc)
    activity = session.clarion.activity.get(template=name, start_time=start_time, end_time=canary.end_time)
    if session.as_json:
        session.show({"canary": canary, "versions": activity.versions})
        return
    session.rows([canary], _COLUMNS)
    session.rows([_result(one, canary) for one in activity.versions], _RESULTS)


@app.command("stop")
def stop(name: Annotated[str, typer.Argument()]) -> None:
    """Give the published version to all again. `clarion templates publish` ends a canary the other way."""
    session.rows([session.clarion.canaries.stop(name)], _COLUMNS)


def _result(one: VersionActivity, canary: Canary) -> dict[str, Any]:
    counts = {column: getattr(one.counts, column, 0) if one.counts else 0 for column in _RESULTS[2:10]}
    ended = counts["sent"] + counts["failed"]
    p95 = one.latency.p95 if one.latency else None
    gets = "the share" if one.version == canary.version else "the rest" if one.version == canary.published_version else ""
    return {
        "version": one.version,
        "gets": gets,
        **counts,
        "failed_share": f"{counts['failed'] / ended:.1%}" if ended else "",
        "p95_s": f"{p95.total_seconds():g}" if p95 else "",
    }
