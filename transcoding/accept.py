"""Content negotiation by `Accept` (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
NDJSON_TYPE = "application/x-ndjson"
SSE_TYPE = "text/event-stream"

_LONGEST_CACHED = 256  # characters; longer ones are rare, and the caller chooses them


def choose(accept: str, offers: tuple[str, ...]) -> str | None:
    """The offer that the caller likes best, the earlier one of equals; None when all are refused. An empty `accept` takes anything."""
    if not accept or accept in {"*/*", offers[0]}:
        return offers[0]
    return (_choose if len(accept) <= _LONGEST_CACHED else _choose.__wrapped__)(accept, offers)


@lru_cache(maxsize=512)
def _choose(accept: str, offers: tuple[str, ...]) -> str | None:
    ranges = [_parse(part) for part in accept.lower().split(",")]
    best, best_quality = None, 0.0
    for offer in offers:
        quality = _quality(offer, ranges)
        if quality > best_quality:
            best, best_quality = offer, quality
    return best


def _parse(text: str) -> tuple[str, float]:
    """A media range and its quality. Parameters other than `q` are not looked at; a broken quality counts as 1."""
    name, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, min(1.0, max(0.0, float(value)))
            except ValueError:
                break
    return name, 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers the offer."""
    for name in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        for text, quality in ranges:
            if text == name:
                return quality
    return 0.0
