"""What is kept about people reaches the texts that are sent to them."""

from typing import Any

import pytest

from devstack.client import Client, RefusedError
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SUBJECT = "{{ user.name }} has {{ user.plan }}, {{ user.seats }} seats{% for tag in user.tags %} #{{ tag }}{% endfor %}"
ATTRIBUTES = {"plan": "Pro & <b>", "seats": 5, "tags": ["a", "b"], "since": {"year": 2020}, "ratio": 0.5, "vip": True}


async def _subject(system: System, client: Client, user: str, variables: dict[str, Any]) -> str:
    body = {"user_id": user, "channel": "email", "template": "attributes-mail", "variables": variables}
    sent = await client.call("POST", "/v1/notifications", body)
    settled = await client.settled(sent["id"])
    assert settled["status"] == "sent", settled
    return str(system.smtp.mails[-1].message["subject"])


async def test_a_template_reads_what_is_kept_about_its_person(system: System) -> None:
    client = system.client
    contents = {"en": {"subject": SUBJECT, "html": "<p>{{ user.plan }} since {{ user.since.year }}, {{ user.locale }}</p>"}}
    await client.create_template("attributes-mail", "email", contents)
    await client.create_template("attributes-push", "push", {"en": {"title": "{{ user.name }}", "body": "{{ user.plan }}"}})
    made = await client.call("POST", "/v1/users", {"email": "attributes@example.com", "name": "Ada", "attributes": ATTRIBUTES})
    user = made["id"]
    assert (await client.call("GET", f"/v1/users/{user}"))["attributes"] == ATTRIBUTES
    assert await _subject(system, client, user, {}) == "Ada has Pro & <b>, 5 seats #a #b"
    html = system.smtp.mails[-1].message.get_body(("html",)).get_content()  # type: ignore[union-attr]  # it has one
    assert "Pro &amp; &lt;b&gt; since 2020, en" in html
    await client.call("POST", f"/v1/users/{user}/devices", {"token": "attributes-device", "platform": "ios"})
    sent = await client.call("POST", "/v1/notifications", {"user_id": user, "channel": "push", "template": "attributes-push"})
    assert (await client.settled(sent["id"]))["status"] == "sent"
    assert "Pro & <b>" in str(system.fcm.pushes[-1])
    # the sender's own variable of that name stands, as before there were attributes
    own = {"user": {"name": "Bo", "plan": "none", "seats": 0, "tags": [], "since": {"year": 1}, "locale": "x"}}
    assert await _subject(system, client, user, own) == "Bo has none, 0 seats"


async def test_a_preview_for_a_person_is_what_is_sent_to_them(system: System) -> None:
    """By either id, in their language and time zone; who may not read people gets none of it, and another id is unknown."""
    client = system.client
    text = "{{ user.name }} {{ user.plan }} {{ at|datetime }}"
    contents = {locale: {"subject": subject, "text": text} for locale, subject in (("en", "Hello"), ("pt", "Olá"))}
    await client.create_template("attributes-preview", "email", contents)
    person = {"email": "preview@example.com", "name": "Ada", "locale": "pt-BR", "timezone": "America/Sao_Paulo", "external_id": "preview-1"}
    made = await client.call("POST", "/v1/users", {**person, "attributes": {"plan": "Pro"}})
    variables = {"at": "2030-07-31T15:04:05Z"}
    previews = []
    for user_id in (made["id"], "preview-1"):
        body = {"user_id": user_id, "variables": variables}
        previews.append(await client.call("POST", "/v1/templates/attributes-preview:preview", body))
    assert previews[0] == previews[1]
    assert (previews[0]["locale"], previews[0]["content"]["subject"]) == ("pt", "Olá")
    sent = await client.call(
        "POST", "/v1/notifications", {"user_id": made["id"], "channel": "email", "template": "attributes-preview", "variables": variables}
    )
    assert (await client.settled(sent["id"]))["status"] == "sent"
    mail = next(mail.message for mail in reversed(system.smtp.mails) if "preview@example.com" in str(mail.message["to"]))
    assert mail.get_content().strip() == previews[0]["content"]["text"].strip()
    assert "12:04:05" in previews[0]["content"]["text"]
    with pytest.raises(RefusedError, match="USER_NOT_FOUND"):
        await client.call("POST", "/v1/templates/attributes-preview:preview", {"user_id": "preview-2", "variables": variables})
    key = await client.call("POST", "/v1/api-keys", {"name": "author", "scopes": ["templates:read"]})
    async with Client(system.processes.url, key["secret"]) as author:
        with pytest.raises(RefusedError, match="users:read"):
            await author.call("POST", "/v1/templates/attributes-preview:preview", {"user_id": "preview-1", "variables": variables})


async def test_attributes_are_replaced_as_a_whole_and_by_many_at_a_time(system: System) -> None:
    client = system.client
    made = await client.call("PATCH", "/v1/users/attr-1?allow_missing=true", {"name": "Ada", "attributes": {"plan": "free", "seats": 1}})
    changed = await client.call("PATCH", "/v1/users/attr-1", {"attributes": {"plan": "pro"}})
    assert changed["attributes"] == {"plan": "pro"}
    assert changed["etag"] != made["etag"]
    read = await client.call("GET", "/v1/users/attr-1")
    assert (await client.call("PATCH", "/v1/users/attr-1", read))["attributes"] == {"plan": "pro"}
    people = [
        {"external_id": "attr-1", "name": "Ada L."},
        {"external_id": "attr-2", "name": "Bo", "attributes": {"plan": "team"}},
        {"external_id": "attr-3", "name": "Cy", "attributes": {"name": "no"}},
    ]
    written = await client.call("POST", "/v1/users:batch", {"users": people})
    assert [("id" in one, one.get("error", {}).get("message", "")) for one in written["results"]][:2] == [(True, ""), (True, "")]
    assert "attributes.name" in written["results"][2]["error"]["message"]
    found = [(await client.call("GET", f"/v1/users/attr-{number}"))["attributes"] for number in (1, 2)]
    assert found == [{"plan": "pro"}, {"plan": "team"}]
    cleared = await client.call("PATCH", "/v1/users/attr-1?update_mask=attributes", {"attributes": {}})
    assert "attributes" not in cleared


async def test_what_is_not_kept_fails_with_its_path_and_goes_after_a_fix(system: System) -> None:
    client = system.client
    await client.create_template("attributes-missing", "email", {"en": {"subject": "{{ user.plan }}", "text": "x"}})
    user = await client.create_user("attributes-missing@example.com", name="Ada")
    sent = await client.call("POST", "/v1/notifications", {"user_id": user, "channel": "email", "template": "attributes-missing"})
    settled = await client.settled(sent["id"])
    assert (settled["status"], settled["reason"]) == ("failed", "MISSING_VARIABLE")
    assert "user.plan" in settled["timeline"][-1]["detail"]
    await client.call("PATCH", f"/v1/users/{user}", {"attributes": {"plan": "pro"}})
    await client.call("POST", f"/v1/dead-letters/{sent['id']}:requeue", {})
    assert (await client.reached(sent["id"], {"sent"}))["status"] == "sent"


async def test_a_person_reads_their_attributes_and_does_not_set_them(system: System) -> None:
    password = "correct horse battery staple 41"
    made = await system.client.call(
        "POST", "/v1/users", {"email": "attr-own@example.com", "password": password, "attributes": {"plan": "free"}}
    )
    login = await system.client.call("POST", "/v1/auth/login", {"email": "attr-own@example.com", "password": password})
    async with Client(system.processes.url, login["access_token"]) as own:
        read = await own.call("GET", f"/v1/users/{made['id']}")
        assert read["attributes"] == {"plan": "free"}
        assert (await own.call("PATCH", f"/v1/users/{made['id']}", {**read, "name": "Ada"}))["name"] == "Ada"
        with pytest.raises(RefusedError) as refused:
            await own.call("PATCH", f"/v1/users/{made['id']}", {"attributes": {"plan": "pro"}})
        assert refused.value.status == 403


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"email": "x"}, "attributes.email: is a field of the user itself"),
        ({f"n{number}": 1 for number in range(101)}, "attributes: must have at most 100 names"),
        ({"text": "x" * 17_000}, "attributes: must have at most 16384 characters"),
        ({"a" * 65: 1}, "attributes: must have names of 1 to 64 characters"),
        ({"": 1}, "attributes: must have names of 1 to 64 characters"),
        ({"nul": ["\0"]}, "attributes: must not contain NUL"),
        ({"id": 9007199254740993}, "attributes.id"),
        ({"large": 9007199254740993}, "attributes.large"),
    ],
    ids=["reserved", "many", "long", "long-name", "no-name", "nul", "reserved-large", "inexact"],
)
async def test_what_can_be_no_attribute_is_refused(system: System, attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await system.client.call("POST", "/v1/users", {"name": "Ada", "attributes": attributes})
    assert refused.value.status == 400
    assert said in refused.value.body["message"]
