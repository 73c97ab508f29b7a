"""A caller's own ids wherever a user id is asked for, over REST."""

from typing import Any
from urllib.parse import quote

import pytest

from devstack.client import RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System
from tests.waiting import until_answered

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("own", ["crm-4711", "auth0|5f7c", "urn:shop:ada", "ada@shop.example", "0190b1f0-0000-7000-8000-000000000042"])
async def test_every_call_takes_the_callers_own_id(system: System, own: str) -> None:
    call, path = system.client.call, quote(own, safe="")
    await system.client.create_template("own-ids", "email", WELCOME)
    address = f"own.{abs(hash(own))}@example.com"
    made = await call("PATCH", f"/v1/users/{path}?allow_missing=true", {"email": address, "name": "Ada"})
    assert made["external_id"] == own
    assert (await call("PATCH", f"/v1/users/{path}?allow_missing=true", {"locale": "pt-BR"}))["id"] == made["id"]
    assert (await call("GET", f"/v1/users/{path}"))["locale"] == "pt-BR"
    await call("POST", f"/v1/users/{path}/devices", {"token": f"token-{own}", "platform": "web"})
    assert len((await call("GET", f"/v1/users/{path}/devices"))["devices"]) == 1
    await call("PATCH", f"/v1/users/{path}/preferences", {"rules": [{"channel": "email", "category": "news", "choice": "deny"}]})
    assert len((await call("GET", f"/v1/users/{path}/preferences"))["rules"]) == 1
    assert (await call("GET", f"/v1/users/{path}/sessions")).get("sessions", []) == []
    assert (await call("DELETE", f"/v1/users/{path}/sessions/-")).get("ended_count", 0) == 0
    assert (await call("POST", f"/v1/users/{path}:createPreferenceLink", {}))["path"].startswith("/preferences/")
    sent = await system.client.settled(await system.client.send(own, "email", "own-ids", {"name": "Ada"}))
    assert (sent["status"], sent["user_id"]) == ("sent", made["id"])
    listed = await call("GET", f"/v1/notifications?user_id={path}")
    assert [entry["id"] for entry in listed["notifications"]] == [sent["id"]]
    changes: list[Any] = []
    cursor = ""

    async def sending_is_shown() -> bool:
        nonlocal cursor  # a page looks through a part of all that was sent in this system
        page = await call("GET", f"/v1/changes?user_id={path}&cursor={cursor}")
        cursor = page["next_cursor"]
        changes.extend(page.get("changes", []))
        return "sent" in {change["status"] for change in changes}

    await until_answered(sending_is_shown)
    assert {change["notification_id"] for change in changes} == {sent["id"]}
    with pytest.raises(RefusedError, match="EXTERNAL_ID_TAKEN"):
        await call("POST", "/v1/users", {"name": "Eve", "external_id": own})
    erased: Any = await call("DELETE", f"/v1/users/{path}")
    await system.client.saga_completed(erased["saga_id"])
    with pytest.raises(RefusedError, match="USER_NOT_FOUND"):
        await call("GET", f"/v1/users/{path}")


@pytest.mark.parametrize("own", ["-17", "a b", "a/b", "x" * 129, "ü17", "a\0b"])
async def test_what_can_be_no_id_is_refused(system: System, own: str) -> None:
    """Also by a change that would make the person."""
    for method, path, body in (
        ("POST", "/v1/users", {"name": "Ada", "external_id": own}),
        ("PATCH", f"/v1/users/{quote(own, safe='')}?allow_missing=true", {"name": "Ada"}),
    ):
        with pytest.raises(RefusedError, match="id: must") as caught:
            await system.client.call(method, path, body)
        assert caught.value.status == 400


async def test_a_thousand_people_come_in_one_call(system: System) -> None:
    people = [{"external_id": f"batch-{number}", "name": f"Person {number}"} for number in range(1000)]
    people[500]["email"] = "no address"
    people[501]["external_id"] = "a b"
    for name in ("first", "again"):
        answer = await system.client.call("POST", "/v1/users:batch", {"users": people})
        assert answer["written_count"] == 998, name
        assert "email" in answer["results"][500]["error"]["message"]
        assert "external_id" in answer["results"][501]["error"]["message"]
    assert (await system.client.call("GET", "/v1/users/batch-999"))["name"] == "Person 999"
    for users, words in (([], "users"), ([*people, {"external_id": "x"}], "1,?000")):
        with pytest.raises(RefusedError, match=words):
            await system.client.call("POST", "/v1/users:batch", {"users": users})
