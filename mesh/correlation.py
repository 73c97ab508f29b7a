"""The correlation id: one word that every log line, span, message and answer of a request carries."""

import os
from collections.abc import Mapping

CORRELATION_ID = "x-correlation-id"


def with_correlation_id(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata with a correlation id: the caller's when it is sane (1 to 128 printable ASCII characters), else a new one."""
    given = metadata.get(CORRELATION_ID, "")
    sane = 0 < len(given) <= 128 and given.isascii() and given.isprintable()
    return {**metadata, CORRELATION_ID: given if sane else os.urandom(16).hex()}
