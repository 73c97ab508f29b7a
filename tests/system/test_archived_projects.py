"""A project that is taken out of use: its credentials end, nothing of it is sent, and it comes back as it was or is erased."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from devstack.client import Client, RefusedError
from devstack.postgres import PostgresServer
from devstack.samples import WELCOME
from tests.system.conftest import System
from tests.system.test_erasure import Planted, found
from tests.waiting import until_answered

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCOPES = ["users:read", "users:write", "templates:write", "notifications:send", "notifications:read", "apikeys:write"]
SKIPPED = 8
PASSWORD = "correct horse battery staple"


async def a_project(system: System) -> tuple[str, str]:
    name = f"gone-{uuid4().hex[:10]}"
    await system.client.call("POST", "/v1/projects", {"id": name})
    return name, await a_key(system, name)


async def a_key(system: System, project: str) -> str:
    made: Any = await system.client.call("POST", "/v1/api-keys", {"name": "k", "project": project, "scopes": SCOPES})
    return str(made["secret"])


async def is_refused(client: Client, path: str) -> bool:
    """A revocation is read each second."""
    try:
        await client.call("GET", path)
    except RefusedError as error:
        return error.status == 401
    return False


async def test_all_that_reaches_a_project_ends_and_nothing_is_sent(system: System, postgres_server: PostgresServer) -> None:
    name, secret = await a_project(system)
    address = f"{name}@example.com"
    person = {"email": address, "password": PASSWORD}
    async with Client(system.processes.url, secret) as project, Client(system.processes.url, "") as stranger:
        await project.create_template("welcome", "email", WELCOME, category="news")
        user = (await project.call("POST", "/v1/users", person))["id"]
        child = (await project.call("POST", "/v1/api-keys", {"name": "child", "scopes": ["users:read"]}))["secret"]
        first = await project.send(user, "email", "welcome", {"name": "A"})
        assert (await project.settled(first))["status"] == "sent"
        waiting = await project.send(user, "email", "welcome", {"name": "A"}, send_at=_in_a_month())
        tokens = await stranger.call("POST", "/v1/auth/login", {**person, "project": name})
        archived = await system.client.call("POST", f"/v1/projects/{name}:archive")
        assert archived["archive_time"]
        assert await system.client.call("POST", f"/v1/projects/{name}:archive") == archived
        for credential in (secret, child, tokens["access_token"]):
            async with Client(system.processes.url, credential) as ended:
                await until_answered(partial(is_refused, ended, f"/v1/users/{user}"))
        with pytest.raises(RefusedError, match="REFRESH_TOKEN_INVALID"):
            await stranger.call("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        with pytest.raises(RefusedError, match="PROJECT_ARCHIVED"):
            await stranger.call("POST", "/v1/auth/login", {**person, "project": name})
        with pytest.raises(RefusedError, match="LOGIN_FAILED"):
            await stranger.call("POST", "/v1/auth/login", {**person, "password": "another one altogether", "project": name})
    with pytest.raises(RefusedError, match="PROJECT_ARCHIVED"):
        await a_key(system, name)
    await _make_due(postgres_server, waiting)
    mail = next(mail.message for mail in system.smtp.mails if address in mail.recipients)
    async with httpx.AsyncClient(base_url=system.processes.url) as mail_program:
        # what people got before is theirs to refuse all the same
        path = "/" + str(mail["List-Unsubscribe"]).strip("<>").split("/", 3)[3]
        assert (await mail_program.post(path)).status_code == 200
    await system.client.call("POST", f"/v1/projects/{name}:restore")
    async with Client(system.processes.url, secret) as old:
        assert await is_refused(old, f"/v1/users/{user}")
    async with Client(system.processes.url, await a_key(system, name)) as again:
        skipped = await again.settled(waiting)
        assert (skipped["status"], skipped["reason"], skipped["timeline"][-1]["detail"]) == (
            "skipped",
            "PROJECT_ARCHIVED",
            "project_archived",
        )
        assert (await again.call("GET", f"/v1/users/{user}"))["email"] == address
        rules = (await again.call("GET", f"/v1/users/{user}/preferences"))["rules"]
        assert [(rule["category"], rule["choice"]) for rule in rules] == [("news", "deny")]
        sent = await again.send(user, "email", "welcome", {"name": "A"}, category="billing")
        assert (await again.settled(sent))["status"] == "sent"
    events = (await system.client.call("GET", f"/v1/audit-events?subject=project:{name}"))["audit_events"]
    assert [(event["kind"], event["details"]) for event in events[::-1]] == [
        ("project_archived", {"api_keys": "2", "sessions": "1"}),
        ("project_restored", {}),
    ]


def _in_a_month() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).isoformat()


async def _make_due(postgres: PostgresServer, identifier: str) -> None:
    """As if its time had come, and a worker has decided."""
    connection = await asyncpg.connect(postgres.url("clarion_gateway"))
    try:
        await connection.execute("UPDATE notifications SET dispatch_at = now() WHERE id = $1 AND status = 1", identifier)
        async with asyncio.timeout(30):
            while True:
                if await connection.fetchval("SELECT status FROM notifications WHERE id = $1", identifier) == SKIPPED:
                    return
                await asyncio.sleep(0.05)  # other processes offer no event
    finally:
        await connection.close()


async def test_no_key_is_left_that_was_made_while_its_project_was_archived(system: System) -> None:
    name, _ = await a_project(system)
    made = [a_key(system, name) for _ in range(8)]
    *keys, _ = await asyncio.gather(*made, system.client.call("POST", f"/v1/projects/{name}:archive"), return_exceptions=True)
    for key in keys:
        if isinstance(key, str):
            async with Client(system.processes.url, key) as ended:
                await until_answered(partial(is_refused, ended, "/v1/users"))
        else:
            assert "PROJECT_ARCHIVED" in str(key)
    listed = await system.client.call("GET", f"/v1/api-keys?project={name}")
    assert listed.get("api_keys", []) == []


async def test_the_first_project_stays_and_what_does_not_exist_is_not_found(system: System) -> None:
    with pytest.raises(RefusedError, match="FIRST_PROJECT_STAYS"):
        await system.client.call("POST", "/v1/projects/default:archive")
    for verb in ("archive", "restore"):
        with pytest.raises(RefusedError, match="PROJECT_NOT_FOUND"):
            await system.client.call("POST", f"/v1/projects/no-such-project:{verb}")
    name, secret = await a_project(system)
    async with Client(system.processes.url, secret) as own:
        with pytest.raises(RefusedError, match="INSTALLATION_ONLY"):
            await own.call("POST", f"/v1/projects/{name}:archive")


async def _plant(system: System, planted: Planted) -> tuple[str, list[str]]:
    """A project with something of every kind in it, and its people."""
    name = f"planted-{uuid4().hex[:10]}"
    await system.client.call("POST", "/v1/projects", {"id": name, "display_name": planted.word("display name")})
    key = {
        "name": planted.word("key"),
        "project": name,
        "scopes": [*SCOPES, "policies:write", "webhooks:write", "senders:write", "roles:write", "users:admin"],
    }
    secret = str((await system.client.call("POST", "/v1/api-keys", key))["secret"])
    async with Client(system.processes.url, secret, timeout_s=60) as project:
        text = {"en": {"subject": "S", "text": planted.word("template")}}
        await project.create_template("welcome", "email", text)
        await project.call("PUT", "/v1/partials/footer", {"source": planted.word("partial")})
        await project.call("PUT", "/v1/senders/us", {"email": "us@trusted.example", "display_name": planted.word("sender")})
        content = base64.b64encode(planted.word("file").encode()).decode()
        await project.call("POST", "/v1/attachments", {"content": content})
        await project.call("POST", "/v1/suppressions", {"address": planted.address("suppressed address of no one")})
        await project.call("POST", "/v1/categories", {"id": "news", "texts": {"en": {"name": planted.word("category")}}})
        await project.call("PATCH", "/v1/brand", {"name": planted.word("brand")})
        await project.call("POST", "/v1/roles", {"id": "support", "description": planted.word("role"), "scopes": ["users:read"]})
        hook = {"url": "https://hooks.example/", "description": planted.word("endpoint"), "disabled": True}
        await project.call("POST", "/v1/webhook-endpoints", hook)
        people = []
        for number in range(12):
            made = {"email": planted.address(f"address {number}"), "name": planted.word(f"name {number}")}
            people.append(str((await project.call("POST", "/v1/users", made))["id"]))
            variables = {"name": planted.word(f"variable {number}")}
            sent = await project.send(people[-1], "email", "welcome", variables)
            assert (await project.settled(sent))["status"] == "sent"
        await project.call("POST", f"/v1/users/{people[0]}:assignRole", {"role": "support"})
    return name, people


async def test_nothing_that_was_planted_is_left_of_an_erased_project(system: System) -> None:
    planted = Planted()
    name, people = await _plant(system, planted)
    missing = planted.words.keys() - (await found(system, planted)).keys()
    assert not missing  # else the search could not find what it is meant to find
    with pytest.raises(RefusedError, match="PROJECT_NOT_ARCHIVED"):
        await system.client.call("DELETE", f"/v1/projects/{name}")
    await system.client.call("POST", f"/v1/projects/{name}:archive")
    begun = await system.client.call("DELETE", f"/v1/projects/{name}")
    await system.client.saga_completed(begun["saga_id"])
    assert await found(system, planted) == {}
    for verb, path in (("GET", ""), ("DELETE", ""), ("POST", ":archive"), ("POST", ":restore")):
        with pytest.raises(RefusedError, match="PROJECT_NOT_FOUND"):
            await system.client.call(verb, f"/v1/projects/{name}{path}")
    with pytest.raises(RefusedError, match="PROJECT_NOT_FOUND"):
        await a_key(system, name)
    with pytest.raises(RefusedError, match="PROJECT_EXISTS"):
        await system.client.call("POST", "/v1/projects", {"id": name})
    assert name not in [one["id"] for one in (await system.client.call("GET", "/v1/projects?page_size=200"))["projects"]]
    [event] = (await system.client.call("GET", f"/v1/audit-events?subject=project:{name}&kinds=project_erased"))["audit_events"]
    assert event["actor"].startswith("api_key:")
    assert len(people) == 12


async def test_what_is_in_use_or_the_first_is_not_erased_and_what_is_being_erased_does_not_come_back(
    system: System, postgres_server: PostgresServer
) -> None:
    with pytest.raises(RefusedError, match="PROJECT_NOT_ARCHIVED"):
        await system.client.call("DELETE", "/v1/projects/default")
    with pytest.raises(RefusedError, match="PROJECT_NOT_FOUND"):
        await system.client.call("DELETE", "/v1/projects/no-such-project")
    name, _ = await a_project(system)
    await system.client.call("POST", f"/v1/projects/{name}:archive")
    connection = await asyncpg.connect(postgres_server.url("clarion_user_svc"))
    try:
        # as if a saga had just begun
        await connection.execute("UPDATE projects SET erase_time = now() WHERE id = $1", name)
    finally:
        await connection.close()
    with pytest.raises(RefusedError, match="PROJECT_CLOSED"):
        await system.client.call("POST", f"/v1/projects/{name}:restore")
    begun = await system.client.call("DELETE", f"/v1/projects/{name}")
    assert begun["saga_id"]
