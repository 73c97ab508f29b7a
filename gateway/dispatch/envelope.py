"""A bus message out of stored payloads, without parsing them."""

from collections.abc import Iterable


def envelope(payloads: Iterable[bytes]) -> bytes:
    """A serialized DeliveryRequested around serialized deliveries, without parsing them: field 1, length-delimited."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (b"\x0a", _varint(len(payload)), payload)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
