"""A push template with FCM's own objects, from REST to FCM; and a token that FCM does not know, from FCM to REST."""

import pytest

from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

CONTENT = {
    "title": "Order {{ order }}",
    "body": "is on its way",
    "android": {"notification": {"channel_id": "orders", "click_action": "OPEN_ORDER"}, "ttl": "3600s"},
    "apns": {"payload": {"aps": {"badge": "{{ unread }}", "sound": "default", "thread-id": "orders", "mutable-content": 1}}},
    "webpush": {"headers": {"Urgency": "low"}, "fcm_options": {"link": "https://example.com/{{ order }}"}},
}


async def test_platform_blocks_reach_fcm_as_it_spells_them(system: System) -> None:
    await system.client.create_template("blocks", "push", {"en": CONTENT})
    user = await system.client.create_user("blocks@example.com")
    await system.client.call("POST", f"/v1/users/{user}/devices", {"token": "token-of-blocks", "platform": "ios"})
    sent = await system.client.settled(await system.client.send(user, "push", "blocks", {"order": "17", "unread": 3}), timeout_s=60)
    assert sent["status"] == "sent"
    (message,) = [push.message for push in system.fcm.pushes if push.token == "token-of-blocks"]
    assert message["android"]["notification"] == {"tag": sent["id"], "channel_id": "orders", "click_action": "OPEN_ORDER"}
    assert message["android"]["ttl"] == "3600s"
    assert message["apns"]["payload"] == {"aps": {"badge": 3, "sound": "default", "thread-id": "orders", "mutable-content": 1}}
    assert message["webpush"]["headers"]["Urgency"] == "low"
    assert message["webpush"]["fcm_options"] == {"link": "https://example.com/17"}


async def test_a_token_that_is_gone_is_shown_and_restored(system: System) -> None:
    await system.client.create_template("blocks-gone", "push", {"en": CONTENT})
    user = await system.client.create_user("gone@example.com")
    devices = f"/v1/users/{user}/devices"
    await system.client.call("POST", devices, {"token": "unregistered-phone", "platform": "android"})
    failed = await system.client.settled(await system.client.send(user, "push", "blocks-gone", {"order": "17", "unread": 3}), timeout_s=60)
    assert failed["status"] == "failed"
    assert (await system.client.call("GET", devices)).get("devices", []) == []
    (tombstone,) = (await system.client.call("GET", f"{devices}?show_removed=true"))["devices"]
    assert tombstone["remove_reason"] == "UNREGISTERED"
    assert tombstone["remove_time"]
    await system.client.call("POST", devices, {"token": "unregistered-phone", "platform": "android"})
    (device,) = (await system.client.call("GET", devices))["devices"]
    assert device["id"] == tombstone["id"]
