"""After a person is erased, nothing of what was planted about them is left in any database, in Redis or in a log.

docs/privacy.md says what is kept of an erased person, and where copies are that no service can reach: the logs of RabbitMQ and PostgreSQL,
and back-ups.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from devstack.client import Client, RefusedError
from devstack.processes import DATABASES
from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

PUSH = {"en": {"title": "{{ name }}", "body": "Hello"}}
_TABLES = "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


class Planted:
    """Words that stand nowhere else. Each has a number of its own, by which the place that keeps it is recognised."""

    def __init__(self) -> None:
        self._run = uuid4().hex[:12]
        self.words: dict[str, str] = {}

    @property
    def beginning(self) -> str:
        """What each word begins with, by which a text that holds none of them is passed over quickly."""
        return f"zq{self._run}"

    def word(self, what: str) -> str:
        """A word for this."""
        return self.words.setdefault(what, f"{self.beginning}{len(self.words):02d}zq")

    def address(self, what: str) -> str:
        """An address that holds it."""
        return f"{self.word(what)}@example.com"


async def _rows(system: System) -> AsyncIterator[tuple[str, str]]:
    """Each row of each table as text, with its place."""
    for database in DATABASES:
        connection = await asyncpg.connect(system.processes.environ(database)["CLARION_DATABASE_URL"].replace("+asyncpg", ""))
        try:
            for (table,) in await connection.fetch(_TABLES):
                for (row,) in await connection.fetch(f"SELECT t::text FROM {table} t"):
                    yield f"{database}.{table}", row
        finally:
            await connection.close()


async def _keys(system: System) -> AsyncIterator[tuple[str, str]]:
    """Each key of Redis and what it holds, as text."""
    redis: Any = Redis.from_url(system.valkey.url(1))
    read: dict[bytes, Callable[[bytes], Awaitable[object]]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda name: redis.lrange(name, 0, -1),
        b"zset": lambda name: redis.zrange(name, 0, -1),
        b"stream": redis.xrange,
    }
    try:
        async for key in redis.scan_iter(count=1000):
            kind = await redis.type(key)
            if kind != b"none":  # it has run out meanwhile
                yield f"redis {key[:40]!r}", f"{key!r} {await read[kind](key)!r}"
    finally:
        await redis.aclose()


def _forms(word: str) -> Iterator[str]:
    """As text, and as PostgreSQL shows bytes."""
    yield word
    yield word.encode().hex()


async def found(system: System, planted: Planted) -> dict[str, set[str]]:
    """Where each word is."""
    places: dict[str, set[str]] = {what: set() for what in planted.words}
    for source in (_rows(system), _keys(system)):
        async for place, text in source:
            lower = text.lower()
            if any(form in lower for form in _forms(planted.beginning)):
                for what, word in planted.words.items():
                    if any(form in lower for form in _forms(word)):
                        places[what].add(place)
    return {what: where for what, where in places.items() if where}


async def _erase(system: System, user: str) -> None:
    begun = await system.client.call("DELETE", f"/v1/users/{user}")
    await system.client.saga_completed(begun["saga_id"])


async def _test_key(system: System) -> str:
    scopes = ["users:write", "users:read", "notifications:send", "notifications:read"]
    made = await system.client.call("POST", "/v1/api-keys", {"name": "erasure", "scopes": scopes, "test": True})
    return str(made["secret"])


async def _plant_addresses(client: Client, user: str, planted: Planted) -> None:
    """Beside the primary one."""
    for what in ("further address", "further address that is suppressed"):
        await client.call("POST", f"/v1/users/{user}/addresses", {"address": planted.address(what)})
    await client.call("POST", "/v1/suppressions", {"address": planted.address("further address that is suppressed")})


async def _plant(system: System, planted: Planted) -> str:
    """A person with something of every kind; their id."""
    client = system.client
    await client.create_template("erasure-mail", "email", WELCOME, category="erasure")
    await client.create_template("erasure-push", "push", PUSH)
    address = planted.address("address")
    body = {"email": address, "name": planted.word("name"), "external_id": planted.word("external id")}
    made = await client.call("POST", "/v1/users", body, {"Idempotency-Key": f'"{uuid4()}"'})
    user = str(made["id"])
    await client.call("PATCH", f"/v1/users/{user}", {"email": planted.address("former address")})
    await client.call("PATCH", f"/v1/users/{user}", {"email": address})
    await _plant_addresses(client, user, planted)
    await client.call("POST", f"/v1/users/{user}/devices", {"token": planted.word("device token"), "platform": "ios"})
    gone = await client.call("POST", f"/v1/users/{user}/devices", {"token": planted.word("removed device token"), "platform": "web"})
    await client.call("DELETE", f"/v1/users/{user}/devices/{gone['id']}")
    await client.call("PATCH", f"/v1/users/{user}/preferences", {"rules": [{"category": "other", "choice": "deny"}]})

    def variables(what: str) -> dict[str, str]:
        return {"name": planted.word(what)}

    def label(what: str) -> dict[str, dict[str, str]]:
        return {"metadata": {"about": planted.word(f"label of {what}")}}

    sent = [
        await client.send(user, "email", "erasure-mail", variables("mail"), **label("mail")),
        await client.send(user, "push", "erasure-push", variables("push"), **label("push")),
    ]
    later = (datetime.now(UTC) + timedelta(days=20)).isoformat()
    await client.send(user, "email", "erasure-mail", variables("scheduled"), send_at=later, **label("scheduled"))
    single: dict[str, Any] = {
        "user_id": user,
        "channel": "email",
        "template": "erasure-mail",
        "variables": variables("keyed"),
        **label("keyed"),
    }
    file = {"filename": f"{planted.word('file name')}.txt", "content": b64encode(planted.word("file").encode()).decode()}
    single["attachments"] = [file]
    keyed = await client.call("POST", "/v1/notifications", single, {"Idempotency-Key": f'"{uuid4()}"'})
    del single["attachments"]
    batch = {**single, "variables": variables("batch")}
    batched = await client.call("POST", "/v1/notifications:batch", {"requests": [batch]})
    addressed = {**single, "variables": variables("addressed"), "to": {"email": address, "name": planted.word("name in a send")}}
    del addressed["user_id"]
    named = await client.call("POST", "/v1/notifications", addressed)
    sent += [str(keyed["id"]), str(batched["results"][0]["accepted"]["id"]), str(named["id"])]
    for identifier in sent:
        assert (await client.settled(identifier))["status"] == "sent"
    system.smtp.script(address, replies(f"550 5.7.1 not for {planted.word('reply')}"))
    refused = await client.send(user, "email", "erasure-mail", variables("refused"), **label("refused"))
    assert (await client.settled(refused))["status"] == "failed"
    await client.call("POST", f"/v1/dead-letters/{refused}:annotate", {"note": planted.word("note")})
    await client.call(
        "POST", f"/v1/dead-letters/{refused}:requeue", {"email": planted.address("redirection"), "note": planted.word("second note")}
    )
    assert (await client.settled(refused))["status"] == "sent"
    async with Client(system.processes.url, await _test_key(system)) as tester:
        captured = await tester.send(user, "email", "erasure-mail", variables("captured"))
        assert (await tester.settled(captured))["status"] == "sent"
    await client.call("POST", "/v1/suppressions", {"address": address, "reason": "complaint"})
    await client.call("POST", "/v1/suppressions", {"address": address, "category": "news", "reason": "moved"})
    return user


async def test_nothing_that_was_planted_is_left_of_an_erased_person(system: System) -> None:
    planted = Planted()
    user = await _plant(system, planted)
    before = await found(system, planted)
    # else the search could not find what it is meant to find: all but what was replaced or removed meanwhile
    missing = planted.words.keys() - before.keys()
    assert missing <= {"former address", "removed device token", "name in a send"}, (missing, before)
    await _erase(system, user)
    assert await found(system, planted) == {}
    for service in system.processes.names:
        log = (system.processes.folder / f"{service}.log").read_text(errors="replace").lower()
        assert not [what for what, word in planted.words.items() if word in log], service


async def test_everything_that_is_held_can_be_exported(system: System) -> None:
    """Each planted word but those that open a way to a device, and what an audit trail holds masked."""
    planted = Planted()
    user = await _plant(system, planted)
    lines = await _export(system.client, user)
    text = "\n".join(lines)
    missing = {what for what, word in planted.words.items() if word not in text.lower()}
    assert missing == {"device token", "removed device token", "former address", "name in a send", "note", "file"}
    kinds = [next(iter(json.loads(line)["result"])) for line in lines]
    assert kinds[:8] == ["user", "address", "address", "preferences", "device", "suppression", "suppression", "suppression"]
    assert set(kinds[8:]) == {"notification"}
    with pytest.raises(RefusedError, match="USER_NOT_FOUND"):
        await system.client.call("GET", f"/v1/users/{uuid4()}:exportPersonalData")
    key = await system.client.call("POST", "/v1/api-keys", {"name": "reads", "scopes": ["users:read", "notifications:read"]})
    async with Client(system.processes.url, key["secret"]) as reader:
        with pytest.raises(RefusedError, match="SCOPE_MISSING"):
            await reader.call("GET", f"/v1/users/{user}:exportPersonalData")


async def test_a_person_exports_their_own_data_and_no_others(system: System) -> None:
    password = "a long password of a person"
    await system.client.call("POST", "/v1/users", {"email": "own-export@example.com", "password": password})
    other = await system.client.create_user("others-export@example.com")
    login = await system.client.call("POST", "/v1/auth/login", {"email": "own-export@example.com", "password": password})
    [own] = (await system.client.call("GET", "/v1/users?email=own-export@example.com"))["users"]
    async with Client(system.processes.url, login["access_token"]) as person:
        assert "own-export@example.com" in (await _export(person, own["id"]))[0]
        with pytest.raises(RefusedError, match="USER_NOT_FOUND"):
            await person.call("GET", f"/v1/users/{other}:exportPersonalData")


async def _export(client: Client, user: str) -> list[str]:
    return [line async for line in client.lines(f"/v1/users/{user}:exportPersonalData")]


async def test_a_person_is_erased_by_address(system: System) -> None:
    """Whose id is not known: the list finds it, and a person who was made by a send to an address is one as any other."""
    planted = Planted()
    await system.client.create_template("erasure-mail", "email", WELCOME, category="erasure")
    address = planted.address("address")
    body = {"to": {"email": address}, "channel": "email", "template": "erasure-mail", "variables": {"name": planted.word("variable")}}
    sent = await system.client.call("POST", "/v1/notifications", body)
    await system.client.settled(str(sent["id"]))
    [person] = (await system.client.call("GET", f"/v1/users?email={address}"))["users"]
    await _erase(system, str(person["id"]))
    assert await found(system, planted) == {}
