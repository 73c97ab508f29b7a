"""Messages without what their schema marks as `sensitive`, so that a person who may see the rest can see them.

A masked value keeps its kind: an address keeps its first letter and its domain, other text becomes ***, a number 0, a flag false; lists
keep their length and records their field names. In free values a link keeps its scheme, and a time becomes one of 1970: no text could be
made of *** in their place. So what is made of a masked message looks like the real thing and can't hold what it hides.
"""

import re
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from clarion.options.v1 import options_pb2

MASK = "***"

M = TypeVar("M", bound=Message)

_ADDRESS = re.compile(r"[^\s@<>]+@(?P<domain>[^\s@<>\"]+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LINK = re.compile(r"(?:https?://(?=[^\s/?#])|mailto:|tel:)", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# Characters: hiding every "a" of a text would hide the text, and 550 is a reply before it is a value.
_SHORTEST = 3
_SHORTEST_NUMBER = 5


def redacted(message: M) -> M:
    """A copy with every sensitive field masked, however deep it is."""
    copy = type(message)()
    copy.CopyFrom(message)
    _redact(copy)
    return copy


def mask(text: str) -> str:
    """What is shown in place of a text: a***@example.com of an address, *** of anything else, nothing of nothing."""
    if not text:
        return ""
    local, at, domain = text.rpartition("@")
    if not at or not local or not re.fullmatch(r"[\w.-]+", domain):
        return MASK
    return f"{local[0] if local[0].isalnum() and len(local) > 1 else ''}{MASK}@{domain}"


def scrub(text: str, values: Struct | None = None) -> str:
    """A text without the addresses in it, and without the texts among `values` of three characters or more and the numbers of five."""
    for secret in sorted(_texts(values), key=len, reverse=True) if values is not None else ():
        text = text.replace(secret, MASK)
    return _ADDRESS.sub(MASK, text)


def masked_values(struct: Struct) -> Struct:
    """The struct with every leaf masked. Keys that are no plain names may be data and are masked too."""
    return Struct(fields={key if is_plain(key) else MASK: masked_value(value) for key, value in struct.fields.items()})


def is_plain(key: str) -> bool:
    """Whether it can be the name of a field. Anything else may be data."""
    return _NAME.fullmatch(key) is not None


def masked_value(value: Value) -> Value:
    """One value masked, and of a list or a record every leaf."""
    match value.WhichOneof("kind"):
        case "string_value":
            return Value(string_value=_masked_text(value.string_value))
        case "number_value":
            return Value(number_value=0)
        case "bool_value":
            return Value(bool_value=False)
        case "struct_value":
            return Value(struct_value=masked_values(value.struct_value))
        case "list_value":
            return Value(list_value=ListValue(values=map(masked_value, value.list_value.values)))
    return value


def _masked_text(text: str) -> str:
    if not text:
        return ""
    if link := _LINK.match(text):
        return f"{link[0].lower()}{MASK}"
    if day := _DAY.match(text):
        return "1970-01-01" if day.end() == len(text) else "1970-01-01T00:00:00Z"
    return MASK


def _texts(struct: Struct) -> set[str]:
    found: set[str] = set()
    waiting = list(struct.fields.values())
    while waiting:
        value = waiting.pop()
        if len(value.string_value) >= _SHORTEST:
            found.add(value.string_value)
        number = f"{value.number_value:.15g}"
        if len(number) >= _SHORTEST_NUMBER:
            found.add(number)
        waiting += [*value.struct_value.fields.values(), *value.list_value.values]
    return found


def _redact(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().Extensions[options_pb2.sensitive]:
            _hide(message, field)
        elif field.message_type is None:
            continue
        elif field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for inner in value.values():
                    _redact(inner)
        else:
            for inner in value if field.is_repeated else [value]:
                _redact(inner)


def _hide(message: Message, field: FieldDescriptor) -> None:
    """Masks a text or a struct; what else there may be is left out."""
    value = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_STRING:
        hidden = [mask(text) for text in value] if field.is_repeated else mask(value)
        message.ClearField(field.name)
        if isinstance(hidden, list):
            getattr(message, field.name).extend(hidden)
        else:
            setattr(message, field.name, hidden)
    elif isinstance(value, Struct):
        hidden_struct = masked_values(value)
        value.CopyFrom(hidden_struct)
    else:
        message.ClearField(field.name)
