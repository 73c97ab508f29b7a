"""What a notification said, read through every process after it was sent; and a dead letter that is sent again with another value."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.client import Client, RefusedError
from devstack.smtp import replies
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCHEMA = {
    "type": "object",
    "required": ["order", "code"],
    "properties": {"order": {"type": "string", "pattern": "^A-"}, "code": {"type": "string", "sensitive": True}},
}
CONTENTS = {
    "en": {"subject": "Order {{ order }}", "text": "Dear {{ user.name }}, the code of {{ order }} is {{ code }}."},
    "pl": {"subject": "Zamówienie {{ order }}", "text": "{{ user.name }}, kod {{ order }}: {{ code }}."},
}
VALUES = {"order": "A-17", "code": "tangerine-4711"}


async def a_template(system: System, name: str) -> None:
    await system.client.call("POST", "/v1/templates", {"name": name, "channel": "email"})
    await system.client.call("POST", f"/v1/templates/{name}/versions", {"contents": CONTENTS, "variables_schema": SCHEMA, "publish": True})


async def test_what_was_said_is_read_without_what_is_sensitive_and_is_on_record(system: System) -> None:
    """Only with the scope for it. The mail itself has the code, and the person's new name is that of the text."""
    await a_template(system, "said")
    user = await system.client.create_user("said@example.com", locale="pl", name="Ada")
    sent = await system.client.send(user, "email", "said", VALUES)
    assert (await system.client.settled(sent))["locale"] == "pl"
    [mail] = [mail for mail in system.smtp.mails if mail.recipients[0] == "said@example.com"]
    assert "tangerine-4711" in mail.message.get_content()
    await system.client.call("PATCH", f"/v1/users/{user}", {"locale": "en"})
    said: Any = await system.client.call("GET", f"/v1/notifications/{sent}/content")
    assert said["content"]["text"].strip() == "Ada, kod A-17: ***."
    assert (said["locale"], said["template_version"], said["masked_variables"]) == ("pl", 1, ["code"])
    events: Any = await system.client.call("GET", f"/v1/audit-events?kinds=content_read&subject=user:{user}")
    [event] = events["audit_events"]
    assert event["details"] == {"notification": sent}
    assert event["actor"].startswith("api_key:")
    narrow: Any = await system.client.call("POST", "/v1/api-keys", {"name": "narrow", "scopes": ["notifications:read"]})
    async with Client(system.processes.url, narrow["secret"]) as reader:
        with pytest.raises(RefusedError, match="notifications:content"):
            await reader.call("GET", f"/v1/notifications/{sent}/content")


async def test_what_has_a_sensitive_link_and_time_can_be_read_without_them(system: System) -> None:
    hidden = {"type": "string", "sensitive": True}
    schema = {"type": "object", "properties": {"link": hidden, "until": hidden}}
    texts = {"en": {"subject": "S", "html": '<a href="{{ link }}">Go</a> until {{ until | date }}'}}
    await system.client.call("POST", "/v1/templates", {"name": "linked", "channel": "email"})
    await system.client.call("POST", "/v1/templates/linked/versions", {"contents": texts, "variables_schema": schema, "publish": True})
    user = await system.client.create_user("linked@example.com")
    values = {"link": "https://example.com/?token=tangerine", "until": "2030-02-03T04:05:06Z"}
    sent = await system.client.send(user, "email", "linked", values)
    assert (await system.client.settled(sent))["status"] == "sent"
    said: Any = await system.client.call("GET", f"/v1/notifications/{sent}/content")
    assert said["masked_variables"] == ["link", "until"]
    assert 'href="https://***"' in said["content"]["html"]
    assert "1970" in said["content"]["html"]
    assert "tangerine" not in str(said)


async def test_it_is_gone_with_its_person(system: System) -> None:
    await a_template(system, "said-gone")
    user = await system.client.create_user("said-gone@example.com")
    sent = await system.client.send(user, "email", "said-gone", VALUES)
    await system.client.settled(sent)
    erasure: Any = await system.client.call("DELETE", f"/v1/users/{user}")
    await system.client.saga_completed(erasure["saga_id"])
    with pytest.raises(RefusedError, match="CONTENT_GONE") as caught:
        await system.client.call("GET", f"/v1/notifications/{sent}/content")
    assert caught.value.status == 410


async def test_a_letter_is_sent_again_with_another_value(system: System) -> None:
    """One that the schema refuses changes nothing."""
    await a_template(system, "said-again")
    user = await system.client.create_user("said-again@example.com")
    system.smtp.script("said-again@example.com", replies("550 5.2.1 Mailbox disabled"))
    sent = await system.client.send(user, "email", "said-again", VALUES)
    assert (await system.client.settled(sent))["status"] == "failed"
    path = f"/v1/dead-letters/{sent}:requeue"
    with pytest.raises(RefusedError, match=r"variables\.order.*\^A-"):
        await system.client.call("POST", path, {"variables": {"order": "B-18"}})
    requeued: Any = await system.client.call("POST", path, {"variables": {"order": "A-18"}})
    assert requeued["audit"][-1]["changed"] == ["variables"]
    assert (await system.client.settled(sent))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if mail.recipients[0] == "said-again@example.com"]
    assert mail.message.get_content().strip() == "Dear , the code of A-18 is tangerine-4711."


async def test_what_was_sent_is_sent_again_to_another_address(system: System) -> None:
    """In the language of the first one, with all of its values, under the rules of any send, once per key, and on record."""
    await a_template(system, "again")
    user = await system.client.create_user("lost@example.com", locale="pl", name="Ada")
    sent = await system.client.send(user, "email", "again", VALUES, metadata={"order": "17"})
    await system.client.settled(sent)
    body = {"to": {"email": "Found@example.com", "name": "Ada"}, "request_id": "again-1"}
    made: Any = await system.client.call("POST", f"/v1/notifications/{sent}:resend", body)
    repeated: Any = await system.client.call("POST", f"/v1/notifications/{sent}:resend", body)
    assert (repeated["id"], made["status"]) == (made["id"], "pending")
    read: Any = await system.client.settled(made["id"])
    assert (read["status"], read["resent_from"], read["locale"], read["metadata"]) == ("sent", sent, "pl", {"order": "17"})
    first: Any = await system.client.call("GET", f"/v1/notifications/{sent}")
    assert first["resent_from"] == ""
    [mail] = [mail for mail in system.smtp.mails if mail.recipients[0].lower() == "found@example.com"]
    assert "tangerine-4711" in mail.message.get_content()
    events: Any = await system.client.call("GET", f"/v1/audit-events?kinds=content_read&subject=user:{user}")
    assert [event["details"]["notification"] for event in events["audit_events"]] == [sent], "what is repeated is read by no one else"
    with pytest.raises(RefusedError, match="IDEMPOTENCY_KEY_REUSED"):
        await system.client.call("POST", f"/v1/notifications/{sent}:resend", {**body, "to": {"email": "other@example.com"}})
    await system.client.call("POST", "/v1/suppressions", {"address": "stop@example.com", "reason": "complaint"})
    stopped: Any = await system.client.call("POST", f"/v1/notifications/{sent}:resend", {"to": {"email": "stop@example.com"}})
    assert (await system.client.settled(stopped["id"]))["status"] == "skipped"
    erasure: Any = await system.client.call("DELETE", f"/v1/users/{user}")
    await system.client.saga_completed(erasure["saga_id"])
    repeated = await system.client.call("POST", f"/v1/notifications/{sent}:resend", body)
    assert repeated["id"] == made["id"], "what a key has done stays done"
    with pytest.raises(RefusedError, match="CONTENT_GONE"):
        await system.client.call("POST", f"/v1/notifications/{sent}:resend", {"to": {"email": "found@example.com"}})


async def test_who_may_not_read_a_text_may_not_send_it_elsewhere(system: System) -> None:
    await a_template(system, "again-not")
    user = await system.client.create_user("again-not@example.com")
    sent = await system.client.send(user, "email", "again-not", VALUES)
    await system.client.settled(sent)
    body = {"to": {"email": "eve@example.com"}}
    for scopes, test, refused in (
        (["notifications:send", "notifications:read"], False, "notifications:content"),
        (["notifications:content", "notifications:read"], False, "notifications:send"),
        (["notifications:send", "notifications:content"], True, "LIVE_NOTIFICATION"),
    ):
        key: Any = await system.client.call("POST", "/v1/api-keys", {"name": "narrow", "scopes": scopes, "test": test})
        async with Client(system.processes.url, key["secret"]) as narrow:
            with pytest.raises(RefusedError, match=refused):
                await narrow.call("POST", f"/v1/notifications/{sent}:resend", body)
    waiting = await system.client.send(user, "email", "again-not", VALUES, send_at=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    with pytest.raises(RefusedError, match="NOT_SENT"):
        await system.client.call("POST", f"/v1/notifications/{waiting}:resend", body)
    with pytest.raises(RefusedError, match="to"):
        await system.client.call("POST", f"/v1/notifications/{sent}:resend", {})
    with pytest.raises(RefusedError, match="NOTIFICATION_NOT_FOUND"):
        await system.client.call("POST", f"/v1/notifications/{user}:resend", body)
