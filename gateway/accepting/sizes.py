"""Whether a text may be too large with these variables, without rendering it. Pure, and cheap enough for every accept."""

import json

from google.protobuf.struct_pb2 import Struct, Value

from gateway.accepting.models import TextSize

# What a byte of a serialized value other than a text makes at most when it is printed and escaped as JSON.
_PRINTED = 6


def may_exceed(size: TextSize, variables: Struct) -> bool:
    """False when the text surely fits; true when only a rendering shows it."""
    if not size.paths or size.fixed > size.limit:
        return size.fixed > size.limit
    # all of them together, wherever they are used: one look for what nearly every notification is
    if size.fixed + len(size.paths) * _PRINTED * variables.ByteSize() <= size.limit:
        return False
    return size.fixed + sum(_greatest(path, variables) for path in size.paths) > size.limit


def _greatest(path: str, variables: Struct) -> int:
    """Bytes of a variable, such as "order.id", in JSON: at most."""
    names = path.split(".")
    value: Value | None = variables.fields.get(names[0])
    for name in names[1:]:
        if value is None or not value.HasField("struct_value"):
            break  # an element of a list, say: it is no longer than the whole
        value = value.struct_value.fields.get(name)
    if value is None:
        return 0
    text = value.string_value
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) if text else _PRINTED * value.ByteSize()
