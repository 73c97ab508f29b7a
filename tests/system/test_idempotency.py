"""One key, one notification, whatever happens to Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from devstack.client import RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _send(system: System, user: str, name: str = "K") -> str | RefusedError:
    body = {"user_id": user, "channel": "email", "template": "welcome", "variables": {"name": name}}
    try:
        return await system.client.accepted(body, f'"key-of-{user}"')
    except RefusedError as error:
        return error


async def test_the_same_key_fifty_times_in_parallel_creates_one_notification_also_after_redis_is_emptied(system: System) -> None:
    """The others get the same answer, or 409 while the first is running; another payload gets 422."""
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user("idempotent@example.com")
    answers = await asyncio.gather(*(_send(system, user) for _ in range(50)))
    ids = {answer for answer in answers if isinstance(answer, str)}
    refused = {answer.status for answer in answers if isinstance(answer, RefusedError)}
    assert len(ids) == 1
    assert refused <= {409}

    async with Redis.from_url(system.valkey.url(1)) as redis:
        await redis.flushall()
    again = await asyncio.gather(*(_send(system, user) for _ in range(50)))
    assert {answer for answer in again if isinstance(answer, str)} == ids
    listed = await system.client.call("GET", f"/v1/notifications?user_id={user}")
    assert [notification["id"] for notification in listed["notifications"]] == list(ids)

    other = await _send(system, user, name="somebody else")
    assert isinstance(other, RefusedError)
    assert other.status == 422
