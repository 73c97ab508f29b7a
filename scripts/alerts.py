"""The alerts and the service level as data: `python -m scripts.gen_telemetry` writes them for Prometheus, with a test that fires each.

The service level: 99 % of the notifications that a provider takes are taken within 2 s of being due. Its alerts compare how fast the error
budget of 30 days is used up in two windows each, after Google's "The Site Reliability Workbook", chapter 5, "Alerting on SLOs".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OBJECTIVE = 0.99
WITHIN = "2.0"  # a bound of the buckets in mesh/process/telemetry.py
HANDOVER = "clarion_delivery_handover_seconds"
RUNBOOK = "docs/runbooks.md"
PROCESSES = ("gateway", "user-svc", "template-svc", "email-worker", "push-worker", "webhooks")
# Severity, how many times too fast, the long window and the short one that ends the alert soon after its cause.
BURNS = (("page", 14.4, "1h", "5m"), ("page", 6.0, "6h", "30m"), ("ticket", 3.0, "1d", "2h"), ("ticket", 1.0, "3d", "6h"))

Series = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """`fires_on` are series in promtool's notation with which it fires after `after`, with the labels `labels` beside its severity."""

    name: str
    expr: str
    summary: str
    fires_on: Series
    severity: str = "page"
    wait: str = "5m"
    after: str = "30m"
    labels: Series = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        """The page's section, which is headed by the alert's name."""
        return f"{RUNBOOK}#{self.name.lower()}"


def ratio(window: str) -> str:
    """The name of the recorded share of late hand-overs, by lane."""
    return f"lane:{HANDOVER}_late:ratio_rate{window}"


def recordings() -> Sequence[tuple[str, str]]:
    """Recorded series and what they are made of."""
    windows = sorted({window for _, _, long, short in BURNS for window in (long, short)}, key=_minutes)
    return [(ratio(window), _late(window)) for window in windows]


def _late(window: str) -> str:
    within = f'sum by (lane) (rate({HANDOVER}_bucket{{le="{WITHIN}"}}[{window}]))'
    return f"1 - {within} / (sum by (lane) (rate({HANDOVER}_count[{window}])) > 0)"


def _minutes(window: str) -> int:
    return int(window[:-1]) * {"m": 1, "h": 60, "d": 1440}[window[-1]]


def _grew(selector: str, by: str, window: str = "1h") -> str:
    """Whether a counter has grown, or began with the first event, which `increase` does not see."""
    return f"sum by ({by}) (increase({selector}[{window}])) > 0 or sum by ({by}) ({selector} unless {selector} offset {window}) > 0"


def _burn(severity: str, factor: float, long: str, short: str) -> Alert:
    most = f"{factor:g} * {1 - OBJECTIVE:.2g}"
    return Alert(
        f"ClarionBudgetBurns{long}",
        f"{ratio(long)} > {most} and {ratio(short)} > {most}",
        f"Hand-overs of the lane {{{{ $labels.lane }}}} are late: the budget of 30 days is used up {factor:g} times too fast.",
        {
            f'{HANDOVER}_bucket{{lane="normal",channel="email",le="{WITHIN}"}}': "0+50x8000",
            f'{HANDOVER}_count{{lane="normal",channel="email"}}': "0+100x8000",
        },
        severity,
        "2m" if severity == "page" else "15m",
        {"1h": "2h", "6h": "8h", "1d": "26h", "3d": "74h"}[long],
        {"lane": "normal"},
    )


def _counted(name: str, selector: str, by: str, labels: Series, summary: str, *, severity: str = "page") -> Alert:
    """An alert on a counter whose every increase is one too many."""
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    metric = selector.partition("{")[0]
    shown = {key: labels[key] for key in by.split(", ") if key in labels}
    return Alert(name, _grew(selector, by), summary, {f"{metric}{{{inside}}}": "_x20 1x100"}, severity, "0m", "30m", shown)


# Timers of an event loop that ran late, of all: what one call computes without pause, all others wait for.
_LAGGING = (
    '1 - sum by (job, instance) (rate(clarion_loop_lag_seconds_bucket{le="0.25"}[5m]))'
    " / sum by (job, instance) (rate(clarion_loop_lag_seconds_count[5m])) > 0.05"
)
ALERTS: tuple[Alert, ...] = (
    *(_burn(*burn) for burn in BURNS),
    Alert(
        "ClarionProcessDown",
        f'up{{job=~"{"|".join(PROCESSES)}"}} == 0',
        "A process of {{ $labels.job }} does not answer Prometheus.",
        {'up{job="gateway",instance="a"}': "0x60"}, labels={"job": "gateway", "instance": "a"},
    ),
    Alert(
        "ClarionOutboxWaits", "max(clarion_outbox_oldest_age_seconds) > 60",
        "The oldest notification that is due and not on the bus has waited for {{ $value | humanizeDuration }}.",
        {"clarion_outbox_oldest_age_seconds": "90x60"},
    ),
    Alert(
        "ClarionOutboxUnmeasured", "absent(clarion_outbox_size)",
        "No gateway can measure the way onto the bus: its database or the broker is away.",
        {"clarion_queue_depth": "0x60"}, wait="10m",
    ),
    Alert(
        "ClarionStuck", "max(clarion_outbox_stuck) > 0",
        "{{ $value }} published notifications have no outcome: a broker has lost them or a worker drops them.",
        {"clarion_outbox_stuck": "3x60"}, "ticket",
    ),
    _counted("ClarionGivenUp", "clarion_outbox_given_up_total", "job", {"job": "gateway"},
             "Notifications without an outcome went to the dead letters as STUCK."),
    Alert(
        "ClarionOutcomesWait", 'max by (queue) (clarion_queue_depth{queue=~"outcome.queue|failed.queue"}) > 100',
        "{{ $value }} messages wait in {{ $labels.queue }}: no gateway takes them.",
        {'clarion_queue_depth{queue="outcome.queue"}': "500x60"}, labels={"queue": "outcome.queue"},
    ),
    Alert(
        "ClarionBreakerOpen", "max by (breaker) (clarion_breaker_state) == 2",
        "The breaker {{ $labels.breaker }} is open: what it leads to fails.",
        {'clarion_breaker_state{breaker="smtp"}': "2x60"}, labels={"breaker": "smtp"},
    ),
    Alert(
        "ClarionWorkerIsolated", "max by (job, instance, breaker) (clarion_breaker_isolated) > 0",
        "{{ $labels.instance }} alone does not reach {{ $labels.breaker }}, and others do.",
        {'clarion_breaker_isolated{breaker="smtp",job="email-worker",instance="a"}': "1x60"}, "ticket",
        labels={"breaker": "smtp", "job": "email-worker", "instance": "a"},
    ),
    _counted("ClarionSenderRefused", "clarion_delivery_sender_refused_total", "provider, reason", {"provider": "smtp", "reason": "AUTH"},
             "{{ $labels.provider }} refuses this sender ({{ $labels.reason }}): account, address or configuration."),
    Alert(
        "ClarionDeadLettersWait", "max by (channel) (clarion_dead_letters_oldest_age_seconds) > 172800",
        "The oldest dead letter of {{ $labels.channel }} has waited for {{ $value | humanizeDuration }}.",
        {'clarion_dead_letters_oldest_age_seconds{channel="email"}': "200000x60"}, "ticket", labels={"channel": "email"},
    ),
    _counted("ClarionSagaSuspended", 'clarion_saga_settled_total{state="suspended"}', "kind", {"state": "suspended", "kind": "erasure"},
             "A saga of the kind {{ $labels.kind }} needs a person.", severity="ticket"),
    Alert(
        "ClarionLoopLags", _LAGGING,
        "The event loop of {{ $labels.instance }} is often more than 0.25 s late.",
        {'clarion_loop_lag_seconds_bucket{le="0.25",job="gateway",instance="a"}': "0+200x60",
         'clarion_loop_lag_seconds_count{job="gateway",instance="a"}': "0+240x60"},
        "ticket", wait="10m", labels={"job": "gateway", "instance": "a"},
    ),
    Alert(
        "ClarionPeriodicFails", "sum by (work) (increase(clarion_periodic_failures_total[15m])) > 5",
        "The background work {{ $labels.work }} keeps failing.",
        {'clarion_periodic_failures_total{work="relay-sweeper"}': "0+1x60"}, "ticket", labels={"work": "relay-sweeper"},
    ),
    Alert(
        "ClarionClockSkew", "max by (job, instance) (abs(clarion_clock_skew_seconds)) > 30",
        "The clock of {{ $labels.instance }} is {{ $value | humanizeDuration }} off.",
        {'clarion_clock_skew_seconds{job="gateway",instance="a"}': "-45x60"}, labels={"job": "gateway", "instance": "a"},
    ),
    _counted("ClarionLedgerUnprotected", "clarion_ledger_unprotected_total", "job", {"job": "email-worker"},
             "Deliveries are made without protection against doubles: Redis is away."),
    _counted("ClarionAdmissionLocal", "clarion_admission_local_total", "job", {"job": "gateway"},
             "Limits count for each gateway alone: Redis is away.", severity="ticket"),
    _counted("ClarionUnreadable", "clarion_settlement_unreadable_total", "job", {"job": "gateway"},
             "The gateway got messages that it can't read.", severity="ticket"),
    _counted("ClarionPruningStopped", "clarion_push_pruning_stopped_total", "job", {"job": "push-worker"},
             "FCM calls too many devices gone: none is removed until an operator has looked.", severity="ticket"),
    _counted("ClarionRenderProcessEnded", "clarion_render_processes_ended_total", "cause", {"cause": "crash"},
             "A render process ended at work: {{ $labels.cause }}.", severity="ticket"),
    Alert(
        "ClarionCallsFail",
        'sum by (job) (rate(clarion_rpc_server_duration_seconds_count{code=~"INTERNAL|UNAVAILABLE|DATA_LOSS|UNKNOWN"}[5m]))'
        " / (sum by (job) (rate(clarion_rpc_server_duration_seconds_count[5m])) > 0) > 0.01",
        "{{ $value | humanizePercentage }} of the calls of {{ $labels.job }} fail.",
        {
            'clarion_rpc_server_duration_seconds_count{job="gateway",code="UNAVAILABLE"}': "0+10x60",
            'clarion_rpc_server_duration_seconds_count{job="gateway",code="OK"}': "0+90x60",
        },
        labels={"job": "gateway"},
    ),
)  # fmt: skip
