"""Odd values of every kind, from a seeded source: texts, JSON documents, protobuf messages, and bytes that were right once."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_DEEPEST = 200
_LONGEST = 40_000
_TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202e\u2066", "\ufeff", "a" * 63, "a" * 64, "a" * 65, "a" * 255, "a" * 256,
    "null", "true", "-0", "1e400", "NaN", "../../etc/passwd", "%00", "%2F", "%", "{{ a }}", "{% raw %}", "${jndi:ldap://x}", "' OR 1=1 --",
    "\r\nX-Injected: 1", "\U0001f468\u200d\U0001f469", "İ", "ß", "e\u0301" * 50, "𝒳", "xn--a", "-",
    "a@example.com", "a@münchen.example", "@", "a@b@c", '"a b"@example.com', "a@[127.0.0.1]", "A@EXAMPLE.COM ", "pt_BR", "en-US-POSIX",
    "xx-YY", "Europe/Berlin", "Mars/Olympus", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:60Z", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "email", "push", "high", "*",
)  # fmt: skip
_NUMBERS: tuple[Any, ...] = (
    0, -0.0, 1, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, 1e308, 5e-324, 0.1, 1.5,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
# What a field of the name usually holds; values that exist come before these.
_USUAL: Mapping[str, Sequence[str]] = {
    "locale": ("en", "pt-BR", "de", "no", "zh-TW"),
    "default_locale": ("en", "de"),
    "time_zone": ("UTC", "Europe/Berlin"),
    "category": ("orders", "news"),
    "email": ("someone@example.com", "lena@münchen.example", "new.one@example.com"),
    "password": ("correct horse battery staple",),
    "platform": ("android", "ios", "web"),
    "contents": ("en", "de"),
    "subject": ("Hello {{ a }}",),
    "page_token": ("", "AAAA"),
    "scopes": ("users:read",),
}
_ORDINARY: tuple[Any, ...] = (1, 0, 2.5, -7, True, "Ada", "", "<b>", "x" * 500, [1, 2, 3], ["b", "a"], {"k": "v"})
_PATHS = ("name", "locale", "email", "id", "nosuch", "*", "name.x")
_INTEGERS = (0, 1, -1, 50, 200, 201, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 253402300799, 253402300800, -62135596800, -62135596801)


class Values:
    """`known` gives values that exist, by the name of the field that holds such ones."""

    def __init__(self, chance: random.Random, known: Mapping[str, Sequence[str]]) -> None:
        self.chance = chance
        self._known = known
        self._odd = 0.5

    def maybe(self, probability: float) -> bool:
        """True so often."""
        return self.chance.random() < probability

    def set_oddness(self) -> None:
        """For the next request: a few values of it are odd, or many. If all were, none would get past the first check."""
        self._odd = self.chance.choice((0.0, 0.03, 0.1, 0.5))

    def text(self, field: str = "") -> str:
        """Text for a field: one that exists or is usual there, else an odd or a long one."""
        if field and not self.maybe(self._odd):
            return self.chance.choice(self._known.get(field) or _USUAL.get(field) or ("abc", "x1", "Ada Lovelace"))
        if self.maybe(0.05):
            return self.chance.choice(("a", "é", "\U0001f600", "\ud800", "\0", "{{", "<b>")) * self.chance.randint(1, _LONGEST)
        if self.maybe(0.2):
            return "".join(chr(self.chance.randrange(0x110000)) for _ in range(self.chance.randint(1, 40)))
        return self.chance.choice(_TEXTS)

    def _integer(self) -> int:
        return self.chance.choice(_INTEGERS) if self.maybe(self._odd) else self.chance.randint(0, 3)

    def _time(self) -> str:
        if self.maybe(self._odd):
            return self.chance.choice(_TEXTS)
        return (datetime.now(UTC) + timedelta(seconds=self.chance.choice((-3600, 2, 5, 3600, 86400)))).isoformat()

    def json(self, depth: int = 0) -> Any:
        """A JSON value, sometimes deep or wide."""
        kind = self.chance.random()
        if depth == 0 and kind < 0.1:
            return self._nested(self.chance.randint(20, _DEEPEST))
        if depth == 0 and kind < 0.15:
            return [self.chance.choice(_NUMBERS)] * self.chance.randint(1000, _LONGEST)
        if depth < 4 and kind < 0.35:
            return [self.json(depth + 1) for _ in range(self.chance.randint(0, 4))]
        if depth < 4 and kind < 0.6:
            return {self.text(): self.json(depth + 1) for _ in range(self.chance.randint(0, 4))}
        if kind < 0.8:
            return self.text()
        return self.chance.choice((*_NUMBERS, True, False, None))

    def _nested(self, depth: int) -> Any:
        value: Any = self.json(4)
        for _ in range(depth):
            value = [value] if self.maybe(0.5) else {"a": value}
        return value

    def variables(self, names: Sequence[str]) -> dict[str, Any]:
        """Values of a template's variables that JSON and Struct can mostly carry."""
        return {name: self.json() if self.maybe(self._odd) else self.chance.choice(_ORDINARY) for name in names}

    def document(self, descriptor: Descriptor, depth: int = 0) -> dict[str, Any]:
        """A JSON object that looks like the message, mostly."""
        result: dict[str, Any] = {}
        for field in descriptor.fields:
            if self.maybe(0.8 if depth == 0 else 0.5):
                result[field.name if self.maybe(0.8) else field.json_name] = self._json_of(field, depth)
        if self.maybe(self._odd / 4):
            result[self.text()] = self.json(2)
        return result

    def _json_of(self, field: FieldDescriptor, depth: int) -> Any:
        if self.maybe(self._odd / 4):
            return self.json(1)
        if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {self.text(field.name): self._json_item(value, depth) for _ in range(self._count())}
        if field.is_repeated:
            count = self._count()
            return [self._json_item(field, depth) for _ in range(count if depth == 0 else min(count, 2))]
        return self._json_item(field, depth)

    def _count(self) -> int:
        return self.chance.choice((0, 300, 1100)) if self.maybe(self._odd / 4) else self.chance.choice((1, 1, 2, 5))

    def _json_item(self, field: FieldDescriptor, depth: int) -> Any:
        if field.message_type is not None:
            name = field.message_type.full_name
            if name == "google.protobuf.Struct":
                return self.json(1) if self.maybe(self._odd / 4) else self.variables(("a", "b", "c", "n"))
            if name == "google.protobuf.FieldMask":
                return ",".join(self.chance.choices(_PATHS, k=2))
            if name.startswith("google.protobuf."):
                return self._time()
            return self.document(field.message_type, depth + 1) if depth < 3 else {}
        if field.enum_type is not None:
            names = [value.name for value in field.enum_type.values]
            short = [name.rpartition("_")[2].lower() for name in names[1:]]
            return self.chance.choice([*names, 99, -1]) if self.maybe(self._odd) else self.chance.choice(short)
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            return self.text(field.name)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self.maybe(0.5)
        return self.chance.choice((True, "1", 1.5)) if self.maybe(self._odd / 2) else self._integer()

    def message(self, message: Message, depth: int = 0) -> Message:
        """Fills a message at random; a value that it can't hold is left out."""
        for field in message.DESCRIPTOR.fields:
            if not self.maybe(0.8 if depth == 0 else 0.5):
                continue
            try:
                self._fill(message, field, depth)
            except (TypeError, ValueError, OverflowError, RecursionError):
                continue
        return message

    def _fill(self, message: Message, field: Any, depth: int) -> None:
        target: Any = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for _ in range(self._count()):
                key = self._plain(self.text(field.name))
                value = field.message_type.fields_by_name["value"]
                if value.message_type is not None:
                    self.message(target[key], depth + 1)
                else:
                    target[key] = self._scalar(value)
        elif isinstance(target, struct_pb2.Struct):
            target.update({self._plain(self.text()): self.json()} if self.maybe(self._odd) else self.variables(("a", "b", "c", "n")))
        elif isinstance(target, timestamp_pb2.Timestamp) and not self.maybe(self._odd):
            target.FromDatetime(datetime.now(UTC) + timedelta(seconds=self.chance.randint(-5, 3600)))
        elif isinstance(target, field_mask_pb2.FieldMask):
            target.paths.extend(self.chance.choices(_PATHS, k=2))
        elif field.is_repeated:
            for _ in range(self._count() if depth == 0 else 1):
                if field.message_type is not None:
                    self.message(target.add(), depth + 1)
                else:
                    target.append(self._scalar(field))
        elif field.message_type is not None:
            target.SetInParent()
            if depth < 4:
                self.message(target, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._plain(self.text(field.name))
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self.chance.randbytes(self.chance.randint(0, 40))
        if field.enum_type is not None:
            numbers = [value.number for value in field.enum_type.values]
            return self.chance.choice([*numbers, 99, -1]) if self.maybe(self._odd) else self.chance.choice(numbers[1:])
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self.maybe(0.5)
        return self._integer()

    @staticmethod
    def _plain(text: str) -> str:
        """The protobuf library writes no lone surrogates; `damaged` makes up for them."""
        return text.encode("utf-8", "replace").decode()

    def encoded(self, value: Any) -> bytes:
        """JSON as bytes, sometimes with what a strict writer does not write."""
        text = json.dumps(value, ensure_ascii=self.maybe(0.5), indent=self.chance.choice((None, None, 1)))
        raw = text.encode("utf-8", "surrogatepass")
        return self.damaged(raw) if self.maybe(0.1) else raw

    def damaged(self, raw: bytes) -> bytes:
        """The bytes with a few of them changed, cut off, doubled or inserted."""
        result = bytearray(raw or b"\0")
        for _ in range(self.chance.randint(1, 4)):
            at = self.chance.randrange(len(result) or 1)
            match self.chance.randrange(4):
                case 0 if result:
                    result[at] = self.chance.randrange(256)
                case 1:
                    del result[at:]
                case 2:
                    result[at:at] = self.chance.choice((b"\xff", b"\xed\xa0\x80", b"\0", b'"', b"[[[[", b"\x80", b"{}"))
                case _:
                    result += result[at : at + 100]
        return bytes(result)
