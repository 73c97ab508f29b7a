"""Write deploy/ and k8s/components/monitoring from scripts/alerts.py and scripts/dashboards.py; `--check` says whether they are fresh."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from scripts.alerts import ALERTS, Alert, recordings
from scripts.dashboards import dashboards
from scripts.gen import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "clarion.rules.yaml"
# The same for the Prometheus operator.
OPERATOR_RULES = ROOT / "k8s" / "components" / "monitoring" / "rules.yaml"
# Those of the service level look back for days, so theirs are evaluated less often.
RULES_TESTS = {"1m": DEPLOY / "prometheus" / "clarion.rules.test.yaml", "10m": DEPLOY / "prometheus" / "clarion.budget.test.yaml"}
# In the order of evaluation: alerts read what is recorded.
_GROUPS = ("clarion-service-level", "clarion")
_NOTE = "# Written by `python -m scripts.gen_telemetry` from scripts/alerts.py.\n"


def _rules() -> dict[str, Any]:
    recording, alerting = _GROUPS
    recorded = [{"record": name, "expr": expr} for name, expr in recordings()]
    return {
        "groups": [
            {"name": recording, "interval": "1m", "rules": recorded},
            {"name": alerting, "rules": [_rule(alert) for alert in ALERTS]},
        ]
    }


def _operator_rules() -> dict[str, Any]:
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "clarion"}, "spec": _rules()}


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }


def _test(alert: Alert) -> dict[str, Any]:
    """The alert fires with its series. The values of summaries are not compared: `promtool test rules` would want them to the letter."""
    labels = {"alertname": alert.name, "alertstate": "firing", "severity": alert.severity, **alert.labels}
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    shown = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return {
        "interval": "1m",
        "name": alert.name,
        "input_series": [{"series": series, "values": values} for series, values in alert.fires_on.items()],
        "promql_expr_test": [
            {"expr": f"ALERTS{{{inside}}}", "eval_time": alert.after, "exp_samples": [{"labels": f"ALERTS{{{shown}}}", "value": 1}]}
        ],
    }


def wanted() -> dict[Path, str]:
    """The files and what should be in them."""
    files = {RULES: _NOTE + _yaml(_rules()), OPERATOR_RULES: _NOTE + _yaml(_operator_rules())}
    for interval, path in RULES_TESTS.items():
        chosen = [alert for alert in ALERTS if (interval == "10m") == alert.name.startswith("ClarionBudget")]
        head = {"rule_files": [RULES.name], "evaluation_interval": interval, "group_eval_order": list(_GROUPS)}
        files[path] = _NOTE + _yaml({**head, "tests": [_test(alert) for alert in chosen]})
    for name, dashboard in dashboards().items():
        files[DEPLOY / "grafana" / f"{name}.json"] = json.dumps(dashboard, indent=2) + "\n"
    return files


def _yaml(value: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, width=1000, allow_unicode=True)
    return text


def stale() -> list[str]:
    """The names of files that are missing, not fresh, or there without a source."""
    files = wanted()
    found = {path for folder in (RULES.parent, DEPLOY / "grafana") for path in folder.glob("*")}
    changed = {path for path, text in files.items() if not path.exists() or path.read_text() != text}
    return sorted(str(path.relative_to(ROOT)) for path in changed | (found - files.keys()))


def main() -> None:
    """Write the files, or only compare them."""
    if "--check" in sys.argv[1:]:
        if changed := stale():
            raise SystemExit(f"not fresh, run `make telemetry`: {', '.join(changed)}")
        return
    for path, text in wanted().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
