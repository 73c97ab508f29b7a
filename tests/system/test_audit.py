"""The audit log through the gateway: who asked, also for what the gateway does on others' behalf."""

import pytest

from devstack.client import Client, RefusedError
from tests.system.conftest import System
from tests.waiting import until_answered

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_an_export_and_an_erasure_name_who_asked_and_not_the_gateway(system: System) -> None:
    user = await system.client.create_user("audited@example.com")
    made = await system.client.call("POST", "/v1/api-keys", {"name": "officer", "scopes": ["users:read", "users:write", "users:export"]})
    async with Client(system.processes.url, made["secret"]) as officer:
        assert len([line async for line in officer.lines(f"/v1/users/{user}:exportPersonalData")]) > 0
        await officer.call("DELETE", f"/v1/users/{user}")
        with pytest.raises(RefusedError) as refused:
            await officer.call("GET", "/v1/audit-events")
    assert refused.value.status == 403
    events = (await system.client.call("GET", f"/v1/audit-events?subject=user:{user}&kinds=user_erased&kinds=data_exported"))[
        "audit_events"
    ]
    who = f"api_key:{made['api_key']['id']}"
    assert [(event["kind"], event["actor"]) for event in events] == [("user_erased", who), ("data_exported", who)]
    assert events[1]["correlation_id"]


async def test_senders_and_templates_are_in_the_log_with_who_changed_them(system: System) -> None:
    """template_svc writes them down and hands them over."""
    scopes = ["senders:write", "templates:read", "templates:write"]
    made = await system.client.call("POST", "/v1/api-keys", {"name": "brand", "scopes": scopes})
    async with Client(system.processes.url, made["secret"]) as brand:
        await brand.call("PUT", "/v1/sender-domains/audited.example")
        await brand.call("PUT", "/v1/senders/audited", {"email": "audited@trusted.example"})
        await brand.call("DELETE", "/v1/senders/audited")
        await brand.call("POST", "/v1/templates", {"name": "audited", "channel": "email"})
        await brand.call("POST", "/v1/templates/audited/versions", {"contents": {"en": {"subject": "Hi", "text": "Hi"}}, "publish": True})
        await brand.call("POST", "/v1/templates/audited:archive")
    actor = f"api_key:{made['api_key']['id']}"
    found: list[tuple[str, str]] = []

    async def all_there() -> bool:
        events = (await system.client.call("GET", f"/v1/audit-events?actor={actor}"))["audit_events"]
        found[:] = [(event["kind"], event["subject"]) for event in reversed(events)]
        return len(found) >= 5

    await until_answered(all_there)
    assert found == [
        ("sender_domain_added", "sender_domain:audited.example"),
        ("sender_changed", "sender:audited"),
        ("sender_deleted", "sender:audited"),
        ("template_published", "template:audited"),
        ("template_archived", "template:audited"),
    ]
    await system.client.call("DELETE", "/v1/sender-domains/audited.example")
