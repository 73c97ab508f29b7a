"""What no provider would carry is refused when it is accepted, with the sizes; what the bound can't tell is measured by rendering it."""

from typing import Any

import pytest

from devstack.client import RefusedError
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def refusal(system: System, user: str, channel: str, template: str, variables: dict[str, Any], **fields: Any) -> tuple[str, str, str]:
    """Reason, message and field of a refused send."""
    with pytest.raises(RefusedError) as refused:
        await system.client.send(user, channel, template, variables, **fields)
    details = {detail["@type"].rpartition(".")[2]: detail for detail in refused.value.body["details"]}
    [violation] = details["BadRequest"]["field_violations"]
    return details["ErrorInfo"]["reason"], refused.value.body["message"], violation["field"]


async def test_a_push_that_does_not_fit_is_refused_with_its_size(system: System) -> None:
    await system.client.create_template("long-push", "push", {"en": {"title": "Hello {{ name }}", "body": "{{ story }}"}})
    user = await system.client.create_user("long-push@example.com")
    reason, message, field = await refusal(system, user, "push", "long-push", {"name": "Ada", "story": "x" * 4200})
    assert (reason, field) == ("TEXT_TOO_LARGE", "variables")
    assert message.startswith("variables: contents.en of the template makes a message of 4")
    assert message.endswith(" bytes with these values; a push may have 4096; shorten the values or the template")


async def test_a_subject_that_is_too_long_is_refused_in_the_locale_of_the_person(system: System) -> None:
    contents = {"en": {"subject": "Hello {{ name }}", "text": "x"}, "de": {"subject": "Hallo {{ name }} und {{ name }}", "text": "x"}}
    await system.client.create_template("long-subject", "email", contents)
    english = await system.client.create_user("long-en@example.com")
    german = await system.client.create_user("long-de@example.com", locale="de-AT")
    sent = await system.client.settled(await system.client.send(english, "email", "long-subject", {"name": "y" * 600}), timeout_s=60)
    assert sent["status"] == "sent"
    for user, fields in ((german, {}), (english, {"locale": "de"})):
        reason, message, field = await refusal(system, user, "email", "long-subject", {"name": "y" * 600}, **fields)
        assert (reason, field) == ("TEXT_TOO_LARGE", "variables")
        assert "contents.de.subject of the template makes 1211 characters" in message
        assert "may have 998" in message


async def test_a_text_with_a_loop_is_measured_by_rendering_it(system: System) -> None:
    body = "{% for line in lines %}{{ line }} {% endfor %}."
    await system.client.create_template("loop-push", "push", {"en": {"title": "t", "body": body}})
    user = await system.client.create_user("loop-push@example.com")
    await system.client.call("POST", f"/v1/users/{user}/devices", {"token": "token-of-loop", "platform": "ios"})
    sent = await system.client.settled(await system.client.send(user, "push", "loop-push", {"lines": ["a", "b"]}), timeout_s=60)
    assert sent["status"] == "sent"
    reason, _, _ = await refusal(system, user, "push", "loop-push", {"lines": ["a" * 40] * 100})
    assert reason == "TEXT_TOO_LARGE"
