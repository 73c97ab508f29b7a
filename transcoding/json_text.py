"""JSON text to plain values and back: strict on the way in (UTF-8, no duplicate keys, no NaN), compact on the way out.

Reading uses the standard library: orjson is faster (1 us against 5 for a send request) but keeps the last of duplicate keys without an
error, which the proto3 JSON mapping forbids. Writing uses orjson (0.2 us against 3).
"""

import codecs
import json
import math
from decimal import Decimal
from typing import Any, NoReturn

import orjson

_SAFE_LENGTH = 15  # characters, of which fewer are digits


class JsonError(ValueError):
    """The text is no JSON that we take. `key` is set when it is about a key of an object."""

    def __init__(self, problem: str, *, key: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError("is given twice", key=key)
            seen.add(key)
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


class RoundedNumber(float):
    """A number of a JSON text that a double can't carry: the nearest one that it can. It is a number only where rounding does no harm."""


def _read_float(text: str) -> float:
    """Up to 15 significant digits always survive (IEEE 754); of longer texts, those do that the double gives back or is exactly."""
    number = float(text)
    mantissa, _, exponent = text.lower().partition("e")
    if not math.isfinite(number) or (len(mantissa) <= _SAFE_LENGTH and not exponent):
        return number
    if not number:  # the exponent may be beyond what Decimal takes
        return RoundedNumber(0) if mantissa.strip("-0.") else number
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact or Decimal(number) == exact else RoundedNumber(number)


# Made once: json.loads with a hook makes a decoder per call.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_read_float, parse_constant=_refuse_constant)


def read_json(body: bytes) -> Any:
    """The value that a JSON text in UTF-8 stands for. Raises JsonError."""
    # RFC 8259, section 8.1: a mark before the text may be ignored, and some editors and shells put one there
    body = body.removeprefix(codecs.BOM_UTF8)
    if b"\0" in body:  # a NUL has no place in a JSON text; UTF-16 and UTF-32 have one beside every ASCII character
        raise JsonError("it is not UTF-8")
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise JsonError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    except JsonError:
        raise
    except ValueError:  # Python refuses to read an integer of more than 4,300 digits
        raise JsonError("a number has too many digits") from None


def write_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return orjson.dumps(value)
