"""The metadata of a gRPC call as this system reads it: the same rules as for the headers of the REST edge."""

import re
from collections.abc import Iterable

from mesh.errors import InvalidArgument

# One that is given twice is an error rather than a choice.
_SINGLE = frozenset({"authorization", "idempotency-key", "traceparent", "x-correlation-id"})
_LONGEST_KEY = 255
_KEY = re.compile(rf"[!-~](?:[ -~]{{0,{_LONGEST_KEY - 2}}}[!-~])?")


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
    if given is not None and not _KEY.fullmatch(given):
        raise InvalidArgument.of("idempotency-key", f"must be 1 to {_LONGEST_KEY} characters of printable ASCII", reason="INVALID_HEADER")
    return result
