"""Sending to an address that need not be a user's: it is one from then on, with all that holds for users."""

from typing import Any

import pytest

from devstack.client import RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

BASE = {"channel": "email", "template": "addressee", "variables": {"name": "A"}}


async def send(system: System, **fields: Any) -> Any:
    return await system.client.call("POST", "/v1/notifications", {**BASE, **fields})


async def test_a_mail_goes_to_an_address_in_the_language_that_is_given(system: System) -> None:
    await system.client.create_template("addressee", "email", WELCOME)
    address = "addressee@example.com"
    to = {"email": address, "name": "Ada", "locale": "pt-BR", "timezone": "Europe/Lisbon"}
    first = await system.client.settled((await send(system, to=to))["id"])
    second = await system.client.settled((await send(system, to={"email": "Addressee@Example.com", "locale": "en"}))["id"])
    assert (first["status"], first["locale"]) == ("sent", "pt-BR")
    assert (second["user_id"], second["locale"]) == (first["user_id"], "pt-BR")
    assert sum(address in mail.recipients for mail in system.smtp.mails) == 2
    found: Any = await system.client.call("GET", f"/v1/users?email={address}")
    assert [(user["id"], user["name"]) for user in found["users"]] == [(first["user_id"], "Ada")]


async def test_suppressions_preferences_and_erasure_hold_for_it(system: System) -> None:
    await system.client.create_template("addressee", "email", WELCOME)
    await system.client.call("POST", "/v1/suppressions", {"address": "no.mail@example.com"})
    refused = await system.client.settled((await send(system, to={"email": "no.mail@example.com"}))["id"])
    assert (refused["status"], refused["reason"]) == ("skipped", "SUPPRESSION")
    user = refused["user_id"]
    await system.client.call("DELETE", f"/v1/users/{user}")
    again = await send(system, to={"email": "no.mail@example.com"})
    assert (await system.client.settled(again["id"]))["user_id"] != user


async def test_a_suppression_of_a_category_holds_back_its_mails_and_no_others(system: System) -> None:
    """The timeline names the entry; when it is removed, the next mail goes."""
    call, address = system.client.call, "no.news@example.com"
    await system.client.create_template("addressee", "email", WELCOME)
    await call(
        "POST", "/v1/suppressions", {"address": address, "category": "news", "reason": "moved", "expire_time": "2999-01-01T00:00:00Z"}
    )
    to = {"to": {"email": address}}
    refused = await system.client.settled((await send(system, **to, category="news"))["id"])
    assert (refused["status"], refused["reason"]) == ("skipped", "SUPPRESSION")
    assert "suppression:moved:news" in str(await call("GET", f"/v1/notifications/{refused['id']}"))
    asked = {"user_id": refused["user_id"], "template": "addressee"}
    news = await call("POST", "/v1/notifications:evaluate", {**asked, "category": "news"})
    assert (news["decision"], news["rule"]) == ("skip", "suppression:moved:news")
    assert (await call("POST", "/v1/notifications:evaluate", asked))["decision"] == "send"
    assert (await system.client.settled((await send(system, **to, category="billing"))["id"]))["status"] == "sent"
    await call("DELETE", f"/v1/suppressions/{address}?category=news")
    assert (await system.client.settled((await send(system, **to, category="news"))["id"]))["status"] == "sent"


async def test_many_at_once_to_one_new_address_make_one_user(system: System) -> None:
    await system.client.create_template("addressee", "email", WELCOME)
    items = [{**BASE, "to": {"email": f"crowd{number % 5}@example.com"}} for number in range(100)]
    answer: Any = await system.client.call("POST", "/v1/notifications:batch", {"requests": items})
    assert answer["accepted_count"] == 100
    users = {(await system.client.settled(result["accepted"]["id"]))["user_id"] for result in answer["results"]}
    assert len(users) == 5


async def test_whoever_has_the_name_now_is_meant(system: System) -> None:
    """An address and an id of the caller's own may be another person's a moment later: for a send, and above all for an erasure."""
    call = system.client.call
    await system.client.create_template("addressee", "email", WELCOME)
    old = await call("POST", "/v1/users", {"email": "moving@example.com", "external_id": "mailto:moved@example.com"})
    for whom in ({"to": {"email": "moving@example.com"}}, {"user_id": "mailto:moved@example.com"}):
        assert (await system.client.settled((await send(system, **whom))["id"]))["user_id"] == old["id"]
    await call("PATCH", f"/v1/users/{old['id']}", {"email": "moved@example.com", "external_id": "moved"})
    new = await call("POST", "/v1/users", {"email": "moving@example.com", "external_id": "mailto:moved@example.com"})
    for whom in ({"to": {"email": "moving@example.com"}}, {"user_id": "mailto:moved@example.com"}):
        assert (await system.client.settled((await send(system, **whom))["id"]))["user_id"] == new["id"]
    assert (await system.client.settled((await send(system, to={"email": "moved@example.com"}))["id"]))["user_id"] == old["id"]
    assert (await call("DELETE", "/v1/users/mailto:moved@example.com"))["completed"]
    assert (await call("GET", f"/v1/users/{old['id']}"))["id"] == old["id"]


async def test_a_repetition_after_an_erasure_makes_no_one_again(system: System) -> None:
    await system.client.create_template("addressee", "email", WELCOME)
    body = {"to": {"email": "erased@example.com"}, "request_id": "erased-1"}
    first = await send(system, **body)
    sent = await system.client.settled(first["id"])
    await system.client.call("DELETE", f"/v1/users/{sent['user_id']}")
    assert await send(system, **body) == first
    with pytest.raises(RefusedError, match="TEMPLATE_NOT_FOUND"):
        await send(system, to={"email": "erased@example.com"}, template="no-such")
    assert (await system.client.call("GET", "/v1/users?email=erased@example.com"))["users"] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "user_id"),
        ({"user_id": "crm-1", "to": {"email": "a@example.com"}}, "to"),
        ({"to": {"email": "nonsense"}}, "to.email"),
        ({"to": {"name": "Ada"}}, "to.email"),
        ({"to": {"email": "a@example.com", "locale": "xx-"}}, "to.locale"),
        ({"to": {"email": "a@example.com", "timezone": "Mars/Olympus"}}, "to.timezone"),
        ({"to": {"email": "a@example.com", "name": "A\nB"}}, "to.name"),
        ({"to": {"email": "a@example.com"}, "channel": "push"}, "to"),
    ],
)
async def test_what_can_be_no_addressee_is_refused(system: System, fields: Any, named: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await send(system, **fields)
    assert refused.value.status == 400
    violations = next(detail["field_violations"] for detail in refused.value.body["details"] if "field_violations" in detail)
    assert violations[0]["field"] == named
