"""`clarion overview`, `problems` and `queues`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import typer

from clarion_client.cli.session import UsageProblem, session
from clarion_client.models import GetActivityResponse

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_BARS = " ▁▂▃▄▅▆▇█"
_NAMES = ("accepted", "sent", "failed", "skipped", "expired", "cancelled", "delivered", "bounced", "complained", "opened")


def overview(
    since: Annotated[str, typer.Option(help="How far back, such as 30m, 24h or 7d.")] = "1h",
    channel: Annotated[str | None, typer.Option(help="Only email or push.")] = None,
    template: Annotated[str | None, typer.Option(help="Only this template.")] = None,
    test: Annotated[bool, typer.Option("--test", help="What test keys have sent, instead of the rest.")] = False,
) -> None:
    """Show how much was sent, what became of it, how long it took, and what is wrong now."""
    start = datetime.now(timezone.utc) - _span(since)
    activity = session.clarion.activity.get(start_time=start, channel=channel, template=template, test=test or None)
    if session.as_json:
        session.show(activity)
        return
    _say_totals(activity)
    for name in ("sent", "failed"):
        numbers = [getattr(point.counts, name) if point.counts else 0 for point in activity.points]
        if any(numbers):
            session.say(f"{name:<10} {_drawn(numbers)}  most {max(numbers)} in {_words(activity.step)}")
    busy = activity.templates[:10]
    if busy:
        session.rows(
            [{"template": one.template, "channel": one.channel, **_shown(one.counts)} for one in busy], ("template", "channel", *_NAMES[:6])
        )
    problems()


def problems() -> None:
    """Say what keeps notifications from being sent now, and what to do next."""
    found = session.clarion.activity.list_problems()
    if session.as_json:
        session.show(found)
        return
    if not found.problems:
        session.say("nothing is wrong")
    for problem in found.problems:
        colour = "red" if problem.severity == "urgent" else "yellow"
        session.say(f"[{colour}]{problem.reason}[/{colour}] {problem.description}\n    {problem.next_step}")


def queues() -> None:
    """Show how much waits in each queue of the bus, since when, and which workers are there."""
    found = session.clarion.activity.list_queues()
    if session.as_json:
        session.show(found)
        return
    shown = [one for one in found.queues if one.kind == "work" or one.messages]
    session.rows(
        [{"queue": one.name, "messages": one.messages, "consumers": one.consumers, "oldest": _age(one.oldest_age)} for one in shown],
        ("queue", "messages", "consumers", "oldest"),
    )
    if not found.workers:
        session.say("no worker has reported itself")
        return
    session.rows(
        [{"worker": one.id, "providers": ", ".join(one.providers), "seen": _age(one.seen_age)} for one in found.workers],
        ("worker", "providers", "seen"),
    )


def _age(age: timedelta | None) -> str:
    return "" if age is None else f"{age.total_seconds():.1f} s"


def _say_totals(activity: GetActivityResponse) -> None:
    shown = _shown(activity.totals)
    session.say("   ".join(f"{name} {number:,}" for name, number in shown.items() if number) or "nothing happened")
    latency = activity.latency
    if latency is not None and latency.p50 is not None and latency.p95 is not None and latency.p99 is not None:
        seconds = [f"{quantile.total_seconds():g} s" for quantile in (latency.p50, latency.p95, latency.p99)]
        session.say(f"took up to {seconds[0]} (half), {seconds[1]} (95 %), {seconds[2]} (99 %); {latency.within_target:.1%} within 2 s")


def _shown(counts: Any) -> dict[str, int]:
    return {name: getattr(counts, name) if counts else 0 for name in _NAMES}


def _drawn(numbers: list[int]) -> str:
    most = max(numbers)
    return "".join(_BARS[-(-number * (len(_BARS) - 1) // most)] for number in numbers)


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([mhd])", text)
    if found is None or not int(found[1]):
        raise UsageProblem(f"--since {text}: write it as 30m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _words(step: timedelta | None) -> str:
    minutes = int((step or timedelta()).total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
