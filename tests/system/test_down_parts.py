"""What callers see while a part is down, and after its return. Each test leaves everything running."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from devstack.processes import API_KEY
from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

# "at once" on a busy machine; a request that waits for a part that is down takes longer than any of our time-outs
AT_ONCE_S = 3.0


class Door:
    """The REST door, with status and headers."""

    def __init__(self, system: System, http: httpx.AsyncClient) -> None:
        self.system = system
        self._http = http

    async def person(self, address: str) -> str:
        """A person whom the gateway knows to exist, and a template that it knows."""
        user = await self.system.client.create_user(address)
        assert (await self.send(user)).status_code == 202
        return user

    async def send(self, user: str, template: str = "welcome", key: str = "") -> httpx.Response:
        body = {"user_id": user, "channel": "email", "template": template, "variables": {"name": "D"}}
        return await self._http.post("/v1/notifications", json=body, headers={"Idempotency-Key": key} if key else {})

    async def call_through(self, service: str) -> httpx.Response:
        """A call that the gateway hands on to the service."""
        return await self._http.get({"user_svc": "/v1/users", "template_svc": "/v1/templates"}[service])

    async def cancel(self, identifier: str) -> httpx.Response:
        return await self._http.post(f"/v1/notifications/{identifier}:cancel", json={})

    async def until(self, identifier: str, *reasons: str) -> Any:
        """The first timeline entry with one of the reasons. Polls, since the system is other processes."""
        async with asyncio.timeout(15):
            while True:
                found = await self.system.client.call("GET", f"/v1/notifications/{identifier}")
                for entry in found["timeline"]:
                    if entry["reason"] in reasons:
                        return entry
                await asyncio.sleep(0.05)

    async def sent(self, answer: httpx.Response) -> bool:
        return bool((await self.system.client.settled(answer.json()["id"]))["status"] == "sent")


async def _when_back(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The first answer that is no 503: a caller who comes again as it is told, only faster."""
    async with asyncio.timeout(15):
        while True:
            answer = await call()
            if answer.status_code != 503:
                return answer
            _refused(answer)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _door(system: System) -> AsyncIterator[Door]:
    await system.client.create_template("welcome", "email", WELCOME)
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=system.processes.url, headers=headers, timeout=15) as http:
        yield Door(system, http)


@asynccontextmanager
async def _without(system: System, service: str) -> AsyncIterator[None]:
    """The block runs while the service is stopped; afterwards it is serving again."""
    await asyncio.to_thread(system.processes.stop, service)
    try:
        yield
    finally:
        system.processes.spawn(service)
        await system.processes.wait_serving(service)


def _refused(answer: httpx.Response) -> str:
    """The reason of a 503, which must say when to come again."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return str(answer.json()["details"][0]["reason"])


async def test_without_redis_sends_are_accepted_and_delivered(system: System) -> None:
    """Under the limits of one process. Whether a queued one is being sent nobody can tell then, so a cancel says that."""
    system.smtp.script_always("queued@example.com", replies("451 4.7.1 Later"))
    async with _door(system) as door:
        user, slow = await door.person("redis@example.com"), await system.client.create_user("queued@example.com")
        await asyncio.to_thread(system.valkey.stop)
        try:
            answers = [await door.send(user, key=f"down-{number}") for number in range(5)]
            assert [answer.status_code for answer in answers] == [202] * 5
            again = await door.send(user, key="down-0")
            assert again.json() == answers[0].json(), "PostgreSQL keeps the idempotency keys too"
            assert all([await door.sent(answer) for answer in answers])
            queued = (await door.send(slow)).json()["id"]
            await door.until(queued, "SMTP_451")
            assert _refused(await door.cancel(queued)) == "LEDGER_UNAVAILABLE"
        finally:
            await asyncio.to_thread(system.valkey.start)
        assert (await _when_back(lambda: door.cancel(queued))).json()["status"] == "cancelled"
        assert await door.sent(await door.send(user))


@pytest.mark.parametrize(("service", "unknown"), [("template_svc", "template"), ("user_svc", "user")])
async def test_without_a_service_what_is_known_is_accepted_and_the_rest_is_503(system: System, service: str, unknown: str) -> None:
    """What is accepted is parked by the worker with its attempt unused; cancelled there, it never leaves."""
    async with _door(system) as door:
        user, stranger = await door.person(f"{service}@example.com"), await system.client.create_user(f"stranger-{service}@example.com")
        async with _without(system, service):
            refused = await (door.send(user, template="never-asked-for") if unknown == "template" else door.send(stranger))
            assert _refused(refused) == "DEPENDENCY_UNAVAILABLE"
            accepted = await door.send(user)
            assert accepted.status_code == 202
            identifier = accepted.json()["id"]
            parked = await door.until(identifier, "UPSTREAM_UNAVAILABLE", "BREAKER_OPEN")
            assert (parked["status"], parked["attempt"]) == ("queued", 1)
            assert parked["next_attempt_time"]
        assert (await door.cancel(identifier)).json()["status"] == "cancelled"
        assert (await _when_back(lambda: door.call_through(service))).status_code == 200


async def test_without_postgresql_sends_are_503_at_once_and_nothing_is_half_done(system: System) -> None:
    """After its return the same keys are accepted, each once."""
    postgres = system.processes.postgres
    async with _door(system) as door:
        user = await door.person("postgres@example.com")
        await asyncio.to_thread(postgres.stop)
        try:
            for number in range(5):
                begun_s = time.monotonic()
                assert _refused(await door.send(user, key=f"pg-{number}")) == "DATABASE_UNAVAILABLE"
                assert time.monotonic() - begun_s < AT_ONCE_S
        finally:
            await asyncio.to_thread(postgres.start)
        for service in ("user_svc", "template_svc"):  # or the workers would park what is accepted
            assert (await _when_back(partial(door.call_through, service))).status_code == 200
        answers = [await _when_back(partial(door.send, user, key=f"pg-{number}")) for number in range(5)]
        assert [answer.status_code for answer in answers] == [202] * 5
        assert all([await door.sent(answer) for answer in answers])
        listed = await system.client.call("GET", f"/v1/notifications?user_id={user}")
        assert len(listed["notifications"]) == len(answers) + 1
