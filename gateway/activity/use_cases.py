"""What the counts say, and what is wrong."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gateway.activity.models import (
    HOUR,
    MINUTE,
    OBJECTIVE,
    Activity,
    ActivityFilters,
    Count,
    FailedPlan,
    Problem,
    Severity,
    Span,
    Tally,
    TemplateCount,
    TimedCount,
    VersionCount,
    Waiting,
    tally,
)
from gateway.activity.queues import QueueState
from gateway.breakers.models import Breaker, Force, State
from gateway.notifications.models import Channel
from mesh.bus.broker import BrokerUnavailable
from mesh.context import FIRST_PROJECT
from mesh.errors import DeadlineExceeded, InvalidArgument, ServiceError, Unavailable

_MOST_POINTS = 1500
_MOST_TEMPLATES = 50
_LONGEST = timedelta(days=400)
# Beyond these, whole steps around a span would be no dates any more.
_FIRST, _LAST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9990, 1, 1, tzinfo=UTC)
_BY_MINUTE_FOR = timedelta(days=2)
_NEXT = (1, 5, 15, 30, 60, 180, 360, 720, 1440, 10080)  # minutes of a step that is not given
_LONGEST_STEP = timedelta(minutes=_NEXT[-1])
_WANTED_POINTS = 60  # and one more: an hour that a caller counts back is a moment longer here
_LATE_S = 60.0
_REACH_S = 1.0
_MOST_REASONS = 3
# What the service level is judged by, and the least that a judgement takes.
_RECENT = timedelta(minutes=15)
_ENOUGH = 20


class CountStore(Protocol):
    """Where counts are kept."""

    async def over_time(self, filters: ActivityFilters, span: Span) -> Sequence[TimedCount]:
        """The counts of each point of the span."""

    async def by_template(self, filters: ActivityFilters, span: Span) -> Sequence[TemplateCount]:
        """The counts of each template."""

    async def by_version(self, filters: ActivityFilters, span: Span) -> Sequence[VersionCount]:
        """The counts of each version of the filter's template."""

    async def waiting(self, project: str) -> Waiting:
        """What waits."""


class FailedPlans(Protocol):
    """What is known of scheduled publications."""

    async def failed(self, project: str) -> Sequence[FailedPlan]:
        """Those that failed and wait for a decision, the last made first. Raises ServiceError."""


class BreakerList(Protocol):
    """What is known of breakers."""

    async def list_breakers(self) -> Sequence[Breaker]:
        """Those in use. Raises ServiceError."""


class QueueWatch(Protocol):
    """What is known of the queues."""

    async def without_worker(self) -> Sequence[QueueState]:
        """Those in which work waits that no worker takes. Raises ServiceError."""


# Waits until a service can be called.
Reach = Callable[[], Awaitable[object]]


class ActivityDesk:
    """Answers about a project. `peers` are the services without which nothing is sent, by name; `now` is a clock in UTC."""

    def __init__(
        self,
        store: CountStore,
        breakers: BreakerList,
        queues: QueueWatch,
        plans: FailedPlans,
        *,
        peers: Mapping[str, Reach],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._breakers = breakers
        self._queues = queues
        self._plans = plans
        self._peers = peers
        self._now = now

    async def activity(self, filters: ActivityFilters, start: datetime | None, end: datetime | None, step: timedelta | None) -> Activity:
        """Raises InvalidArgument for a span that is none, too long, or in too many steps."""
        span = span_of(start, end, step, self._now())
        timed = await self._store.over_time(filters, span)
        by_point: list[list[TimedCount]] = [[] for _ in range(span.points)]
        for one in timed:
            by_point[one.point].append(one)
        templates: dict[tuple[str, Channel], Counter[str]] = {}
        for each in await self._store.by_template(filters, span):
            if (name := each.counted.name) is not None:
                templates.setdefault((each.template, each.channel), Counter())[name] += each.counted.number
        ranked = sorted(templates.items(), key=lambda item: (-item[1].total(), item[0]))[:_MOST_TEMPLATES]
        return Activity(
            span,
            tally(one.counted for one in timed),
            [tally(one.counted for one in point) for point in by_point],
            [(template, channel, counts) for (template, channel), counts in ranked],
            await self._versions(filters, span) if filters.template is not None else (),
        )

    async def _versions(self, filters: ActivityFilters, span: Span) -> list[tuple[int, Tally]]:
        """The newest first."""
        found: dict[int, list[Count]] = {}
        for version, counted in await self._store.by_version(filters, span):
            found.setdefault(version, []).append(counted)
        return [(version, tally(found[version])) for version in sorted(found, reverse=True)]

    async def problems(self, project: str) -> list[Problem]:
        """The most urgent first."""
        answers = await asyncio.gather(*map(_answers, self._peers.values()))
        found = [_away(name) for name, answered in zip(self._peers, answers, strict=True) if not answered]
        found += await self._of_breakers(operators=project == FIRST_PROJECT)
        found += await self._of_queues()
        waiting = await self._store.waiting(project)
        if waiting.oldest_s > _LATE_S:
            found.append(_late(waiting))
        if waiting.queued:
            found.append(_queued(waiting))
        now = self._now()
        recent = tally(
            one.counted for one in await self._store.over_time(ActivityFilters(project, test=False), Span(now - _RECENT, now, _RECENT))
        ).latency
        if recent is not None and recent.measured >= _ENOUGH and recent.within_target < OBJECTIVE:
            found.append(
                Problem(
                    "SERVICE_LEVEL_MISSED",
                    Severity.URGENT,
                    f"Of {recent.measured} notifications in the last 15 minutes {recent.within_target:.1%} were sent within 2 s;"
                    f" {OBJECTIVE:.0%} should be. 95 of 100 took up to {recent.p95:g} s.",
                    "Look which provider is slow, or whether workers are missing (docs/runbooks.md).",
                )
            )
        if waiting.letters:
            found.append(_of_letters(waiting.letters))
        found += await self._of_plans(project)
        return sorted(found, key=lambda problem: -problem.severity)

    async def _of_breakers(self, *, operators: bool) -> list[Problem]:
        """Breakers are of all projects; who holds one, and how, is for those who may do so."""
        try:
            breakers = await self._breakers.list_breakers()
        except ServiceError:
            return [
                Problem(
                    "BREAKERS_UNKNOWN",
                    Severity.URGENT,
                    "Redis does not answer, so that it is not known how the providers do.",
                    "See whether Redis runs and can be reached (docs/runbooks.md).",
                )
            ]
        return [problem for breaker in breakers if (problem := _of_breaker(breaker, operators=operators)) is not None]

    async def _of_plans(self, project: str) -> list[Problem]:
        try:
            return [_of_plan(plan) for plan in await self._plans.failed(project)]
        except (Unavailable, DeadlineExceeded):
            return []  # SERVICE_AWAY says so

    async def _of_queues(self) -> list[Problem]:
        try:
            return [_without_worker(queue) for queue in await self._queues.without_worker()]
        except BrokerUnavailable:
            return [
                Problem(
                    "BUS_UNREACHABLE",
                    Severity.URGENT,
                    "RabbitMQ does not answer; what is accepted waits in the database and is lost by nothing.",
                    "See whether RabbitMQ runs and can be reached (docs/runbooks.md).",
                )
            ]


def span_of(start: datetime | None, end: datetime | None, step: timedelta | None, now: datetime) -> Span:
    """The span in whole steps. Raises InvalidArgument."""
    last = end or now
    if not _FIRST <= last <= _LAST:
        raise InvalidArgument.of("end_time", f"must be from {_FIRST:%Y} to {_LAST:%Y}")
    first = start or last - HOUR
    if first >= last:
        raise InvalidArgument.of("start_time", "must be before end_time")
    if last - first > _LONGEST:
        raise InvalidArgument.of("start_time", f"must be at most {_LONGEST.days} days before end_time")
    least = HOUR if first < now - _BY_MINUTE_FOR else MINUTE
    if step is None:
        wanted = max(least, (last - first) / (_WANTED_POINTS + 1))
        step = next((each for minutes in _NEXT if (each := timedelta(minutes=minutes)) >= wanted), _LONGEST_STEP)
    if step < least or step % least:
        unit = "hours, since the span began more than two days ago" if least == HOUR else "minutes"
        raise InvalidArgument.of("step", f"must be a number of whole {unit}")
    if step > _LONGEST:
        raise InvalidArgument.of("step", f"must be at most {_LONGEST.days} days")
    zero = datetime(1970, 1, 1, tzinfo=UTC)
    begin = zero + (first - zero) // step * step
    span = Span(begin, begin - (begin - last) // step * step, step)
    if span.points > _MOST_POINTS:
        raise InvalidArgument.of("step", f"makes {span.points} points; at most {_MOST_POINTS} are answered: give a longer one")
    return span


def _of_breaker(breaker: Breaker, *, operators: bool) -> Problem | None:
    if breaker.force is Force.OPEN:
        by = f"{breaker.forced_by} holds" if operators and breaker.forced_by else "An operator holds"
        release = f"Release it when the provider may be used again: `clarion breakers force {breaker.name} auto`."
        return Problem(
            "BREAKER_HELD_OPEN",
            Severity.NOTICE,
            f"{by} the breaker of {breaker.name} open, so that nothing is given to it.",
            release if operators else "Ask the operators of the project `default` when it will be released.",
        )
    if breaker.state is not State.CLOSED:
        return Problem(
            "BREAKER_OPEN",
            Severity.URGENT,
            f"The provider {breaker.name} has failed {breaker.failures} times in a row; what is meant for it waits or goes to another one.",
            "Look at its own status and at our credentials there. It is tried again by itself.",
        )
    return None


def _without_worker(queue: QueueState) -> Problem:
    return Problem(
        "NO_WORKER",
        Severity.URGENT,
        f"No worker takes what waits in {queue.name}: {queue.size.messages:,} messages with up to 50 notifications each.",
        f"Start a worker for {queue.channel.key if queue.channel else 'it'}, or look why none reaches RabbitMQ (docs/runbooks.md).",
    )


async def _answers(reach: Reach) -> bool:
    try:
        async with asyncio.timeout(_REACH_S):
            await reach()
    except (TimeoutError, ServiceError):
        return False
    return True


def _away(name: str) -> Problem:
    return Problem(
        "SERVICE_AWAY",
        Severity.URGENT,
        f"{name} does not answer, so that nothing is sent and some calls are refused with 503.",
        f"See whether {name} runs and reaches its database (docs/runbooks.md).",
    )


def _queued(waiting: Waiting) -> Problem:
    why = f" ({', '.join(sorted(waiting.reasons)[:_MOST_REASONS])})" if waiting.reasons else ""
    return Problem(
        "WORKERS_BEHIND",
        Severity.URGENT,
        f"{_many(waiting.queued)} notifications have been with the workers for more than a minute and are not sent;"
        f" the oldest for {_minutes(waiting.queued_s)}{why}.",
        "See whether email_worker and push_worker run and reach user_svc, template_svc and the providers (docs/runbooks.md).",
    )


def _of_plan(plan: FailedPlan) -> Problem:
    return Problem(
        "PUBLICATION_FAILED",
        Severity.NOTICE,
        f"Version {plan.version} of the template {plan.template} was to come into use at {plan.publish_at:%Y-%m-%d %H:%M} UTC and did not:"
        f" {plan.description}.",
        f"Publish it with `clarion templates publish {plan.template} {plan.version}`, or plan it again."
        " Where what is in use is right, do nothing: this is gone a week later.",
    )


def _many(number: int) -> str:
    return "More than 100,000" if number >= 100_000 else f"{number:,}"


def _minutes(seconds: float) -> str:
    number = round(seconds / 60)
    return "a minute" if number == 1 else f"{number:,} minutes"


def _late(waiting: Waiting) -> Problem:
    return Problem(
        "NOTIFICATIONS_WAIT",
        Severity.URGENT,
        f"{_many(waiting.due)} notifications are due and not on their way; the oldest has waited {_minutes(waiting.oldest_s)}.",
        "See whether RabbitMQ runs and takes messages (docs/runbooks.md).",
    )


def _of_letters(letters: Sequence[tuple[str, int]]) -> Problem:
    total = sum(number for _, number in letters)
    causes = ", ".join(f"{number:,} {cause.replace('_', ' ')}" for cause, number in letters)
    return Problem(
        "DEAD_LETTERS",
        Severity.NOTICE,
        f"{total:,} notifications were given up and wait for a decision: {causes}.",
        "Review them under Dead letters, or with `clarion dead-letters review`.",
    )
