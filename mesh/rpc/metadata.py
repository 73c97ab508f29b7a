"""The metadata of a gRPC call as this system reads it: the same rules as for the headers of the REST edge."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from mesh.errors import InvalidArgument

# Set by the doors, over whatever a caller sends under this name: the address that the call comes from.
CLIENT_ADDRESS = "clarion-client-address"

# One that is given twice is an error rather than a choice.
_SINGLE = frozenset({"authorization", "idempotency-key", "traceparent", "x-correlation-id"})
_LONGEST_KEY = 255
# a structured-field string (RFC 8941, section 3.3.3); or, leniently, a bare token
_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"|([!#-~]+)')
KEY_RULE = f"must be a quoted string or a token of printable ASCII, 1 to {_LONGEST_KEY} characters, without a space at its start or end"


def parse_idempotency_key(text: str) -> str | None:
    """The key without its quotes: `"a"` and `a` are one. None when the text is no key."""
    found = _KEY.fullmatch(text)
    key = "" if found is None else found[2] or re.sub(r"\\(.)", r"\1", found[1] or "")
    # a space at an end does not survive in gRPC's metadata
    return key if 0 < len(key) <= _LONGEST_KEY and key == key.strip() else None


def write_idempotency_key(key: str) -> str:
    """The key as a quoted string, which `parse_idempotency_key` reads."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer, such as `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`; empty for other transports."""
    kind, _, rest = peer.partition(":")
    return unquote(rest).rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""


def read_metadata(entries: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """The text entries by lower-case key. Raises InvalidArgument for one that is doubled, and for an Idempotency-Key that is none."""
    result: dict[str, str] = {}
    for key, value in entries:
        if not isinstance(value, str):
            continue
        if key in _SINGLE and key in result:
            raise InvalidArgument.of(key, "must be given once", reason="INVALID_HEADER")
        result[key] = value
    given = result.get("idempotency-key")
    if given is not None:
        text_of_key = parse_idempotency_key(given)
        if text_of_key is None:
            raise InvalidArgument.of("idempotency-key", KEY_RULE, reason="INVALID_HEADER")
        result["idempotency-key"] = text_of_key
    return result
