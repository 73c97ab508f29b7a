"""Envelopes of deliveries as bytes: made, taken apart and named without parsing what is in them.

An envelope that no parser takes as a whole is split by its length-delimited items, so that an unreadable one costs itself only. The ids of
its notifications stand in a header too, outside of what has to be read. (Encoding: protobuf.dev, "Encoding", "Message Structure".)
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from google.protobuf.message import DecodeError

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryRequested

# What a message of the bus is, as its AMQP `type` says.
REQUESTED, RESOLVED, FAILED, UNREADABLE = "DeliveryRequested", "DeliveryResolved", "DeliveryFailed", "unreadable"

IDS = "notification-ids"

# An envelope of the normal lane takes deliveries up to here. Variables take up to 256 KiB (`mesh/rpc/finite.py`), so that no envelope comes
# near RabbitMQ's limit for a message, which is 16 MiB since 4.0.
ENVELOPE_ITEMS = 50
ENVELOPE_BYTES = 512 * 1024

_DELIVERIES = 1  # the field of DeliveryRequested, and that of Delivery's notification_id
_FIXED = {1: 8, 5: 4}
_VARINT, _BYTES = 0, 2
_LONGEST_VARINT = 10


class Unreadable(NamedTuple):
    """An item that is no delivery. `notification_id` is empty where nothing says it."""

    reason: str
    body: bytes
    notification_id: str = ""


def envelope(payloads: Iterable[bytes]) -> bytes:
    """A serialized DeliveryRequested around serialized deliveries."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (b"\x0a", _varint(len(payload)), payload)
    return b"".join(parts)


def ids_header(identifiers: Iterable[object]) -> dict[str, str | int]:
    """The header that names the notifications of an envelope, in the order of its items."""
    return {IDS: ",".join(map(str, identifiers))}


def ids_of(headers: Mapping[str, object]) -> list[str]:
    """The notifications that the header names; none where it is missing."""
    said = headers.get(IDS)
    return [one for one in said.split(",") if _is_id(one)] if isinstance(said, str) else []


def open_envelope(body: bytes, headers: Mapping[str, object]) -> tuple[list[Delivery], list[Unreadable]]:
    """The deliveries of an envelope, and the items that are none."""
    named = ids_of(headers)
    try:
        items = [bytes(value) for number, value in _fields(body) if number == _DELIVERIES and value is not None]
    except ValueError:
        reason = "UNPARSABLE"
        return [], [Unreadable(reason, body, one) for one in named] or [Unreadable(reason, body)]
    if not items:
        return [], [Unreadable("EMPTY", body, one) for one in named] or [Unreadable("EMPTY", body)]
    try:
        whole = list(DeliveryRequested.FromString(body).deliveries)
    except DecodeError:
        whole = []
    deliveries: list[Delivery] = []
    unreadable: list[Unreadable] = []
    for index, item in enumerate(items):
        try:
            delivery = whole[index] if len(whole) == len(items) else DeliveryRequested.FromString(envelope([item])).deliveries[0]
        except DecodeError:
            unreadable.append(Unreadable("UNPARSABLE", item, _name_of(item) or (named[index] if len(named) == len(items) else "")))
            continue
        if delivery.notification_id and delivery.attempt > 0:
            deliveries.append(delivery)
        else:  # any few bytes may parse as some protobuf message
            unreadable.append(Unreadable("NOT_A_DELIVERY", item, named[index] if len(named) == len(items) else ""))
    return deliveries, unreadable


def _name_of(item: bytes) -> str:
    try:
        for number, value in _fields(item):
            if number == _DELIVERIES and value is not None and _is_id(said := value.decode("ascii", "replace")):
                return said
    except ValueError:
        pass
    return ""


def _is_id(said: str) -> bool:
    try:
        return str(UUID(said)) == said
    except ValueError:
        return False


def _fields(body: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The numbers of a message's own fields, with the bytes of those that are length-delimited. Raises ValueError on anything else."""
    at = 0
    while at < len(body):
        tag, at = _read_varint(body, at)
        number, kind = tag >> 3, tag & 7
        value = None
        if kind == _VARINT:
            _, at = _read_varint(body, at)
        elif kind == _BYTES:
            length, at = _read_varint(body, at)
            value = body[at : at + length]
            at += length
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError("not the wire format of protobuf")
        if number == 0 or at > len(body):
            raise ValueError("not the wire format of protobuf")
        yield number, value


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(_LONGEST_VARINT):
        if at >= len(body):
            break
        number |= (body[at] & 0x7F) << (7 * shift)
        at += 1
        if not body[at - 1] & 0x80:
            return number, at
    raise ValueError("not a varint")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
