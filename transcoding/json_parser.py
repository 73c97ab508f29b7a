"""JSON values into messages: one parser per message type, compiled from its descriptor at first use.

It keeps to the proto3 JSON mapping. Where google.protobuf.json_format is laxer than the mapping (digits with underscores, broken base64,
a field in both spellings at once ...) it is strict; the tests name each such place and prove the rest equal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from transcoding.annotations import is_output_only
from transcoding.json_container import Fill, list_of_messages, list_of_scalars, map_of_messages, map_of_scalars
from transcoding.json_enum import NULL_VALUE, EnumNames, enum_names
from transcoding.json_scalar import BAD_TEXT, MAX_PROBLEMS, BadValue, Convert, key_reader, scalar_reader, text_reader, unknown
from transcoding.json_struct import LIST_VALUE, MAX_DEPTH, STRUCT, TOO_DEEP, VALUE, read_list, read_struct, read_value
from transcoding.json_wellknown import (
    ANY,
    DURATION,
    FIELD_MASK,
    TIMESTAMP,
    TYPE_KEY,
    descriptor_of,
    has_own_json,
    is_wrapper,
    mask_reader,
    read_duration,
    read_timestamp,
)

UNKNOWN_FIELD = "is not a field of this request"


class _Field(NamedTuple):
    put: Fill
    label: str  # the name that errors give it
    twin: str | None  # the other spelling of the key
    oneof: str | None
    null: bool  # whether null is a value of it rather than its absence


class ParserSet:
    """The parsers of one spelling; see codec.py for what `short` changes."""

    def __init__(self, *, short: bool, pool: DescriptorPool) -> None:
        self._short = short
        self._pool = pool
        self._fills: dict[Descriptor, Fill] = {}
        self._texts: dict[str, Callable[[Any, Any], None]] = {
            TIMESTAMP: read_timestamp,
            DURATION: read_duration,
            FIELD_MASK: mask_reader(short=short),
        }

    def fill(self, message: Message, value: Any) -> None:
        """Sets an empty message from a JSON value. Raises BadValue with every problem, up to MAX_PROBLEMS."""
        self.fill_of(descriptor_of(message))(message, value, 0)

    def fill_of(self, descriptor: Descriptor) -> Fill:
        """The parser of a message type."""
        fill = self._fills.get(descriptor)
        if fill is None:
            fill = self._fills[descriptor] = self._compile(descriptor)
        return fill

    def label(self, field: FieldDescriptor) -> str:
        """The field's name as this spelling gives it out."""
        return field.name if self._short else field.json_name

    def enum_of(self, field: FieldDescriptor) -> EnumNames | None:
        """The names of an enum field's values, None for other kinds."""
        return enum_names(field.enum_type, short=self._short) if field.enum_type is not None else None

    def text_setter(self, field: FieldDescriptor) -> Callable[[Any, str], None] | None:
        """Sets a field of a message (adds to it where it is repeated) from a query's or path's text; None when text can't carry it."""
        name, kind = field.name, field.message_type
        if kind is None:
            read = text_reader(field, self.enum_of(field))
            if field.is_repeated:
                return lambda message, text: getattr(message, name).append(read(text))
            return lambda message, text: setattr(message, name, read(text))
        inner = self.text_setter(kind.fields_by_name["value"]) if is_wrapper(kind) else self._texts.get(kind.full_name)
        return _through(name, inner, repeated=field.is_repeated) if inner is not None else None

    def _compile(self, descriptor: Descriptor) -> Fill:
        full_name = descriptor.full_name
        if full_name in self._texts:
            read = self._texts[full_name]
            return lambda message, value, depth: read(message, value)
        if is_wrapper(descriptor):
            convert = scalar_reader(descriptor.fields_by_name["value"], None)
            return lambda message, value, depth: setattr(message, "value", convert(value))
        known: dict[str, Fill] = {VALUE: read_value, LIST_VALUE: read_list, STRUCT: read_struct, ANY: self._fill_any}
        return known.get(full_name) or self._compile_fields(descriptor)

    def _compile_fields(self, descriptor: Descriptor) -> Fill:
        fields: dict[str, _Field] = {}

        def fill(message: Any, value: Any, depth: int) -> None:
            if type(value) is not dict:
                raise BadValue("must be an object")
            if depth > MAX_DEPTH:
                raise BadValue(TOO_DEEP)
            problems: list[tuple[str, str]] = []
            for key, item in value.items():
                field = fields.get(key)
                if field is None:
                    problems += BadValue(unknown(UNKNOWN_FIELD, key, labels if len(problems) < MAX_PROBLEMS else ())).under(key)
                    continue
                put, label, twin, oneof, null = field
                try:
                    if twin is not None and twin in value and key < twin:
                        raise BadValue(f"is given twice, as {key} and as {twin}")
                    if item is None and not null:
                        continue
                    if oneof is not None and message.WhichOneof(oneof) is not None:
                        raise BadValue(f"must not be set together with {self._rivals(descriptor, oneof, key)}")
                    put(message, item, depth)
                except BadValue as bad:
                    problems += bad.under(label)
                except UnicodeEncodeError:
                    problems += BadValue(BAD_TEXT).under(label)
            if problems:
                raise BadValue.of(problems)

        labels = [self.label(field) for field in descriptor.fields if not is_output_only(field)]
        for field in descriptor.fields:
            for key, twin in ((field.name, field.json_name), (field.json_name, field.name)):
                fields[key] = _Field(self._put(field), self.label(field), twin if twin != key else None, _oneof(field), _takes_null(field))
        return fill

    def _rivals(self, descriptor: Descriptor, oneof: str, key: str) -> str:
        members = descriptor.oneofs_by_name[oneof].fields
        return " or ".join(self.label(member) for member in members if key not in {member.name, member.json_name})

    def _put(self, field: FieldDescriptor) -> Fill:
        """Sets one field from a JSON value that the field takes. What only the server sets is ignored (AIP-203)."""
        if is_output_only(field):
            return _ignore
        name, kind, null = field.name, field.message_type, _takes_null(field)
        if kind is not None and kind.GetOptions().map_entry:
            return self._map_put(name, kind)
        if field.is_repeated:
            if kind is not None:
                return list_of_messages(name, self._fill_later(kind), null=null)
            return list_of_scalars(name, self._reader(field), null=null)
        if kind is not None:
            fill = self._fill_later(kind)

            def put_message(message: Any, value: Any, depth: int) -> None:
                inner = getattr(message, name)
                inner.SetInParent()
                fill(inner, value, depth + 1)

            return put_message
        if field.type == FieldDescriptor.TYPE_STRING:

            def put_string(message: Any, value: Any, _depth: int) -> None:
                if type(value) is not str:
                    raise BadValue("must be a string")
                setattr(message, name, value)

            return put_string
        read = self._reader(field)
        return lambda message, value, depth: setattr(message, name, read(value))

    def _map_put(self, name: str, entry: Descriptor) -> Fill:
        read_key, value = key_reader(entry.fields_by_name["key"]), entry.fields_by_name["value"]
        if value.message_type is not None:
            return map_of_messages(name, read_key, self._fill_later(value.message_type), null=_takes_null(value))
        return map_of_scalars(name, read_key, self._reader(value), null=_takes_null(value))

    def _reader(self, field: FieldDescriptor) -> Convert:
        if field.enum_type is not None and field.enum_type.full_name == NULL_VALUE:
            read = scalar_reader(field, enum_names(field.enum_type, short=False))
            return lambda value: 0 if value is None else read(value)
        return scalar_reader(field, self.enum_of(field))

    def _fill_later(self, descriptor: Descriptor) -> Fill:
        """The type's parser, compiled when it is first needed: types may hold each other in a circle."""
        compiled: Fill | None = None

        def fill(message: Any, value: Any, depth: int) -> None:
            nonlocal compiled
            if compiled is None:
                compiled = self.fill_of(descriptor)
            compiled(message, value, depth)

        return fill

    def _fill_any(self, message: Any, value: Any, depth: int) -> None:
        if type(value) is not dict:
            raise BadValue("must be an object")
        if not value:
            return
        if depth > MAX_DEPTH:
            raise BadValue(TOO_DEEP)
        url = value.get(TYPE_KEY)
        if type(url) is not str or "/" not in url:
            raise BadValue.of(BadValue("must be the URL of a type").under(TYPE_KEY))
        try:
            descriptor = self._pool.FindMessageTypeByName(url.rpartition("/")[2])
        except KeyError:
            raise BadValue.of(BadValue("must be the URL of a known type").under(TYPE_KEY)) from None
        inner = GetMessageClass(descriptor)()
        content: Any = {key: item for key, item in value.items() if key != TYPE_KEY}
        if has_own_json(descriptor):
            if set(content) != {"value"}:
                raise BadValue(f"must have the keys {TYPE_KEY} and value and no other")
            content = content["value"]
        self.fill_of(descriptor)(inner, content, depth + 1)
        message.type_url, message.value = url, inner.SerializeToString(deterministic=True)


def _oneof(field: FieldDescriptor) -> str | None:
    oneof = field.containing_oneof
    # One with a single member is how `optional` is made, and can't be set twice.
    return oneof.name if oneof is not None and len(oneof.fields) > 1 else None


def _ignore(_message: Any, _value: Any, _depth: int) -> None:
    """Leaves the field as it is."""


def _takes_null(field: FieldDescriptor) -> bool:
    if field.message_type is not None:
        return bool(field.message_type.full_name == VALUE)
    return field.enum_type is not None and field.enum_type.full_name == NULL_VALUE


def _through(name: str, read: Callable[[Any, str], None], *, repeated: bool) -> Callable[[Any, str], None]:
    """Sets a message field by a reader of its text."""

    def put(message: Any, text: str) -> None:
        inner = getattr(message, name)
        if repeated:
            inner = inner.add()
        else:
            inner.SetInParent()
        read(inner, text)

    return put
