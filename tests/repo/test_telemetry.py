"""Rules and dashboards are fresh, use metrics and labels that the code has, and each alert fires and has its section in the runbooks."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts.alerts import ALERTS, RUNBOOK, recordings
from scripts.dashboards import PAGES
from scripts.gen_telemetry import RULES, RULES_TESTS, stale

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mesh", "delivery", "gateway", "user_svc", "template_svc", "email_worker", "push_worker")
# What Prometheus adds to whatever it scrapes, and the bound of a bucket.
SCRAPED = {"job", "instance", "le"}
# What prometheus_client adds of its own; that a scrape has it is tested in tests/system/test_scrape.py.
LIBRARY = "process_"
SUFFIXES = re.compile(r"(_total|_bucket|_count|_sum)?$")


def expressions() -> list[str]:
    """Every expression of rules and dashboards, without the names of recorded series."""
    found = [alert.expr for alert in ALERTS] + [expr for _, expr in recordings()]
    found += [expr for panels in PAGES.values() for panel in panels for expr, _ in panel.queries]
    return [re.sub(r"lane:\w+:\w+", "recorded", expr) for expr in found]


def used(expressions: list[str]) -> dict[str, set[str]]:
    """Each metric with the labels that an expression selects or groups it by."""
    found: dict[str, set[str]] = {}
    for expr in expressions:
        groups = {name.strip() for by in re.findall(r"\bby \(([^)]*)\)", expr) for name in by.split(",")}
        for metric, selector in re.findall(r"\b((?:clarion|process)_\w+)(\{[^}]*\})?", expr):
            found.setdefault(metric, set()).update(groups - SCRAPED, set(re.findall(r"(\w+)=", selector)) - SCRAPED)
    return found


@cache
def instruments() -> dict[str, set[str]]:
    """All metrics that the code makes, as Prometheus shows them but for a suffix, with the words of the dictionaries in their modules."""
    found: dict[str, set[str]] = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        keys = {key.value for node in nodes if isinstance(node, ast.Dict) for key in node.keys if isinstance(key, ast.Constant)}
        found |= {name: {str(key) for key in keys} for name in _names(nodes)}
    return found


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Call(args=[ast.Constant(value=str(name)), *rest]) if name.startswith("clarion."):
                seconds = any(isinstance(part, ast.Constant) and part.value == "s" for part in rest)
                yield name.replace(".", "_") + ("_seconds" if seconds else "")


def test_the_files_are_those_of_their_source() -> None:
    """`make telemetry` writes them."""
    assert stale() == []


@pytest.mark.parametrize("metric", sorted(metric for metric in used(expressions()) if not metric.startswith(LIBRARY)))
def test_a_metric_that_a_rule_or_a_panel_uses_is_one_that_the_code_makes(metric: str) -> None:
    """Its labels stand in the same module, and in a scrape too where tests/system/test_scrape.py brings the metric about."""
    assert used(expressions())[metric] <= instruments()[SUFFIXES.sub("", metric)]


def test_each_alert_has_a_section_that_says_what_to_do() -> None:
    sections = dict(re.findall(r"^### (Clarion\w+)\n\n(.+?)(?=\n##|\Z)", (ROOT / RUNBOOK).read_text(), re.MULTILINE | re.DOTALL))
    assert sections.keys() == {alert.name for alert in ALERTS}
    assert [name for name, text in sections.items() if len(text) < 80] == []


def test_a_dashboard_gives_each_panel_a_place_of_its_own() -> None:
    for path in sorted((ROOT / "deploy" / "grafana").glob("*.json")):
        panels = json.loads(path.read_text())["panels"]
        assert panels, path
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels), path


@pytest.mark.processes
@pytest.mark.parametrize("tests", RULES_TESTS.values(), ids=lambda path: path.name)
def test_every_alert_fires_on_what_it_is_about(tests: Path) -> None:
    """By Prometheus's own rule tester, with series in which just that goes wrong."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: `make setup` installs it where it can")
    for command in (["check", "rules", RULES.name], ["test", "rules", tests.name]):
        done = subprocess.run([promtool, *command], cwd=RULES.parent, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
