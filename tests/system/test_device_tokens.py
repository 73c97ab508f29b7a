"""Sending to a device that need not be a user's: it is one from then on, with all that holds for users."""

from typing import Any

import pytest

from devstack.client import RefusedError
from devstack.fcm import fails
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

CONTENT = {"en": {"title": "Order", "body": "It is on its way"}, "de": {"title": "Bestellung", "body": "Sie ist unterwegs"}}
BASE = {"channel": "push", "template": "to-a-device"}


async def send(system: System, **fields: Any) -> Any:
    await system.client.create_template("to-a-device", "push", CONTENT)
    return await system.client.call("POST", "/v1/notifications", {**BASE, **fields})


async def settled(system: System, accepted: Any) -> Any:
    return await system.client.settled(accepted["id"], timeout_s=60)


def pushes(system: System, token: str) -> list[str]:
    return [push.message["notification"]["title"] for push in system.fcm.pushes if push.token == token]


async def test_a_push_goes_to_a_device_in_the_language_that_is_given(system: System) -> None:
    to = {"device_token": "token-of-no-user", "platform": "ios", "locale": "de", "timezone": "Europe/Berlin"}
    first = await settled(system, await send(system, to=to))
    second = await settled(system, await send(system, to={"device_token": "token-of-no-user", "locale": "en"}))
    assert (first["status"], second["user_id"]) == ("sent", first["user_id"])
    assert pushes(system, "token-of-no-user") == ["Bestellung", "Bestellung"]
    (device,) = (await system.client.call("GET", f"/v1/users/{first['user_id']}/devices"))["devices"]
    assert device["platform"] == "ios"


async def test_a_push_to_one_device_of_a_user_reaches_no_other(system: System) -> None:
    user = await system.client.create_user("several-phones@example.com")
    for token in ("first-of-several", "second-of-several"):
        await system.client.call("POST", f"/v1/users/{user}/devices", {"token": token, "platform": "android"})
    sent = await settled(system, await send(system, to={"device_token": "second-of-several"}))
    assert (sent["status"], sent["user_id"]) == ("sent", user)
    assert (pushes(system, "first-of-several"), pushes(system, "second-of-several")) == ([], ["Order"])


async def test_a_token_that_is_gone_is_not_tried_again(system: System) -> None:
    """Until an app registers it."""
    token = "unregistered-of-no-user"
    system.fcm.script(token, fails(404, "NOT_FOUND", "UNREGISTERED"))
    assert (await settled(system, await send(system, to={"device_token": token})))["status"] == "failed"
    skipped = await settled(system, await send(system, to={"device_token": token}))
    assert (skipped["status"], skipped["reason"]) == ("skipped", "NO_DEVICE")
    assert "no_device" in str(await system.client.call("GET", f"/v1/notifications/{skipped['id']}"))
    await system.client.call("POST", f"/v1/users/{skipped['user_id']}/devices", {"token": token, "platform": "android"})


async def test_preferences_hold_for_it_and_it_is_erased_by_its_token(system: System) -> None:
    token = "erased-of-no-user"
    user = (await settled(system, await send(system, to={"device_token": token})))["user_id"]
    found = await system.client.call("POST", "/v1/users:lookUp", {"device_token": token})
    assert (found["id"], found.get("email", "")) == (user, "")
    rules = {"rules": [{"channel": "push", "category": "news", "choice": "deny"}]}
    await system.client.call("PATCH", f"/v1/users/{user}/preferences", rules)
    refused = await settled(system, await send(system, to={"device_token": token}, category="news"))
    assert (refused["status"], refused["user_id"]) == ("skipped", user)
    assert (await system.client.call("DELETE", f"/v1/users/{user}"))["completed"]
    with pytest.raises(RefusedError, match="USER_NOT_FOUND"):
        await system.client.call("POST", "/v1/users:lookUp", {"device_token": token})
    assert (await settled(system, await send(system, to={"device_token": token})))["user_id"] != user


async def test_a_batch_takes_devices_and_no_log_shows_a_token(system: System) -> None:
    await send(system, to={"device_token": "crowd-0"})
    items = [{**BASE, "to": {"device_token": f"crowd-{number % 5}"}} for number in range(50)]
    answer = await system.client.call("POST", "/v1/notifications:batch", {"requests": items})
    people = {(await settled(system, result["accepted"]))["user_id"] for result in answer["results"]}
    assert (answer["accepted_count"], len(people)) == (50, 5)
    assert sum(len(pushes(system, f"crowd-{number}")) for number in range(5)) == 51
    with pytest.raises(RefusedError) as refused:
        await send(system, to={"device_token": "crowd with spaces"})
    assert "crowd" not in str(refused.value.body)
    logs = [path.read_text(errors="replace") for path in system.processes.folder.rglob("*.log")]
    assert logs
    assert not any(token in log for token in ("crowd-", "of-no-user") for log in logs)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"to": {"device_token": "t"}, "user_id": "crm-1"}, "to"),
        ({"to": {"device_token": "t"}, "channel": "email"}, "to"),
        ({"to": {"device_token": "t", "email": "a@example.com"}}, "to.device_token"),
        ({"to": {"platform": "ios"}}, "to.email"),
    ],
)
async def test_what_can_be_no_device_is_refused(system: System, fields: Any, named: str) -> None:
    await system.client.create_template("to-an-address", "email", WELCOME)
    with pytest.raises(RefusedError) as refused:
        await send(system, **fields)
    violations = next(detail["field_violations"] for detail in refused.value.body["details"] if "field_violations" in detail)
    assert (refused.value.status, violations[0]["field"]) == (400, named)
