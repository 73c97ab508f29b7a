"""Keys that are narrowed to templates, categories and recipients' domains."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.client import Client, RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCOPES = ["notifications:send", "notifications:read"]


async def _narrowed(system: System, **restrictions: list[str]) -> Client:
    made = await system.client.call("POST", "/v1/api-keys", {"name": "narrow", "scopes": SCOPES, "restrictions": restrictions})
    return Client(system.processes.url, str(made["secret"]), timeout_s=60)


async def _refusal(client: Client, body: dict[str, Any], method: str = "POST", path: str = "/v1/notifications") -> tuple[int, str, str]:
    with pytest.raises(RefusedError) as refused:
        await client.call(method, path, body)
    reasons = [detail["reason"] for detail in refused.value.body["details"] if "reason" in detail]
    return refused.value.status, reasons[0], refused.value.body["message"]


async def test_a_narrowed_key_sends_what_it_may_and_nothing_else(system: System) -> None:
    for name in ("narrow-receipt", "narrow-reminder", "wide"):
        await system.client.create_template(name, "email", WELCOME)
    user = await system.client.create_user("narrow@example.com", name="Ada")
    async with await _narrowed(system, templates=["narrow-*"], categories=["billing", "news.*"]) as client:
        me = await client.call("GET", "/v1/me")
        assert me["restrictions"] == {"templates": ["narrow-*"], "categories": ["billing", "news.*"], "recipient_domains": []}
        body = {"user_id": user, "channel": "email", "template": "narrow-receipt", "variables": {"name": "Ada"}, "category": "billing"}
        sent = await client.call("POST", "/v1/notifications", body)
        assert (await client.settled(sent["id"]))["status"] == "sent"
        for change, field in (({"template": "wide"}, "template"), ({"category": "alerts"}, "category"), ({"category": ""}, "category")):
            status, code, detail = await _refusal(client, {**body, **change})
            assert (status, code) == (403, "KEY_RESTRICTED")
            assert detail.startswith(f"{field}: ")
        # one that there is not is answered alike
        assert await _refusal(client, {**body, "template": "no-such"}) == await _refusal(client, {**body, "template": "wide"})
        # a template of another category does not become one of ours by a word in the request
        await system.client.create_template("narrow-alert", "email", WELCOME, category="alerts")
        asked = {"user_id": user, "template": "narrow-alert", "category": "billing"}
        for path, request in (("/v1/notifications", {**body, **asked}), ("/v1/notifications:evaluate", asked)):
            status, code, detail = await _refusal(client, request, path=path)
            assert (status, code) == (403, "KEY_RESTRICTED")
            assert detail.startswith("template: ")
        asked = {"user_id": user, "template": "wide"}
        assert (await _refusal(client, asked, path="/v1/notifications:evaluate"))[1] == "KEY_RESTRICTED"
        batch = await client.call("POST", "/v1/notifications:batch", {"requests": [body, {**body, "template": "wide"}]})
        assert [("accepted" in one, one.get("error", {}).get("code")) for one in batch["results"]] == [(True, None), (False, 7)]


async def test_a_key_for_a_domain_reaches_no_one_else_on_any_channel(system: System) -> None:
    await system.client.create_template("narrow-mail", "email", WELCOME)
    await system.client.create_template("narrow-push", "push", {"en": {"title": "Hi", "body": "Hello"}})
    ours = await system.client.create_user("ada@Own.example", name="Ada")
    others = await system.client.create_user("eve@notown.example", name="Eve")
    for person in (ours, others):
        await system.client.call("POST", f"/v1/users/{person}/devices", {"token": f"narrow-{person}", "platform": "ios"})
    async with await _narrowed(system, recipient_domains=["OWN.example", "*.own.example"]) as client:
        for person, expected in ((ours, ("sent", "")), (others, ("skipped", "KEY_RESTRICTED"))):
            for template, channel in (("narrow-mail", "email"), ("narrow-push", "push")):
                body = {"user_id": person, "channel": channel, "template": template, "variables": {"name": "Ada"}, "priority": "high"}
                sent = await client.call("POST", "/v1/notifications", body)
                settled = await client.settled(sent["id"])
                assert (settled["status"], settled["reason"]) == expected, settled
        body = {"channel": "email", "template": "narrow-mail", "variables": {"name": "Ada"}}
        sent = await client.call("POST", "/v1/notifications", {**body, "to": {"email": "new@mail.own.example"}})
        assert (await client.settled(sent["id"]))["status"] == "sent"
        for address in ("new@notown.example", "new@own.example.org"):
            assert (await _refusal(client, {**body, "to": {"email": address}}))[1] == "KEY_RESTRICTED"
        answer = await client.call("POST", "/v1/notifications:evaluate", {"user_id": others, "template": "narrow-mail"})
        assert (answer["decision"], answer["rule"]) == ("skip", "key_restricted:recipient_domains")
    assert "notown" not in str(list(system.smtp.mails))


async def test_a_narrowed_key_gets_around_nothing(system: System) -> None:
    """It makes no wider key, changes no template and cancels what it has sent itself."""
    await system.client.create_template("narrow-later", "email", WELCOME)
    user = await system.client.create_user("narrow-later@example.com", name="Ada")
    body = {
        "user_id": user,
        "channel": "email",
        "template": "narrow-later",
        "variables": {"name": "Ada"},
        "send_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    foreign = await system.client.call("POST", "/v1/notifications", body)
    for scope in ("apikeys:write", "templates:write", "users:write", "deadletters:redirect"):
        wanted = {"name": "narrow", "scopes": ["notifications:send", scope], "restrictions": {"templates": ["narrow-later"]}}
        status, _, detail = await _refusal(system.client, wanted, path="/v1/api-keys")
        assert status == 400
        assert detail.startswith("scopes[1]: reaches beyond")
    nothings: list[dict[str, list[str]]] = [{}, {"templates": []}]
    for nothing in nothings:
        wanted = {"name": "narrow", "scopes": SCOPES, "restrictions": nothing}
        assert (await _refusal(system.client, wanted, path="/v1/api-keys"))[2].startswith("restrictions: must name at least one")
    bad = {"name": "narrow", "scopes": SCOPES, "restrictions": {"recipient_domains": ["*"]}}
    assert "restrictions.recipient_domains[0]" in (await _refusal(system.client, bad, path="/v1/api-keys"))[2]
    async with await _narrowed(system, templates=["narrow-later"]) as client:
        assert (await _refusal(client, {}, path=f"/v1/notifications/{foreign['id']}:cancel"))[0] == 404
        own = await client.call("POST", "/v1/notifications", body)
        assert (await client.call("POST", f"/v1/notifications/{own['id']}:cancel", {}))["status"] == "cancelled"
    assert (await system.client.call("GET", f"/v1/notifications/{foreign['id']}"))["status"] == "scheduled"
