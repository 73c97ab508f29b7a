"""An idempotency key as callers give it: bare, or as a structured-field string (RFC 8941), which is how the draft of the header has it."""

import re

from mesh.errors import InvalidArgument

_KEY = re.compile(r"[ -~]{1,255}")


def key_of(given: str) -> str:
    """The key without its quotes, which the REST edge has taken off already. Raises InvalidArgument for what can't be one."""
    bare = given[1:-1] if len(given) >= 2 and given[0] == given[-1] == '"' else given
    if not _KEY.fullmatch(bare):
        raise InvalidArgument.of("idempotency-key", "must be 1 to 255 printable ASCII characters")
    return bare
