"""Who a credential stands for, and where a person is signed in."""

import asyncio

import pytest

from devstack.client import Client, RefusedError
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

PASSWORD = "a long password of a person"


async def _person(system: System, email: str) -> str:
    made = await system.client.call("POST", "/v1/users", {"email": email, "password": PASSWORD})
    return str(made["id"])


async def _tokens(system: System, email: str) -> dict[str, str]:
    answer: dict[str, str] = await system.client.call("POST", "/v1/auth/login", {"email": email, "password": PASSWORD})
    return answer


async def _refused_with(client: Client) -> int:
    """The status, once revocations have spread."""
    async with asyncio.timeout(20):
        while True:
            try:
                await client.call("GET", "/v1/me")
            except RefusedError as refused:
                return refused.status
            await asyncio.sleep(0.1)


async def test_a_key_and_a_person_learn_what_they_are(system: System) -> None:
    made = await system.client.call("POST", "/v1/api-keys", {"name": "asks", "scopes": ["users:read"], "test": True})
    async with Client(system.processes.url, made["secret"]) as program:
        me = await program.call("GET", "/v1/me")
    assert (me["kind"], me["id"], me["name"], me["project"], me["scopes"], me["test"]) == (
        "api_key", made["api_key"]["id"], "asks", "default", ["users:read"], True,
    )  # fmt: skip
    user = await _person(system, "learns@example.com")
    async with Client(system.processes.url, (await _tokens(system, "learns@example.com"))["access_token"]) as person:
        me = await person.call("GET", "/v1/me")
    assert (me["kind"], me["id"], me.get("scopes", []), "expire_time" in me) == ("user", user, [], True)
    async with Client(system.processes.url, "") as stranger:
        with pytest.raises(RefusedError) as refused:
            await stranger.call("GET", "/v1/me")
    assert refused.value.status == 401


async def test_a_session_that_is_ended_is_over_everywhere(system: System) -> None:
    """Its refresh token at once, its access tokens within seconds; the session that ended it goes on."""
    user = await _person(system, "two-places@example.com")
    here, there = await _tokens(system, "two-places@example.com"), await _tokens(system, "two-places@example.com")
    async with Client(system.processes.url, here["access_token"]) as person, Client(system.processes.url, there["access_token"]) as other:
        found = (await person.call("GET", f"/v1/users/{user}/sessions"))["sessions"]
        assert sorted(session["current"] for session in found) == [False, True]
        assert all(session["create_time"] <= session["last_use_time"] < session["expire_time"] for session in found)
        assert (await other.call("GET", "/v1/me"))["id"] == user
        ended = await person.call("DELETE", f"/v1/users/{user}/sessions/-")
        assert ended["ended_count"] == 1
        with pytest.raises(RefusedError, match="REFRESH"):
            await system.client.call("POST", "/v1/auth/refresh", {"refresh_token": there["refresh_token"]})
        assert await _refused_with(other) == 401
        [left] = (await person.call("GET", f"/v1/users/{user}/sessions"))["sessions"]
        assert left["current"]
        assert await system.client.call("POST", "/v1/auth/refresh", {"refresh_token": here["refresh_token"]})
        assert (await person.call("DELETE", f"/v1/users/{user}/sessions/{left['id']}"))["ended_count"] == 1
        assert (await system.client.call("GET", f"/v1/users/{user}/sessions")).get("sessions", []) == []


async def test_others_sessions_are_an_administrators(system: System) -> None:
    user, other = await _person(system, "own-sessions@example.com"), await _person(system, "others-sessions@example.com")
    await _tokens(system, "others-sessions@example.com")
    async with Client(system.processes.url, (await _tokens(system, "own-sessions@example.com"))["access_token"]) as person:
        for verb, path in (("GET", f"/v1/users/{other}/sessions"), ("DELETE", f"/v1/users/{other}/sessions/-")):
            with pytest.raises(RefusedError, match="NOT_OWNER"):
                await person.call(verb, path)
        # another person's session under one's own name ends nothing
        [foreign] = (await system.client.call("GET", f"/v1/users/{other}/sessions"))["sessions"]
        assert (await person.call("DELETE", f"/v1/users/{user}/sessions/{foreign['id']}")).get("ended_count", 0) == 0
    assert len((await system.client.call("GET", f"/v1/users/{other}/sessions"))["sessions"]) == 1
    assert (await system.client.call("DELETE", f"/v1/users/{other}/sessions/-"))["ended_count"] == 1
