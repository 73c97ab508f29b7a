"""The audit log through the gateway: who asked, also for what the gateway does on others' behalf."""

import pytest

from devstack.client import Client, RefusedError
from tests.system.conftest import System

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
