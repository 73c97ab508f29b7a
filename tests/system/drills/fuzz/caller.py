"""One caller with a key of its own that does something else each time: odd requests, odd templates, and proper sends between them."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from tests.system.drills.fuzz.doors import Answer, GrpcDoor, RestDoor
from tests.system.drills.fuzz.templates import VARIABLES, Grammar
from tests.system.drills.fuzz.values import Values

_CHANNELS = ("email", "push")
_MOST_KNOWN = 60
# Never an answer to a request, however odd: the fault would be ours.
_WRONG = frozenset({"500", "INTERNAL", "UNKNOWN", "DATA_LOSS"})
_MOST_FINDINGS = 40
_HEADERS = (
    "Idempotency-Key", "X-Correlation-ID", "traceparent", "Accept", "Accept-Language", "If-Match", "If-None-Match", "Origin", "Range",
    "Content-Encoding", "Transfer-Encoding", "Expect",
)  # fmt: skip
_CHUNKED = (
    b"POST /v1/notifications HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
)


@dataclass
class Record:
    """What all callers share: what exists by the name of its field, how often what was answered, and what must not have been."""

    known: dict[str, list[str]] = field(
        default_factory=lambda: {name: [] for name in ("user_id", "template", "notification_id", "id", "name")}
    )
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def learn(self, value: object, *fields: str) -> None:
        """The value exists, under these names."""
        if isinstance(value, str):
            for name in fields:
                values = self.known[name]
                values.append(value)
                del values[:-_MOST_KNOWN]

    def note(self, door: str, answer: Answer, request: str) -> Answer:
        """Counts an answer; a wrong one is a finding with its request."""
        self.answers[f"{door} {answer.status or 'nothing'}"] += 1
        if answer.status in _WRONG and len(self.findings) < _MOST_FINDINGS:
            self.findings.append(f"{door} {answer.status} {answer.body[:300]!r} to {request[:1500]}")
        return answer


class Caller:
    """`doors` are the gateway's REST port, its gRPC port, and the gRPC ports behind it."""

    def __init__(
        self,
        number: int,
        key: str,
        record: Record,
        *,
        seed: int,
        rest: RestDoor,
        doors: Sequence[GrpcDoor],
        services: Sequence[ServiceDescriptor],
    ) -> None:
        self._chance = random.Random(f"{seed}/{number}")
        self._number = number
        self._key = key
        self._record = record
        self._rest = rest
        self._doors = doors
        self._methods = [method for service in services for method in service.methods]
        self._values = Values(self._chance, record.known)
        self._grammar = Grammar(self._chance)
        self._made = 0

    async def act(self) -> None:
        """One thing."""
        self._values.set_oddness()
        actions = (self._odd_rest, self._odd_grpc, self._new_template, self._send, self._garbage, self._new_person)
        await self._chance.choices(actions, weights=(30, 25, 12, 25, 5, 3))[0]()

    async def new_person(self, *, plain: bool = False) -> None:
        """Someone with an address and a device. A `plain` one is always accepted."""
        self._made += 1
        name = f"{self._number}-{self._made}-{self._chance.randrange(10**9)}"
        user = (
            await self._post(
                "/v1/users", {"email": f"fuzz-{name}@example.com", "name": "Ada" if plain else self._values.text()[:100]}, plain=plain
            )
        ).json()
        if isinstance(user, dict) and isinstance(user.get("id"), str):
            self._record.learn(user["id"], "user_id", "id")
            await self._post(f"/v1/users/{user['id']}/devices", {"token": f"fuzz-{name}", "platform": "android"}, plain=plain)

    async def _new_person(self) -> None:
        await self.new_person()

    async def new_template(self, *, plain: bool = False) -> None:
        """A template from the grammar, published if it can be, and a message by it. A `plain` one always can."""
        self._made += 1
        channel = self._chance.choice(_CHANNELS)
        name = f"{channel}-{self._number}-{self._made}"
        content = (
            {"subject": self._part(plain), "html": self._part(plain), "text": self._part(plain)}
            if channel == "email"
            else {"title": self._part(plain), "body": self._part(plain), "data": {"k": self._part(plain)}}
        )
        await self._post("/v1/templates", {"name": name, "channel": channel}, plain=plain)
        if (await self._post(f"/v1/templates/{name}/versions", {"contents": {"en": content}, "publish": True}, plain=plain)).status in {
            "200",
            "201",
        }:
            self._record.learn(name, "template", "name")
            for _ in range(self._chance.randint(1, 3)):
                await self._send(name)

    def _part(self, plain: bool) -> str:
        return "Hello {{ a }}" if plain else self._grammar.template()

    async def _new_template(self) -> None:
        await self.new_template()

    async def _send(self, template: str = "") -> None:
        """A proper send, as far as the variables go."""
        known = self._record.known
        template = template or self._chance.choice(known["template"])
        body: dict[str, Any] = {
            "user_id": self._chance.choice(known["user_id"]),
            "channel": template.partition("-")[0],
            "template": template,
            "variables": self._values.variables(VARIABLES),
            "priority": self._chance.choice(("normal", "high")),
        }
        answer = (await self._post("/v1/notifications", body)).json()
        if isinstance(answer, dict):
            self._record.learn(answer.get("id"), "notification_id", "id")

    async def _post(self, target: str, document: Any, *, plain: bool = False) -> Answer:
        body = json.dumps(document).encode() if plain else self._values.encoded(document)
        headers = [("Authorization", f"Bearer {self._key}"), ("Content-Type", "application/json")]
        return self._record.note("REST", await self._rest.request("POST", target, headers, body), f"POST {target} {body[:1500]!r}")

    async def _odd_rest(self) -> None:
        method = self._chance.choice(self._methods)
        verb, path, has_body = _binding(method)
        if self._values.maybe(0.1):
            verb = self._chance.choice(("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "get"))
        target = self._target(path) + ("" if has_body and self._values.maybe(0.8) else self._query(method))
        body = None
        if has_body or self._values.maybe(0.1):
            body = self._values.encoded(self._values.document(method.input_type) if self._values.maybe(0.85) else self._values.json())
        answer = await self._rest.request(verb, target, self._headers(), body)
        self._record.note("REST", answer, f"{verb} {target[:500]} {(body or b'')[:1000]!r}")

    def _target(self, path: str) -> str:
        parts = [_quoted(self._values.text(part[1:-1]), self._values) if part.startswith("{") else part for part in _split(path)]
        return "".join(parts)[:20_000]

    def _query(self, method: MethodDescriptor) -> str:
        if self._values.maybe(0.3):
            return ""
        names = [one.name for one in method.input_type.fields] + ["a.b.c", "$alt", "%", "", "page_size", ".".join("a" * 200)]
        pairs = [
            f"{self._chance.choice(names)}={_quoted(self._values.text(), self._values)}" for _ in range(self._chance.choice((1, 2, 300)))
        ]
        return ("?" + "&".join(pairs))[:25_000]

    def _headers(self) -> list[tuple[str, str]]:
        headers = [(name, self._line()) for name in _HEADERS if self._values.maybe(0.1)]
        kind = "application/json" if self._values.maybe(0.9) else self._line()
        who = f"Bearer {self._key}" if self._values.maybe(0.9) else self._line()
        return [*headers, ("Content-Type", kind), ("Authorization", who)]

    def _line(self) -> str:
        return self._values.text()[:2000].translate({13: None, 10: None, 0: None})

    async def _odd_grpc(self) -> None:
        method = self._chance.choice(self._methods)
        door = self._doors[0] if self._values.maybe(0.7) else self._chance.choice(self._doors)
        message = self._values.message(GetMessageClass(method.input_type)()).SerializeToString()
        if self._values.maybe(0.2):
            message = self._values.damaged(message)
        path = f"/{method.containing_service.full_name}/{method.name}"
        metadata: list[tuple[str, str | bytes]] = [("authorization", f"Bearer {self._key}")] if self._values.maybe(0.9) else []
        for name in ("idempotency-key", "accept-language", "x-correlation-id", "traceparent", "odd-bin"):
            if self._values.maybe(0.1):
                text = self._values.text()[:1000]
                metadata.append((name, text.encode("utf-8", "replace")) if name.endswith("-bin") else (name, _ascii(text)))
        timeout_s = 10.0 if self._values.maybe(0.9) else self._chance.choice((0.001, 0.01, 0.1))
        answer = await door.call(path, message, metadata, streaming=method.server_streaming, timeout_s=timeout_s)
        self._record.note("gRPC", answer, f"{path} {metadata[1:]} {message[:1000]!r}")

    async def _garbage(self) -> None:
        """Bytes that are no request at all, or one that was."""
        size = self._chance.choice((1, 9, 100, 10_000))
        if self._values.maybe(0.5):
            await self._chance.choice(self._doors).frames(b"\0\0\0\4\0\0\0\0\0" * self._values.maybe(0.5) + self._chance.randbytes(size))
            return
        data = self._values.damaged(_CHUNKED) if self._values.maybe(0.7) else self._chance.randbytes(size)
        self._record.note("REST", await self._rest.raw(data), f"garbage {data[:500]!r}")


def _binding(method: MethodDescriptor) -> tuple[str, str, bool]:
    """Verb, path and whether a body is wanted; for a method without REST binding a path that is none."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for verb in ("get", "post", "put", "patch", "delete"):
        if path := getattr(rule, verb):
            return verb.upper(), path, bool(rule.body)
    return "POST", f"/{method.containing_service.full_name}/{method.name}", True


def _split(path: str) -> list[str]:
    parts = path.replace("{", "\0{").replace("}", "}\0").split("\0")
    return [part for part in parts if part]


def _quoted(text: str, values: Values) -> str:
    if values.maybe(0.05):
        return text.replace(" ", "").replace("\r", "").replace("\n", "")
    return "".join(f"%{byte:02X}" for byte in text[:3000].encode("utf-8", "surrogatepass"))


def _ascii(text: str) -> str:
    return "".join(character for character in text if " " <= character <= "~").strip()
