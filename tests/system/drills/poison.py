"""One caller's hostile input among nine others' mail: all of it ends, it costs the hostile one only, and others wait hardly longer."""

import asyncio
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any
from uuid import UUID

import aio_pika

from devstack.client import Client, RefusedError
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from mesh.ids import new_id
from tests.system.drills.ledger import Account, Books
from tests.system.drills.rig import Rig

CALLERS = 10
SETTLED_S = 120.0  # nothing may be on its way any longer than that
_HOSTILE_PART = 3  # of so many notifications one is hostile
_IN_FLIGHT = 32
_LATENCY = "SELECT extract(epoch FROM update_time - create_time)::float8 AS s FROM notifications WHERE id = ANY($1::uuid[])"

# Templates that freeze, crash or fill a renderer without bounds. What an author may not publish at all is left out of the drill.
_TEMPLATES = {
    "poison-slow": "{% for a in range(900) %}{% for b in range(900) %}{% for c in range(900) %}{{ c }}{% endfor %}{% endfor %}{% endfor %}",
    "poison-large": "{% for a in range(900) %}{{ name * 900 }}{% endfor %}",
    "poison-key": "{% set ns = namespace(t=(1,)) %}{% for a in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {ns.t: 1} }}",
    "poison-deep": "{% set ns = namespace(t=(1,)) %}{% for a in range(900) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ ns.t }}",
    "poison-trim": "{{ (name * 9000)|trim(name * 9000) }}",
    "poison-missing": "{{ name }} {{ nobody_gave_this.at.all }}",
}


@dataclass(frozen=True, slots=True)
class Poisoned:
    """The drill's result. Latencies are p99 in seconds, from acceptance to the end, of those that are not hostile."""

    account: Account
    settled: bool
    refused: Counter[str]
    calm_s: float
    poisoned_s: float

    @property
    def passed(self) -> bool:
        """Whether all that was accepted has ended, and is accounted for."""
        return self.settled and not self.account.violations

    def lines(self) -> str:
        """For people."""
        totals = ", ".join(f"{count} {status.name.lower()}" for status, count in sorted(self.account.totals.items()))
        ratio = self.poisoned_s / self.calm_s if self.calm_s else math.inf
        return "\n".join(
            (
                f"accepted {self.account.accepted}: {totals}; refused at the door: {dict(self.refused)}",
                f"all ended within {SETTLED_S:g} s: {self.settled}; violations: {list(self.account.violations)}",
                f"p99 of the others: {self.calm_s:.2f} s alone, {self.poisoned_s:.2f} s beside the hostile one ({ratio:.1f} times)",
            )
        )


async def poisoned(rig: Rig, count: int) -> Poisoned:
    """Drills `count` notifications."""
    books = Books(rig.database_url())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(books.close)
        clients = await _callers(stack, rig)
        templates = await _hostile_templates(rig)
        calm = await _send(clients[1:], islice(_innocent(rig, "calm"), count - count // _HOSTILE_PART))
        await books.settled(calm.ids, timeout_s=SETTLED_S)
        innocent = islice(_innocent(rig, "poison"), count - count // _HOSTILE_PART)
        hostile = islice(_hostile(rig, templates), count // _HOSTILE_PART)
        good, bad, _ = await asyncio.gather(_send(clients[1:], innocent), _send(clients[:1], hostile), _unreadable(rig))
        accepted = {str(number): identifier for number, identifier in enumerate((*good.ids, *bad.ids))}
        settled = await books.settled(list(accepted.values()), timeout_s=SETTLED_S)
        account = await books.audit("poison", accepted)
        return Poisoned(account, settled, bad.refused + good.refused, await _p99(books, calm.ids), await _p99(books, good.ids))


@dataclass(frozen=True, slots=True)
class _Sent:
    ids: list[str]
    refused: Counter[str]


async def _callers(stack: AsyncExitStack, rig: Rig) -> list[Client]:
    async with Client(rig.urls[0], API_KEY) as admin:
        body = {"scopes": ["notifications:send"]}
        keys = [await admin.call("POST", "/v1/api-keys", {**body, "name": f"poison-{number}"}) for number in range(CALLERS)]
    urls = cycle(rig.urls)
    return [await stack.enter_async_context(Client(next(urls), str(key["secret"]), timeout_s=30.0)) for key in keys]


async def _hostile_templates(rig: Rig) -> list[str]:
    """Those that could be published."""
    made = []
    async with Client(rig.urls[0], API_KEY, timeout_s=60.0) as admin:
        for name, text in _TEMPLATES.items():
            try:
                await admin.create_template(name, "email", {"en": {**WELCOME["en"], "text": text, "html": ""}})
            except RefusedError:
                continue
            made.append(name)
    return made


def _innocent(rig: Rig, tag: str) -> Iterator[dict[str, Any]]:
    for number, person in enumerate(cycle(rig.people)):
        yield _body(person, "welcome", {"name": f"D{number}"}, tag)


def _hostile(rig: Rig, templates: Sequence[str]) -> Iterator[dict[str, Any]]:
    people = cycle(rig.people)
    for number in cycle(range(1, 40)):
        for template in templates:
            yield _body(next(people), template, {"name": "x" * 1000}, "poison")
        for levels in (15, 16, 17, 33, 60):
            yield _body(next(people), "welcome", {"name": "deep", "deep": _nested(levels)}, "poison")
        for size in (1, 250_000, 300_000):
            yield _body(next(people), "welcome", {"name": "x" * size}, "poison")
        yield _body(next(people), "welcome", {"name": "\u202e\x00\r\nBcc: x@example.org"}, "poison")
        yield _body(next(people), "welcome", {"name": [number] * 5000}, "poison")


def _body(person: str, template: str, variables: dict[str, Any], tag: str) -> dict[str, Any]:
    return {"user_id": person, "channel": "email", "template": template, "variables": variables, "metadata": {"drill": tag}}


def _nested(levels: int) -> Any:
    value: Any = "core"
    for level in range(levels - 1):
        value = {"a": value} if level % 2 else [value]
    return value


async def _send(clients: Sequence[Client], bodies: Iterator[dict[str, Any]]) -> _Sent:
    sent, gate = _Sent([], Counter()), asyncio.Semaphore(_IN_FLIGHT)

    async def one(client: Client, body: dict[str, Any]) -> None:
        async with gate:
            try:
                answer = await client.call("POST", "/v1/notifications", body)
            except RefusedError as error:
                sent.refused[str(error.status)] += 1
            else:
                sent.ids.append(str(answer["id"]))

    async with asyncio.TaskGroup() as group:
        for client, body in zip(cycle(clients), bodies, strict=False):
            group.create_task(one(client, body))
    return sent


async def _unreadable(rig: Rig) -> None:
    """Messages that no worker can read, by hand onto the bus: of notifications that there are not, and of none."""
    connection = await aio_pika.connect(rig.rabbitmq.url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("notifications", ensure=False)
        for number in range(40):
            headers: dict[str, Any] = {"notification-ids": new_id()} if number % 2 else {}
            for key in ("email", "email.urgent", "push", "failed", "outcome"):
                body = os.urandom(number * 50) if number % 4 else b"\x0a\xff\xff\xff\xff\x0f" + b"\x0a" * number
                message = aio_pika.Message(body, headers=headers, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await exchange.publish(message, routing_key=key)


async def _p99(books: Books, identifiers: Sequence[str]) -> float:
    waits = sorted(row["s"] for row in await books.fetch(_LATENCY, list(map(UUID, identifiers))))
    return waits[min(len(waits) - 1, math.ceil(len(waits) * 0.99) - 1)] if waits else 0.0
