"""What people and projects decide about deliveries, through every part: defaults, quiet hours, categories and their limits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from devstack.client import Client, RefusedError
from devstack.postgres import PostgresServer
from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.system.conftest import System
from tests.waiting import until_answered

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCOPES = ["policies:read", "policies:write", "users:read", "users:write", "templates:write", "notifications:send", "notifications:read"]


@pytest_asyncio.fixture(loop_scope="session")
async def project(system: System, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A project of the test's own, so that what it decides holds for no other test."""
    name = f"p-{abs(hash(request.node.name))}"
    await system.client.call("POST", "/v1/projects", {"id": name})
    key: Any = await system.client.call("POST", "/v1/api-keys", {"name": name, "project": name, "scopes": SCOPES})
    async with Client(system.processes.url, key["secret"]) as client:
        await client.create_template("welcome", "email", WELCOME)
        yield client


def around_now() -> dict[str, str]:
    """Quiet hours in which it is quiet for the next hour at least, in UTC."""
    now = datetime.now(UTC)
    return {"start": f"{now - timedelta(hours=2):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"}


async def evaluate(project: Client, user: str, **fields: Any) -> Any:
    return await project.call("POST", "/v1/notifications:evaluate", {"user_id": user, "template": "welcome", **fields})


async def has_status(project: Client, identifier: str, status: str, *, times: int = 1) -> Any:
    found: Any = None

    async def reached() -> bool:
        nonlocal found
        found = await project.call("GET", f"/v1/notifications/{identifier}")
        return bool(found["status"] == status and sum(entry["status"] == status for entry in found["timeline"]) >= times)

    await until_answered(reached)
    return found


async def release(postgres: PostgresServer, identifier: str) -> None:
    """As if the hours had passed."""
    connection = await asyncpg.connect(postgres.url("clarion_gateway"))
    try:
        await connection.execute("UPDATE notifications SET dispatch_at = now() WHERE id = $1 AND status = 1", identifier)
    finally:
        await connection.close()


async def test_quiet_hours_hold_a_notification_and_decide_anew_when_they_end(
    system: System, project: Client, postgres_server: PostgresServer
) -> None:
    """The reason stands on the notification, its timeline and the feed; evaluating says the same beforehand."""
    address = "quiet@example.com"
    user = await project.create_user(address)
    hours = around_now()
    await project.call("PATCH", "/v1/delivery-policy", {"quiet_hours": hours})
    rule = f"quiet_hours:{hours['start']}-{hours['end']}"
    predicted = await evaluate(project, user)
    assert (predicted["decision"], predicted["rule"]) == ("defer", rule)
    identifier = await project.send(user, "email", "welcome", {"name": "Q"})
    waiting = await has_status(project, identifier, "scheduled")
    assert (waiting["reason"], waiting["attempts"]) == ("QUIET_HOURS", 0)
    entry = waiting["timeline"][-1]
    assert (entry["status"], entry["detail"]) == ("scheduled", rule)
    planned, until = (datetime.fromisoformat(moment) for moment in (entry["next_attempt_time"], predicted["defer_until"]))
    assert abs(planned - until) < timedelta(minutes=1)
    await release(postgres_server, identifier)
    await has_status(project, identifier, "scheduled", times=2)
    await project.call("PATCH", f"/v1/users/{user}/preferences", {"rules": [{"choice": "deny"}]})
    await release(postgres_server, identifier)
    skipped = await project.settled(identifier)
    assert (skipped["status"], skipped["reason"], skipped["timeline"][-1]["detail"]) == ("skipped", "PREFERENCE", "preference:*:*")
    assert [mail for mail in system.smtp.mails if address in mail.recipients] == []
    seen: list[tuple[str, str]] = []

    async def skipping_is_shown() -> bool:
        page: Any = await project.call("GET", f"/v1/changes?user_id={user}")
        seen[:] = [(change["status"], change.get("reason", "")) for change in page.get("changes", [])]
        return ("skipped", "PREFERENCE") in seen

    await until_answered(skipping_is_shown)
    assert seen.count(("scheduled", "QUIET_HOURS")) == 2


async def test_what_is_urgent_and_what_was_released_is_sent(system: System, project: Client, postgres_server: PostgresServer) -> None:
    user = await project.create_user("released@example.com")
    await project.call("PATCH", f"/v1/users/{user}/preferences", {"quiet_hours": around_now()})
    urgent = await project.send(user, "email", "welcome", {"name": "Q"}, priority="high")
    held = await project.send(user, "email", "welcome", {"name": "Q"})
    cancelled = await project.send(user, "email", "welcome", {"name": "Q"})
    assert (await project.settled(urgent))["status"] == "sent"
    for identifier in (held, cancelled):
        await has_status(project, identifier, "scheduled")
    assert (await project.call("POST", f"/v1/notifications/{cancelled}:cancel", {}))["status"] == "cancelled"
    await project.call("PATCH", f"/v1/users/{user}/preferences", {"quiet_hours": {"off": True}})
    await release(postgres_server, held)
    sent = await project.settled(held)
    assert (sent["status"], sent["attempts"]) == ("sent", 1)
    # the outcome of a quick one overtakes the note that it was queued, which is left out then
    ways = [entry["status"] for entry in sent["timeline"] if entry["status"] != "queued"]
    assert ways == ["pending", "scheduled", "sending", "sent"]


async def test_a_category_is_refused_by_default_limited_and_mandatory(project: Client) -> None:
    """And a person asks for it, has enough of it and can't refuse it."""
    user = await project.create_user("categories@example.com")
    texts = {"en": {"name": "News", "description": "Once a week"}, "pt-BR": {"name": "Notícias"}}
    made: Any = await project.call("POST", "/v1/categories", {"id": "news", "texts": texts, "limit": {"count": 2, "window": "86400s"}})
    assert made["texts"]["pt-BR"]["name"] == "Notícias"
    await project.call("PATCH", "/v1/delivery-policy", {"rules": [{"category": "news", "choice": "deny"}]})
    news = {"category": "news"}
    assert (await evaluate(project, user, **news))["rule"] == "policy:*:news"
    await project.call("PATCH", f"/v1/users/{user}/preferences", {"rules": [{"category": "news", "choice": "allow"}]})
    assert (await evaluate(project, user, **news))["rule"] == "preference:*:news"
    sent = [await project.send(user, "email", "welcome", {"name": "N"}, **news) for _ in range(4)]
    settled = [await project.settled(identifier) for identifier in sent]
    assert sorted(found["status"] for found in settled) == ["sent", "sent", "skipped", "skipped"]
    assert {found["reason"] for found in settled if found["status"] == "skipped"} == {"LIMIT"}
    assert (await evaluate(project, user, **news))["rule"] == "limit:news:2/86400s"
    await project.call("PATCH", "/v1/categories/news", {"mandatory": True})
    assert (await evaluate(project, user, **news))["rule"] == "mandatory"
    with pytest.raises(RefusedError, match="CATEGORY_MANDATORY") as refused:
        await project.call("PATCH", f"/v1/users/{user}/preferences", {"rules": [{"category": "news", "choice": "deny"}]})
    assert refused.value.status == 400
    listed: Any = await project.call("GET", "/v1/categories")
    assert [found["id"] for found in listed["categories"]] == ["news"]
    await project.call("DELETE", "/v1/categories/news")
    assert (await evaluate(project, user, **news))["rule"] == "preference:*:news"


async def test_what_its_provider_did_not_take_leaves_room_for_another(system: System, project: Client) -> None:
    """A mail counts for its category's limit before it is handed over; one that is cancelled then counts no more."""
    user = await project.create_user("room@example.com")
    await project.call("POST", "/v1/categories", {"id": "codes", "limit": {"count": 1, "window": "86400s"}})
    system.smtp.script("room@example.com", *[replies("451 4.3.0 Try again later")] * 3)
    waiting = await project.send(user, "email", "welcome", {"name": "R"}, category="codes")
    await has_status(project, waiting, "retrying")
    assert (await evaluate(project, user, category="codes"))["rule"] == "limit:codes:1/86400s"

    async def is_cancelled() -> bool:
        try:
            return bool((await project.call("POST", f"/v1/notifications/{waiting}:cancel", {}))["status"] == "cancelled")
        except RefusedError:  # an attempt is under way, which its server does not take either
            return False

    async def has_room() -> bool:
        return bool((await evaluate(project, user, category="codes"))["decision"] == "send")

    await until_answered(is_cancelled)
    await until_answered(has_room)


async def test_evaluating_answers_as_a_send_would(project: Client) -> None:
    """A time that is over means at once, and what no send takes is refused."""
    user = await project.create_user("evaluated@example.com")
    await project.call("PATCH", "/v1/delivery-policy", {"quiet_hours": around_now()})
    await project.call("POST", "/v1/templates", {"name": "unpublished", "channel": "email"})
    for past in ("0001-01-01T00:00:00Z", "2020-01-01T12:00:00Z"):
        answer = await evaluate(project, user, send_at=past)
        assert (answer["decision"], datetime.fromisoformat(answer["defer_until"]) > datetime.now(UTC)) == ("defer", True)
    for fields, reason in (
        ({"send_at": "9999-12-31T23:59:59Z"}, "send_at"),
        ({"template": "unpublished"}, "TEMPLATE_NOT_PUBLISHED"),
    ):
        with pytest.raises(RefusedError, match=reason) as refused:
            await evaluate(project, user, **fields)
        assert refused.value.status == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PATCH", "/v1/delivery-policy", {"quiet_hours": {"start": "25:00", "end": "07:00"}}, "policy.quiet_hours.start"),
        ("PATCH", "/v1/delivery-policy", {"quiet_hours": {"start": "22:00"}}, "policy.quiet_hours"),
        ("PATCH", "/v1/delivery-policy", {"quiet_hours": {"off": True}}, "policy.quiet_hours.off"),
        ("PATCH", "/v1/delivery-policy", {"rules": [{"category": "a", "template": "b", "choice": "deny"}]}, "policy.rules"),
        ("POST", "/v1/categories", {"texts": {}}, "category.id"),
        ("POST", "/v1/categories", {"id": "News"}, "category.id"),
        ("POST", "/v1/categories", {"id": "a", "texts": {"xx-invalid-tag-": {"name": "A"}}}, "category.texts"),
        ("POST", "/v1/categories", {"id": "a", "limit": {"count": 1, "window": "60.5s"}}, "category.limit.window"),
        ("POST", "/v1/categories", {"id": "a", "texts": {"pt-BR": {"name": "A"}, "pt_br": {"name": "B"}}}, "category.texts"),
        ("POST", "/v1/categories", {"id": "a", "texts": {"en": {"description": "A"}}}, "name"),
        ("POST", "/v1/categories", {"id": "a", "limit": {"count": 0, "window": "60s"}}, "category.limit.count"),
        ("POST", "/v1/categories", {"id": "a", "limit": {"count": 1, "window": "2678401s"}}, "category.limit.window"),
        ("POST", "/v1/notifications:evaluate", {"user_id": "no-such-person", "template": "welcome"}, "user_id"),
        ("POST", "/v1/notifications:evaluate", {"user_id": "no-such-person", "template": "no-such"}, "template"),
    ],
)
async def test_bad_input_is_refused_with_the_field(project: Client, method: str, path: str, body: Any, named: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await project.call(method, path, body)
    assert refused.value.status == 400
    assert named in str(refused.value)
