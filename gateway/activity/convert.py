"""Pure mapping between messages and what is counted."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import activity_service_pb2 as rpc
from gateway.activity.models import Activity, ActivityFilters, Latency, Problem, Tally
from gateway.activity.queues import QueueState
from gateway.breakers.models import Worker
from gateway.notifications.convert import channel_of
from mesh.errors import InvalidArgument
from mesh.rpc.paging import filter_text
from mesh.rpc.timestamps import to_timestamp


def filters_of(project: str, request: rpc.GetActivityRequest) -> ActivityFilters:
    """Raises InvalidArgument for a number that stands for no channel."""
    channel = channel_of(request.channel) if request.channel else None
    return ActivityFilters(project, request.test, channel, filter_text(request.template))


def step_of(request: rpc.GetActivityRequest) -> timedelta | None:
    """None where it is unset. Raises InvalidArgument for a duration that is none."""
    if not request.HasField("step"):
        return None
    try:
        return request.step.ToTimedelta()
    except (OverflowError, ValueError):
        raise InvalidArgument.of("step", "is too long") from None


def activity_message(activity: Activity) -> rpc.GetActivityResponse:
    """The answer; its points have no gaps."""
    span = activity.span
    response = rpc.GetActivityResponse(
        start_time=to_timestamp(span.start),
        end_time=to_timestamp(span.end),
        totals=rpc.ActivityCounts(**activity.total.counts),
        latency=_latency(activity.total.latency),
        points=[_point(activity, number, tally) for number, tally in enumerate(activity.points)],
        templates=[
            rpc.TemplateActivity(template=name, channel=channel_pb2.Channel.ValueType(channel), counts=rpc.ActivityCounts(**counts))
            for name, channel, counts in activity.templates
        ],
    )
    for version, counted in activity.versions:
        response.versions.add(version=version, counts=rpc.ActivityCounts(**counted.counts), latency=_latency(counted.latency))
    response.step.FromTimedelta(span.step)
    return response


def problem_message(problem: Problem) -> rpc.Problem:
    return rpc.Problem(
        reason=problem.reason,
        severity=rpc.ProblemSeverity.ValueType(problem.severity),
        description=problem.description,
        next_step=problem.next_step,
    )


def _point(activity: Activity, number: int, tally: Tally) -> rpc.ActivityPoint:
    return rpc.ActivityPoint(
        start_time=to_timestamp(activity.span.start + number * activity.span.step),
        counts=rpc.ActivityCounts(**tally.counts),
        latency=_latency(tally.latency),
    )


def queue_message(queue: QueueState) -> rpc.Queue:
    """A queue for operators."""
    return rpc.Queue(
        name=queue.name,
        kind=rpc.QueueKind.ValueType(queue.kind),
        channel=channel_pb2.Channel.ValueType(queue.channel or 0),
        urgent=queue.urgent,
        messages=queue.size.messages,
        consumers=queue.size.consumers,
        oldest_age=None if queue.oldest_s is None else _duration(queue.oldest_s),
    )


def worker_message(worker: Worker) -> rpc.Worker:
    """A worker for operators."""
    return rpc.Worker(id=worker.id, providers=worker.providers, seen_age=_duration(worker.seen_s))


def _latency(latency: Latency | None) -> rpc.Latency | None:
    if latency is None:
        return None
    quantiles = {name: _duration(getattr(latency, name)) for name in ("p50", "p95", "p99")}
    return rpc.Latency(**quantiles, within_target=latency.within_target, count=latency.measured)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration
