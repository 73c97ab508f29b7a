"""What rules and dashboards use is in a scrape of the running system, with those labels."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from devstack.client import Client
from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.repo.test_telemetry import expressions, used
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

# Counters that begin with an event which this test does not bring about: a store away, a crash, a refused sender, a hostile message.
# That the code makes them is tested in tests/repo/test_telemetry.py.
RARE = frozenset(
    {
        "clarion_admission_local_total",
        "clarion_breaker_isolated",
        "clarion_delivery_sender_refused_total",
        "clarion_ledger_unknown_total",
        "clarion_ledger_unprotected_total",
        "clarion_outbox_given_up_total",
        "clarion_periodic_failures_total",
        "clarion_push_pruning_stopped_total",
        "clarion_render_processes_ended_total",
        "clarion_settlement_unreadable_total",
        "clarion_webhooks_attempt_seconds_count",
    }
)


async def _scrape(system: System) -> dict[str, set[str]]:
    """Every metric of every process with its labels."""
    found: dict[str, set[str]] = {}
    async with httpx.AsyncClient() as http:
        for port in system.processes.metrics_ports.values():
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text
            assert "scrape@example.com" not in text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_each_metric_and_label_of_rules_and_dashboards_is_in_a_scrape(system: System) -> None:
    wanted = {metric: labels for metric, labels in used(expressions()).items() if metric not in RARE}
    await system.client.create_template("scraped", "email", WELCOME)
    user = await system.client.create_user("scrape@example.com")
    await system.client.settled(await system.client.send(user, "email", "scraped", {"name": "S"}))
    system.smtp.script("scrape-refused@example.com", replies("550 5.2.1 Mailbox disabled"))
    refused = await system.client.create_user("scrape-refused@example.com")
    await system.client.settled(await system.client.send(refused, "email", "scraped", {"name": "S"}))
    await system.client.call("DELETE", f"/v1/users/{user}")
    missing: list[str] = []
    try:
        async with asyncio.timeout(60):
            while True:
                found = await _scrape(system)
                missing = [metric for metric, labels in wanted.items() if not labels <= found.get(metric, {"?"}) or metric not in found]
                if not missing:
                    break
                await asyncio.sleep(0.5)  # the gateway measures every 15 s and offers no event
    except TimeoutError:
        pytest.fail(f"not in any scrape, or without these labels: { {name: wanted[name] for name in missing} }")


async def test_only_the_projects_that_an_operator_has_named_are_told_apart(system: System) -> None:
    """What callers make adds no series."""
    project = "unnamed-in-metrics"
    await system.client.call("POST", "/v1/projects", {"id": project})
    scopes = ["users:write", "templates:write", "notifications:send", "notifications:read"]
    key = await system.client.call("POST", "/v1/api-keys", {"name": "k", "project": project, "scopes": scopes})
    async with Client(system.processes.url, key["secret"]) as other:
        for client in (system.client, other):
            await client.create_template("scraped", "email", WELCOME)
            user = await client.create_user("scraped-by-project@example.com")
            assert (await client.settled(await client.send(user, "email", "scraped", {"name": "S"})))["status"] == "sent"
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{system.processes.metrics_ports['email_worker']}/metrics")).raise_for_status().text
    assert project not in text
    counts = [
        sample.labels["project"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "clarion_delivery_handover_seconds_count"
    ]
    assert {*counts} == {"default", "other"}
