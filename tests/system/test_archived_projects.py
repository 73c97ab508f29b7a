"""A project that is taken out of use: its credentials end, nothing of it is sent, and it comes back as it was."""

import asyncio
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
    connection = await asyncpg.connect(postgres.url("clarion_gateway_system"))
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
