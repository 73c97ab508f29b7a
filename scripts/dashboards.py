"""The Grafana dashboards as data: pages of panels, each a title, a unit and its queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.alerts import HANDOVER, OBJECTIVE, WITHIN, ratio

_WIDTH, _HEIGHT = 12, 8
_PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries` are pairs of an expression and its legend; `unit` is Grafana's name of one."""

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"


def _quantile(share: float, metric: str, by: str, selector: str = "") -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_seconds_bucket{selector}[$__rate_interval])))"


def _rate(metric: str, by: str, selector: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{selector}[$__rate_interval]))"


_CALLS = "clarion_rpc_server_duration"
_ATTEMPTS = "clarion_delivery_attempt_duration"
_TRIED = f"{_ATTEMPTS}_seconds_count"
_SENT = '{result="sent"}'
_FAILED = '{code=~"INTERNAL|UNAVAILABLE|DATA_LOSS|UNKNOWN"}'
_HANDED = HANDOVER.removesuffix("_seconds")

PAGES: dict[str, tuple[Panel, ...]] = {
    "overview": (
        Panel(f"Handed over within {float(WITHIN):g} s, last hour (at least {OBJECTIVE:.0%})",
              [(f"1 - {ratio('1h')}", "{{lane}}")], "percentunit", "stat"),
        Panel("Error budget left, at the last 3 days' rate",
              [(f"1 - {ratio('3d')} / {1 - OBJECTIVE:.2g}", "{{lane}}")], "percentunit", "stat"),
        Panel("Processes that answer", [("sum by (job) (up)", "{{job}}")], "short", "stat"),
        Panel("Outcomes by status", [(_rate("clarion_settlement_outcomes_total", "status"), "{{status}}")], "cps"),
        Panel("Calls", [(_rate(f"{_CALLS}_seconds_count", "job"), "{{job}}")], "reqps"),
        Panel("Calls that fail", [(_rate(f"{_CALLS}_seconds_count", "job, code", _FAILED), "{{job}} {{code}}")], "reqps"),
        Panel("Time of calls, p99", [(_quantile(0.99, _CALLS, "job"), "{{job}}")], "s"),
        Panel("Clocks", [("clarion_clock_skew_seconds", "{{job}} {{instance}}")], "s"),
    ),
    "delivery": (
        Panel("From due to taken, p50", [(_quantile(0.5, _HANDED, "channel, lane"), "{{channel}} {{lane}}")], "s"),
        Panel("From due to taken, p99", [(_quantile(0.99, _HANDED, "channel, lane"), "{{channel}} {{lane}}")], "s"),
        Panel("Taken", [(_rate(f"{HANDOVER}_count", "channel, lane"), "{{channel}} {{lane}}")], "cps"),
        Panel("Attempts by result", [(_rate(f"{_ATTEMPTS}_seconds_count", "channel, result"), "{{channel}} {{result}}")], "cps"),
        Panel("Dead letters that wait", [("max by (channel) (clarion_dead_letters_open)", "{{channel}}")]),
        Panel("Attempts in doubt", [(_rate("clarion_ledger_unknown_total", "policy"), "{{policy}}")], "cps"),
    ),
    "providers": (
        Panel("Attempts", [(_rate(f"{_ATTEMPTS}_seconds_count", "provider"), "{{provider}}")], "cps"),
        Panel("Share that is taken",
              [(f"{_rate(_TRIED, 'provider', _SENT)} / {_rate(_TRIED, 'provider')}", "{{provider}}")], "percentunit"),
        Panel("Time of an attempt, p50", [(_quantile(0.5, _ATTEMPTS, "provider"), "{{provider}}")], "s"),
        Panel("Time of an attempt, p99", [(_quantile(0.99, _ATTEMPTS, "provider"), "{{provider}}")], "s"),
        Panel("Breakers: 0 closed, 1 half-open, 2 open", [("max by (breaker) (clarion_breaker_state)", "{{breaker}}")]),
        Panel("Refusals of this sender",
              [(_rate("clarion_delivery_sender_refused_total", "provider, reason"), "{{provider}} {{reason}}")], "cps"),
        Panel("Webhook calls", [(_rate("clarion_webhooks_attempt_seconds_count", "result"), "{{result}}")], "cps"),
    ),
    "queues": (
        Panel("Due and not on the bus", [("max(clarion_outbox_size)", "notifications")]),
        Panel("Age of the oldest of them", [("max(clarion_outbox_oldest_age_seconds)", "age")], "s"),
        Panel("Messages that wait", [("max by (queue) (clarion_queue_depth)", "{{queue}}")]),
        Panel("Deferred", [("max by (channel) (clarion_queue_deferred)", "{{channel}}")]),
        Panel("Published", [(_rate("clarion_relay_published_total", "channel"), "{{channel}}")], "cps"),
        Panel("Lag of the sweep", [("clarion_outbox_sweep_lag_seconds", "{{instance}}")], "s"),
        Panel("No outcome came", [("max(clarion_outbox_stuck)", "stuck")]),
        Panel("Background work that fails", [(_rate("clarion_periodic_failures_total", "work"), "{{work}}")], "cps"),
    ),
    "processes": (
        Panel("Lag of the event loop, p99", [(_quantile(0.99, "clarion_loop_lag", "job, instance"), "{{job}} {{instance}}")], "s"),
        Panel("Tasks of the event loop", [("clarion_loop_tasks", "{{job}} {{instance}}")]),
        Panel("Memory", [("process_resident_memory_bytes", "{{job}} {{instance}}")], "bytes"),
        Panel("Processor time", [(_rate("process_cpu_seconds_total", "job, instance"), "{{job}} {{instance}}")], "percentunit"),
        Panel("Open files and connections", [("process_open_fds", "{{job}} {{instance}}")]),
        Panel("Render processes that ended", [(_rate("clarion_render_processes_ended_total", "instance"), "{{instance}}")], "cps"),
    ),
}  # fmt: skip


def dashboards() -> dict[str, dict[str, Any]]:
    """Grafana's JSON by the page's name."""
    made = {name: _dashboard(name, [_panel(panel) for panel in panels], [_source("prometheus")]) for name, panels in PAGES.items()}
    variables = [_source("tempo"), _source("loki"), _text("correlation_id"), _text("notification_id")]
    made["notification"] = _dashboard("notification", _of_one_notification(), variables)
    for dashboard in made.values():
        for number, panel in enumerate(dashboard["panels"]):
            panel["id"] = number + 1
            panel["gridPos"] = {"x": number % 2 * _WIDTH, "y": number // 2 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
    return made


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "expr": expr, "legendFormat": legend, "datasource": _PROMETHEUS}
        for index, (expr, legend) in enumerate(panel.queries)
    ]
    defaults = {"unit": panel.unit}
    return {"type": panel.kind, "title": panel.title, "datasource": _PROMETHEUS, "fieldConfig": {"defaults": defaults}, "targets": targets}


def _of_one_notification() -> list[dict[str, Any]]:
    """Its traces by correlation id (Tempo), and the log lines that name it (Loki)."""
    tempo, loki = ({"type": name, "uid": f"${{{name}}}"} for name in ("tempo", "loki"))
    trace = {"refId": "A", "queryType": "traceql", "query": '{ span.clarion.correlation_id = "$correlation_id" }', "datasource": tempo}
    lines = {"refId": "A", "expr": '{namespace="clarion"} | json | notification_id = "$notification_id"', "datasource": loki}
    return [
        {"type": "table", "title": "Traces of the request", "datasource": tempo, "targets": [trace]},
        {"type": "logs", "title": "Log lines of the notification", "datasource": loki, "targets": [lines]},
    ]


def _source(kind: str) -> dict[str, Any]:
    return {"name": kind, "type": "datasource", "query": kind, "label": kind.capitalize()}


def _text(name: str) -> dict[str, Any]:
    return {"name": name, "type": "textbox", "label": name.replace("_", " "), "query": ""}


def _dashboard(name: str, panels: list[dict[str, Any]], variables: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uid": f"clarion-{name}", "title": f"Clarion: {name}", "tags": ["clarion"], "schemaVersion": 39, "editable": False,
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "templating": {"list": variables}, "panels": panels,
    }  # fmt: skip
