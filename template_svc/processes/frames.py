"""What template_svc and a render process write to each other, over a socket and in memory that both see.

A request is a length and a marshalled tuple: marshal is the quickest way for plain data, and template_svc is the side that is trusted. What
a render process answers may have been written by a template that broke out, so it is read as lengths, bytes and JSON only.

Finished contents lie one behind the other in the shared memory, because a socket copies them twice and wakes both sides for every 200 kB.
On the socket are their lengths; what finds no room any more follows its length on the socket.
"""

import marshal
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

from mesh.errors import FieldViolation, ServiceError
from template_svc.blocks import PLATFORMS
from template_svc.errors import InvalidContents, InvalidVariable, MissingVariable, OutputTooLarge, RenderFailed, RenderTooSlow
from template_svc.models import SOURCES, Channel, Content, ContentKey, VersionDraft

LENGTH = struct.Struct("<I")
# kind, microseconds of processor time, bytes of the payload
ANSWER = struct.Struct("<BII")
# At the start of the shared memory: the index of the item under way.
PROGRESS = struct.Struct("<I")
NONE_BEGUN = 2**32 - 1  # in place of an index: no item was worked on yet
SHARED_START = 64
SHARED_SIZE = 4 * 1024 * 1024

RENDERED, REFUSED, CHECKED, END, RETIRING = range(5)

# The parts of one content are 256 KiB each at most; what is derived of a version has a million characters at most.
MAX_ANSWER = 8 * 1024 * 1024

_ERRORS: dict[str, type[ServiceError]] = {
    kind.reason: kind for kind in (InvalidContents, InvalidVariable, MissingVariable, OutputTooLarge, RenderFailed, RenderTooSlow)
}

Source: TypeAlias = tuple[ContentKey, str, dict[str, Any]]
# content, variables, locale of dates and numbers, time zone
Item: TypeAlias = tuple[ContentKey, bytes, str, str]


class Answer(NamedTuple):
    """What came of one item: RENDERED with the finished content, CHECKED with a JSON document, or REFUSED with an error."""

    kind: int
    cpu_s: float
    payload: bytes


def render_request(sources: Iterable[Source], forget: Sequence[ContentKey], items: Sequence[Item]) -> bytes:
    """Asks for finished contents. `sources` are those that the process does not have, `forget` those that it need not keep after it."""
    return _request(("render", [(tuple(key), channel, parts) for key, channel, parts in sources], _plain(forget), _rows(items)))


def check_request(draft: VersionDraft) -> bytes:
    """Asks whether a draft can become a version."""
    contents = {tag: parts_of(content) for tag, content in draft.contents.items()}
    others = (dict(draft.catalogs), dict(draft.variables_schema), dict(draft.partials))
    plain = (draft.channel.value, draft.default_locale, contents, *others)
    return _request(("check", plain))


def draft_of(plain: tuple[Any, ...]) -> VersionDraft:
    """The draft that `check_request` has made plain."""
    channel, default_locale, contents, *others = plain
    return VersionDraft(Channel(channel), default_locale, {tag: Content(**parts) for tag, parts in contents.items()}, *others)


def read_request(channel: socket.socket) -> tuple[Any, ...] | None:
    """The next request, in a render process; None at the end."""
    head = _read(channel, LENGTH.size)
    body = _read(channel, LENGTH.unpack(head)[0]) if head else None
    return marshal.loads(body) if body else None  # noqa: S302  written by template_svc, see above


def pack_answer(kind: int, cpu_s: float, size: int) -> bytes:
    """The head of one answer, whose payload is so long."""
    return ANSWER.pack(kind, min(int(cpu_s * 1e6), 2**32 - 1), size)


def pack_error(error: ServiceError) -> bytes:
    """The payload of REFUSED."""
    violations = [[violation.field, violation.description] for violation in error.violations]
    return orjson.dumps({"reason": error.reason, "message": error.message, "violations": violations})


def unpack_error(payload: bytes) -> ServiceError:
    """Raises ValueError, KeyError or TypeError for what `pack_error` did not write."""
    error = orjson.loads(payload)
    violations = [FieldViolation(str(field), str(description)) for field, description in error["violations"]]
    return _ERRORS[error["reason"]](str(error["message"]), violations=violations)


def parts_of(content: Content) -> dict[str, Any]:
    """The parts that are not empty, as plain data."""
    parts: dict[str, Any] = {name: value for name in SOURCES if (value := getattr(content, name))}
    if content.data:
        parts["data"] = dict(content.data)
    if content.catalog:
        parts["catalog"] = dict(content.catalog)
    parts |= {platform: block for platform in PLATFORMS if (block := getattr(content, platform))}
    return parts


def _request(message: tuple[Any, ...]) -> bytes:
    body = marshal.dumps(message)
    return LENGTH.pack(len(body)) + body


def _plain(keys: Sequence[ContentKey]) -> list[tuple[Any, ...]]:
    return [tuple(key) for key in keys]


def _rows(items: Sequence[Item]) -> list[tuple[tuple[Any, ...], bytes, str, str]]:
    return [(tuple(key), variables, formats, timezone) for key, variables, formats, timezone in items]


def _read(channel: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view, have = memoryview(buffer), 0
    while have < size:
        got = channel.recv_into(view[have:])
        if not got:
            return b""
        have += got
    return bytes(buffer)
