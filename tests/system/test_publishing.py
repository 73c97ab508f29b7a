"""When and for whom versions are in use, through all processes."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from devstack.client import Client, RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System
from tests.waiting import until_answered

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _tester(system: System) -> str:
    made = await system.client.call(
        "POST",
        "/v1/api-keys",
        {"name": "publishing", "scopes": ["users:read", "users:write", "notifications:read", "notifications:send"], "test": True},
    )
    return str(made["secret"])


async def test_an_archived_template_is_not_sent_and_what_was_accepted_before_is(system: System) -> None:
    """Refused by the name of the field and the way out, in a batch too; sent again once it is restored."""
    client, path = system.client, "/v1/templates/publishing-archive"
    await client.create_template("publishing-archive", "email", WELCOME)
    async with Client(system.processes.url, await _tester(system)) as tester:
        user = await tester.create_user("archived@example.com")
        later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        waiting = await tester.send(user, "email", "publishing-archive", {"name": "Ada"}, send_at=later)
        archived = await client.call("POST", f"{path}:archive", {})
        assert archived["archived_by"].startswith("api_key:")
        refusals: list[RefusedError] = []

        async def refused() -> bool:
            try:
                await tester.send(user, "email", "publishing-archive", {"name": "Ada"})
            except RefusedError as error:
                refusals.append(error)
            return bool(refusals)

        await until_answered(refused)  # a gateway remembers a template for seconds
        assert refusals[0].status == 409
        assert "TEMPLATE_ARCHIVED" in str(refusals[0].body)
        assert "template: is archived; send another template, or restore this one" in str(refusals[0].body)
        item = {"user_id": user, "channel": "email", "template": "publishing-archive", "variables": {"name": "Ada"}}
        [answer] = (await tester.call("POST", "/v1/notifications:batch", {"requests": [item]}))["results"]
        assert "TEMPLATE_ARCHIVED" in str(answer)
        await tester.call("POST", f"/v1/notifications/{waiting}:skipWait", {})
        assert (await tester.settled(waiting))["status"] == "sent"
        names = {each["name"] for each in (await client.call("GET", "/v1/templates?page_size=200"))["templates"]}
        assert "publishing-archive" not in names
        shown = await client.call("GET", "/v1/templates?page_size=200&show_archived=true")
        assert "publishing-archive" in {each["name"] for each in shown["templates"]}
        await client.call("POST", f"{path}:restore", {})
        again = await tester.send(user, "email", "publishing-archive", {"name": "Ada"})
        assert (await tester.settled(again))["status"] == "sent"


async def test_a_version_in_use_is_not_archived_and_an_archived_one_is_not_published(system: System) -> None:
    client, path = system.client, "/v1/templates/publishing-versions"
    await client.create_template("publishing-versions", "email", WELCOME)
    await client.call("POST", f"{path}/versions", {"contents": WELCOME})
    for version, action, reason in ((1, "archive", "VERSION_IN_USE"), (2, "publish", "VERSION_ARCHIVED")):
        if version == 2:
            await client.call("POST", f"{path}/versions/2:archive", {})
        with pytest.raises(RefusedError, match=reason) as refused:
            await client.call("POST", f"{path}/versions/{version}:{action}", {})
        assert refused.value.status == 409
    listed = await asyncio.gather(*(client.call("GET", f"{path}/versions{query}") for query in ("", "?show_archived=true")))
    assert [[each["version"] for each in page["versions"]] for page in listed] == [[1], [2, 1]]
    await client.call("POST", f"{path}/versions/2:restore", {})
    assert (await client.call("POST", f"{path}/versions/2:publish", {}))["published_version"] == 2


async def _comes_due(system: System, plan: str) -> None:
    connection = await asyncpg.connect(system.processes.environ("template_svc")["CLARION_DATABASE_URL"].replace("+asyncpg", ""))
    try:
        await connection.execute("UPDATE scheduled_publications SET publish_at = now() WHERE id = $1", UUID(plan))
    finally:
        await connection.close()


async def test_a_version_is_published_at_its_time_and_the_plan_is_in_the_history(system: System) -> None:
    """The plan is moved into the past by hand, as the database's clock would do in a month."""
    client, path = system.client, "/v1/templates/publishing-schedule"
    await client.create_template("publishing-schedule", "email", WELCOME)
    made = await client.call("POST", f"{path}/versions", {"contents": WELCOME})
    just_now = datetime.fromisoformat(made["create_time"])
    body = {"template": "publishing-schedule", "version": 2, "publish_at": (just_now + timedelta(days=30)).isoformat(), "note": "spring"}
    first = await client.call("POST", "/v1/scheduled-publications", body)
    assert (first["state"], first["previous_version"], first["scheduled_by"][:8]) == ("planned", 1, "api_key:")
    with pytest.raises(RefusedError, match="PUBLICATION_SCHEDULED") as refused:
        await client.call("POST", "/v1/scheduled-publications", body)
    assert refused.value.status == 409
    second = await client.call("POST", "/v1/scheduled-publications", {**body, "replaces": first["id"]})
    await _comes_due(system, second["id"])

    async def published() -> bool:
        return bool((await client.call("GET", f"/v1/scheduled-publications/{second['id']}"))["state"] == "published")

    await until_answered(published)
    newest = (await client.call("GET", f"{path}/publications"))["publications"][0]
    assert (newest["version"], newest["published_by"], newest["note"]) == (2, second["scheduled_by"], "spring")
    assert newest["scheduled_publication"] == second["id"]
    assert (await client.call("GET", path))["published_version"] == 2
    listed = await client.call("GET", "/v1/scheduled-publications?template=publishing-schedule")
    assert [plan["state"] for plan in listed["scheduled_publications"]] == ["published", "replaced"]
    with pytest.raises(RefusedError, match="SCHEDULE_OVER"):
        await client.call("POST", f"/v1/scheduled-publications/{second['id']}:cancel", {})
    third = await client.call("POST", "/v1/scheduled-publications", {**body, "version": 1})
    await client.call("POST", f"{path}/versions", {"contents": WELCOME, "publish": True})
    await _comes_due(system, third["id"])

    async def problems() -> list[dict[str, str]]:
        listed: list[dict[str, str]] = (await client.call("GET", "/v1/problems"))["problems"]
        return [problem for problem in listed if "publishing-schedule" in problem["description"]]

    async def is_a_problem() -> bool:
        return bool(await problems())

    await until_answered(is_a_problem)
    [problem] = await problems()
    assert (problem["reason"], problem["severity"]) == ("PUBLICATION_FAILED", "notice")
    assert "version 3 is in use by now" in problem["description"]
    await client.call("POST", f"{path}/versions/1:publish", {})
    assert not await problems()
    past = {**body, "publish_at": just_now.isoformat()}
    with pytest.raises(RefusedError, match="publish_at: must be in the future"):
        await client.call("POST", "/v1/scheduled-publications", past)


async def test_a_version_is_tried_with_a_share_and_counted_beside_the_published_one(system: System) -> None:
    """Then it is published, which ends the canary."""
    client, path = system.client, "/v1/templates/publishing-canary"
    await client.create_template("publishing-canary", "email", WELCOME)
    tried = {"en": {"subject": "Tried, {{ name }}", "text": "Hello {{ name }}"}}
    await client.call("POST", f"{path}/versions", {"contents": tried})
    with pytest.raises(RefusedError, match="percent"):
        await client.call("POST", f"{path}/versions/2:startCanary", {"percent": 100})
    canary = await client.call("POST", f"{path}/versions/2:startCanary", {"percent": 50, "note": "shorter"})
    assert (canary["state"], canary["unit"], canary["published_version"]) == ("running", "notification", 1)
    user = await client.create_user("canary@example.com")
    sent: dict[int, set[str]] = {1: set(), 2: set()}

    async def both() -> bool:
        identifier = await client.send(user, "email", "publishing-canary", {"name": "Ada"})
        notification = await client.settled(identifier)
        assert notification["status"] == "sent"
        sent[notification["template_version"]].add(identifier)
        return all(sent.values())

    await until_answered(both)

    async def counted() -> bool:
        activity = await client.call("GET", "/v1/activity?template=publishing-canary")
        found = {each["version"]: int(each["counts"]["sent"]) for each in activity["versions"] if "sent" in each["counts"]}
        return found == {version: len(identifiers) for version, identifiers in sent.items()}

    await until_answered(counted)
    await client.call("POST", f"{path}/versions/2:publish", {})
    ended = await client.call("GET", f"{path}/canary")
    assert (ended["state"], ended["version"], ended["published_version"]) == ("published", 2, 1)
