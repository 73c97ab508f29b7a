"""What a provider posts about a mail that an SMTP server has received: the timeline, the suppression and the feed say so."""

import json
from typing import Any

import httpx
import pytest

from devstack.samples import WELCOME
from tests.provider_requests import grid_event, grid_request
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

ADDRESS = "/provider-events/sendgrid"


async def _sent(system: System, address: str) -> tuple[str, str]:
    """A notification that was sent, and the argument that its mail carries for the provider."""
    await system.client.create_template("later-facts", "email", WELCOME)
    sent = await system.client.send(await system.client.create_user(address), "email", "later-facts", {"name": "Ada"})
    assert (await system.client.settled(sent))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if address in mail.recipients]
    return sent, json.loads(str(mail.message["X-SMTPAPI"]))["unique_args"]["clarion_notification_id"]


async def _post(system: System, request: tuple[dict[str, str], bytes]) -> httpx.Response:
    headers, body = request
    async with httpx.AsyncClient(base_url=system.processes.url) as provider:
        return await provider.post(ADDRESS, headers=headers, content=body)


async def _facts_of(system: System, sent: str) -> list[str]:
    timeline = (await system.client.call("GET", f"/v1/notifications/{sent}"))["timeline"]
    return [entry["fact"] for entry in timeline if "fact" in entry]


async def test_a_bounce_stands_on_the_timeline_the_suppression_list_and_the_feed(system: System) -> None:
    address = "gone-later@example.com"
    sent, argument = await _sent(system, address)
    assert argument == sent
    events = [
        grid_event("delivered", email=address, clarion_notification_id=argument, sg_event_id="one"),
        grid_event(
            "bounce", email=address, type="bounce", status="5.1.1", reason=f"550 no {address}", clarion_notification_id=argument,
            sg_event_id="two", timestamp=1513299570,
        ),
        grid_event("open", clarion_notification_id=argument, sg_event_id="three"),  # not asked for
    ]  # fmt: skip
    for _ in range(2):  # SendGrid repeats what it is not sure of
        assert (await _post(system, grid_request(events))).status_code == 200
    found = await system.client.call("GET", f"/v1/notifications/{sent}")
    assert found["status"] == "sent"
    assert await _facts_of(system, sent) == ["delivered", "hard_bounced"]
    assert (found["timeline"][-1]["detail"], found["timeline"][-1]["provider"]) == ("550 no (address)", "sendgrid")
    listed: list[dict[str, Any]] = (await system.client.call("GET", "/v1/suppressions?page_size=200"))["suppressions"]
    [entry] = [one for one in listed if one["address"] == address]
    assert (entry["reason"], entry["evidence"]) == ("bounce", "sendgrid 5_1_1 550 no (address)")
    changes: list[dict[str, Any]] = []
    cursor, more = "", True
    while more or len(changes) < 2:
        page = await system.client.call("GET", f"/v1/changes?page_size=1000&template=later-facts&cursor={cursor}")
        changes += [one for one in page.get("changes", []) if one["notification_id"] == sent and "fact" in one]
        cursor, more = page.get("next_cursor", ""), page.get("has_more", False)
    assert [(one["status"], one["fact"]) for one in changes] == [("sent", "delivered"), ("sent", "hard_bounced")]


async def test_what_the_provider_has_not_signed_changes_nothing_and_says_why(system: System) -> None:
    sent, argument = await _sent(system, "forged@example.com")
    headers, body = grid_request([grid_event("spamreport", clarion_notification_id=argument)])
    forged = await _post(system, (headers, body.replace(b"cat", b"dog")))
    assert (forged.status_code, "SIGNATURE_INVALID" in forged.text) == (401, True)
    assert (await _post(system, (headers, b"x" * 3_000_000))).status_code == 413
    async with httpx.AsyncClient(base_url=system.processes.url) as other:
        assert (await other.get(ADDRESS)).status_code == 405
        assert (await other.post("/provider-events/mailgun", content=b"{}")).status_code == 404
    assert await _facts_of(system, sent) == []
