"""What is to be sent at a time by the person's own clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devstack.client import RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_nine_in_the_morning_is_nine_where_each_person_is(system: System) -> None:
    client = system.client
    await client.create_template("local-time", "email", WELCOME)
    zones = ["Asia/Kolkata", "America/Los_Angeles", "Europe/Paris", "UTC"]
    people = [
        (await client.call("POST", "/v1/users", {"email": f"local{number}@example.com", "timezone": zone}))["id"]
        for number, zone in enumerate(zones)
    ]
    fields = {"channel": "email", "template": "local-time", "variables": {"name": "Ada"}}
    requests = [{**fields, "user_id": person, "send_at_local": "09:00"} for person in people]
    requests.append({**fields, "to": {"email": "local-new@example.com", "timezone": "Asia/Tokyo"}, "send_at_local": "09:00"})
    answer = await client.call("POST", "/v1/notifications:batch", {"requests": requests})
    now = datetime.now(UTC)
    for result, zone in zip(answer["results"], [*zones, "Asia/Tokyo"], strict=True):
        assert result["accepted"]["status"] == "scheduled"
        found = await client.call("GET", f"/v1/notifications/{result['accepted']['id']}")
        moment = datetime.fromisoformat(found["send_at"])
        assert f"{moment.astimezone(ZoneInfo(zone)):%H:%M}" == "09:00"
        assert now < moment <= now + timedelta(hours=26)
        await client.call("POST", f"/v1/notifications/{found['id']}:cancel", {})


async def test_a_local_time_that_is_over_means_at_once_and_one_that_is_none_is_refused(system: System) -> None:
    client = system.client
    await client.create_template("local-past", "email", WELCOME)
    user = await client.create_user("local-past@example.com", name="Ada")
    body = {"user_id": user, "channel": "email", "template": "local-past", "variables": {"name": "Ada"}}
    sent = await client.call("POST", "/v1/notifications", {**body, "send_at_local": "2020-01-01T09:00"})
    assert (await client.settled(sent["id"]))["status"] == "sent"
    for wrong in ("9 am", "09:00+02:00", "2030-02-30T09:00", "2030-01-31T09:00:00+02:00"):
        with pytest.raises(RefusedError) as refused:
            await client.call("POST", "/v1/notifications", {**body, "send_at_local": wrong})
        assert (refused.value.status, "send_at_local: " in refused.value.body["message"]) == (400, True)
        assert "characters" not in refused.value.body["message"]  # that it has a zone is what is wrong
