"""A project that is erased while its callers are at work, whose credentials are believed for a moment more."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import asyncpg
import pytest

from devstack.client import Client, RefusedError
from devstack.postgres import PostgresServer
from tests.system.conftest import System
from tests.system.test_archived_projects import SCOPES
from tests.system.test_erasure import Planted, found
from tests.waiting import until_answered

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

MORE = ["policies:write", "webhooks:write", "senders:write", "roles:write", "users:admin"]
# No one is made by them, so that the erasure is over before a revocation is known.
Write = Callable[[Client, str, int], Awaitable[object]]


def _base64(word: str) -> str:
    return base64.b64encode(word.encode()).decode()


def _text(word: str) -> dict[str, dict[str, str]]:
    return {"en": {"subject": "S", "text": word}}


WRITES: dict[str, Write] = {
    "suppression": lambda project, word, _: project.call("POST", "/v1/suppressions", {"address": f"{word}@example.com"}),
    "partial": lambda project, word, number: project.call("PUT", f"/v1/partials/p{number}", {"source": word}),
    "template": lambda project, word, number: project.create_template(f"t{number}", "email", _text(word)),
    "file": lambda project, word, _: project.call("POST", "/v1/attachments", {"content": _base64(word)}),
    "endpoint": lambda project, word, _: project.call(
        "POST", "/v1/webhook-endpoints", {"url": "https://hooks.example/", "description": word, "disabled": True}
    ),
    "sender": lambda project, word, number: project.call(
        "PUT", f"/v1/senders/s{number}", {"email": "us@trusted.example", "display_name": word}
    ),
    "category": lambda project, word, number: project.call("POST", "/v1/categories", {"id": f"c{number}", "texts": {"en": {"name": word}}}),
    "brand": lambda project, word, _: project.call("PATCH", "/v1/brand", {"name": word}),
    "role": lambda project, word, number: project.call(
        "POST", "/v1/roles", {"id": f"r{number}", "description": word, "scopes": ["users:read"]}
    ),
    "discarding": lambda project, word, _: project.call("POST", "/v1/dead-letters:discard", {"filter": {"reason": "NONE"}, "note": word}),
}


async def _write_until_refused(project: Client, planted: Planted, what: str, begun: asyncio.Event) -> None:
    number = 0
    while True:
        number += 1
        try:
            await WRITES[what](project, planted.word(f"{what} {number}"), number)
        except RefusedError as error:
            if error.status == 401:
                return
            if error.status not in {409, 429}:  # too many of a kind, or one that is just being removed
                raise
        begun.set()


async def _make_due(postgres: PostgresServer, project: str) -> str:
    """As if no credential could be believed any more; the id of the second look."""
    connection = await asyncpg.connect(postgres.url("clarion_gateway"))
    try:
        statement = "UPDATE sagas SET due_at = now() WHERE kind = 'project_erasure_sweep' AND key = $1 RETURNING id::text"
        return str(await connection.fetchval(statement, project))
    finally:
        await connection.close()


async def _is_completed(system: System, saga: str) -> bool:
    return bool((await system.client.call("GET", f"/v1/sagas/{saga}"))["state"] == "completed")


async def test_what_is_written_while_a_project_is_erased_is_gone_after_the_second_look(
    system: System, postgres_server: PostgresServer
) -> None:
    planted, name = Planted(), f"busy-{uuid4().hex[:10]}"
    await system.client.call("POST", "/v1/projects", {"id": name})
    key = {"name": "k", "project": name, "scopes": [*SCOPES, *MORE, "deadletters:review"]}
    secret = str((await system.client.call("POST", "/v1/api-keys", key))["secret"])
    async with Client(system.processes.url, secret, timeout_s=60) as project, asyncio.TaskGroup() as busy:
        for what in WRITES:
            busy.create_task(_write_until_refused(project, planted, what, begun := asyncio.Event()))
            await begun.wait()
        await system.client.call("POST", f"/v1/projects/{name}:archive")
        saga = (await system.client.call("DELETE", f"/v1/projects/{name}"))["saga_id"]
    await until_answered(partial(_is_completed, system, saga))
    await until_answered(partial(_is_completed, system, await _make_due(postgres_server, name)))
    assert await found(system, planted) == {}
    listed = (await system.client.call("GET", f"/v1/audit-events?subject=project:{name}&kinds=project_erased"))["audit_events"]
    assert len(listed) == 1
