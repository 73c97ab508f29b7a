"""OpenTelemetry: traces over OTLP, metrics for Prometheus, and the W3C trace context in headers and stored rows.

Without an OTLP endpoint spans are not recorded, but trace ids still travel, so that a caller's trace is never cut by us.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mesh.process.settings import CommonSettings

TRACEPARENT = "traceparent"
# OpenTelemetry's default bounds are milliseconds: all that we measure in seconds would be in the first bucket.
_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SECONDS = View(instrument_type=Histogram, instrument_unit="s", aggregation=ExplicitBucketHistogramAggregation(_BOUNDS_S))
_PROPAGATOR = TraceContextTextMapPropagator()
# a proxy until `set_up` has installed the provider: asking for a tracer at each span costs more than the span
_TRACER = trace.get_tracer("clarion")
_recording = False
# The projects that metrics name; none unless an operator asks for it.
_projects: frozenset[str] = frozenset()
OTHER_PROJECTS = "other"


@dataclass
class Telemetry:
    """What `set_up` opened; `close` flushes and stops it."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider

    async def close(self) -> None:
        """Flushes spans. Takes up to the exporter's own time-out, off the event loop."""
        global _recording, _projects
        _recording, _projects = False, frozenset()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


def set_up(service: str, settings: CommonSettings, *, processor: SpanProcessor | None = None) -> Telemetry:
    """Installs the process's tracer and meter, whose metrics mesh.process.machine_door serves.

    `processor` replaces the OTLP exporter (tests).
    """
    global _recording, _projects  # noqa: PLW0603  one provider per process, as in OpenTelemetry itself
    _projects = frozenset(settings.metrics_projects)
    # it warns of each malformed `traceparent`, which is any stranger's to send
    logging.getLogger(TraceContextTextMapPropagator.__module__).setLevel(logging.ERROR)
    _recording = processor is not None or bool(settings.otlp_endpoint)
    resource = Resource.create({"service.name": service, "service.namespace": "clarion"})
    tracer_provider = TracerProvider(resource=resource, sampler=_sampler(settings, forced=processor is not None))
    if processor is not None:
        tracer_provider.add_span_processor(processor)
    elif settings.otlp_endpoint:
        # imported here since it loads a gRPC exporter that most development runs never use
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=settings.otlp_endpoint.startswith("http://"))
        tracer_provider.add_span_processor(BatchSpanProcessor(exporter))
    meter_provider = MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()], views=[SECONDS])
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    return Telemetry(tracer_provider, meter_provider)


def project_label(project: str) -> Mapping[str, str]:
    """What a metric says of a project: nothing, unless an operator has named projects; those that are not named are "other" together.

    Projects are made by callers, so that a label with all of them would grow without end.
    """
    if not _projects:
        return {}
    return {"project": project if project in _projects else OTHER_PROJECTS}


def _sampler(settings: CommonSettings, *, forced: bool) -> Sampler:
    if not settings.otlp_endpoint and not forced:
        return ALWAYS_OFF
    return ParentBased(TraceIdRatioBased(settings.trace_ratio))


def meter() -> metrics.Meter:
    """The process's meter; instruments made from it before `set_up` start to count with it."""
    return metrics.get_meter("clarion")


def inject(carrier: MutableMapping[str, str]) -> None:
    """Writes the current trace context into headers."""
    _PROPAGATOR.inject(carrier)


def traceparent() -> str:
    """The current trace context as one string, to be stored beside what outlives the call; empty when there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(TRACEPARENT, "")


@contextmanager
def span(
    name: str, kind: SpanKind, carrier: Mapping[str, str] | None = None, attributes: Mapping[str, str | int] | None = None
) -> Iterator[Span]:
    """A span that continues the trace in `carrier` (or the current one) and carries errors as its status without their text."""
    parent = _PROPAGATOR.extract(carrier) if carrier and TRACEPARENT in carrier else None
    if parent is None and not _recording and not trace.get_current_span().get_span_context().is_valid:
        yield trace.INVALID_SPAN  # nothing is recorded and there is no trace to continue: the most common case costs nothing
        return
    opened = _TRACER.start_span(name, context=parent, kind=kind, attributes=dict(attributes or {}))
    base = parent if parent is not None else otel_context.get_current()
    token = otel_context.attach(trace.set_span_in_context(opened, base))
    try:
        yield opened
    except BaseException as error:
        opened.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        otel_context.detach(token)
        opened.end()
