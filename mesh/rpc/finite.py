"""Free JSON in a request (Struct, Value, ListValue) must be JSON: it has no NaN and no infinities, which protobuf's encoding can carry.

Nor may it be nested without end: each level costs two or three levels of protobuf's, whose parsers give up at 100 (protobuf.dev,
"Recursion limit"), and what is accepted goes into messages that add levels of their own. Nor may it be of any size: it has to fit into
every message after this one, in a batch with others.
"""

import math
import re
from collections.abc import Iterator

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

FREE_JSON = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})

MOST_LEVELS = 16
MOST_BYTES = 256 * 1024
# Value.number_value on the wire: the tag of field 2, and a little-endian double whose exponent is all ones (NaN or an infinity). To look
# for these bytes first costs far less than a walk through the messages; a text that happens to hold them costs the walk.
_SUSPECT = re.compile(rb"\x11.{6}[\xf0-\xff][\x7f\xff]", re.DOTALL)

_OBJECT, _LIST = b"\x2a", b"\x32"  # the tags of Value.struct_value and Value.list_value


def may_be_too_deep(wire: bytes) -> bool:
    """Whether to walk through the message: each level within another one has a tag on the wire. Texts with such bytes cost it."""
    return wire.count(_OBJECT) + wire.count(_LIST) >= MOST_LEVELS


def too_deep(message: Message, levels: int = MOST_LEVELS) -> bool:
    """Whether lists and objects are nested deeper than that, in a message of one of the types in FREE_JSON."""
    if isinstance(message, Value):
        kind = message.WhichOneof("kind")
        return kind in {"struct_value", "list_value"} and too_deep(getattr(message, kind), levels)
    values = message.fields.values() if isinstance(message, Struct) else getattr(message, "values", ())
    return levels == 0 or any(too_deep(value, levels - 1) for value in values)


def may_have_unfit_numbers(wire: bytes) -> bool:
    """Whether to walk through the message for numbers that JSON lacks."""
    return _SUSPECT.search(wire) is not None


def unfit_numbers(message: Message, path: str) -> Iterator[str]:
    """The paths of the numbers that JSON lacks, below a message of one of the types in FREE_JSON."""
    if isinstance(message, Struct):
        for key, value in message.fields.items():
            yield from _of_value(value, f"{path}.{key}")
    elif isinstance(message, ListValue):
        for index, value in enumerate(message.values):
            yield from _of_value(value, f"{path}[{index}]")
    elif isinstance(message, Value):
        yield from _of_value(message, path)


def _of_value(value: Value, path: str) -> Iterator[str]:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        if not math.isfinite(value.number_value):
            yield path
    elif kind == "struct_value":
        yield from unfit_numbers(value.struct_value, path)
    elif kind == "list_value":
        yield from unfit_numbers(value.list_value, path)
