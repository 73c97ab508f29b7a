"""JSON Schema (2020-12, as OpenAPI 3.1 has it) of messages, in the spelling of a codec: what the edge takes (inward) and what it answers.

The two differ: `null`, numbers as text and every name of an enum are taken, and one form of each is given out. So a message that goes both
ways has two schemas, of which the inward one is called `…Input`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from transcoding.annotations import Annotations, Limits, is_output_only
from transcoding.codec import Codec
from transcoding.integer_pattern import integer_pattern
from transcoding.json_enum import NULL_VALUE
from transcoding.json_scalar import integer_range, is_wide
from transcoding.json_struct import LIST_VALUE, STRUCT, VALUE
from transcoding.json_wellknown import ANY, DURATION, FIELD_MASK, TIMESTAMP, TYPE_KEY, is_wrapper

Schema = dict[str, Any]
_F = FieldDescriptor
_NULL: Final[Schema] = {"type": "null"}
_EXACT = 2**53  # up to here a double carries every whole number

_KNOWN: Mapping[str, Schema] = {
    TIMESTAMP: {"type": "string", "format": "date-time"},
    DURATION: {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$", "examples": ["1.5s"]},
    FIELD_MASK: {"type": "string", "description": "Field paths, separated by commas."},
    STRUCT: {"type": "object", "additionalProperties": True},
    VALUE: {},
    LIST_VALUE: {"type": "array", "items": {}},
    ANY: {"type": "object", "properties": {TYPE_KEY: {"type": "string"}}, "required": [TYPE_KEY], "additionalProperties": True},
}
_FREE_JSON = "FreeJson"
_FREE: Mapping[str, Schema] = {
    STRUCT: {"type": "object", "additionalProperties": {"$ref": f"#/components/schemas/{_FREE_JSON}"}},
    VALUE: {"$ref": f"#/components/schemas/{_FREE_JSON}"},
    LIST_VALUE: {"type": "array", "items": {"$ref": f"#/components/schemas/{_FREE_JSON}"}},
}
_FREE_JSON_SCHEMA: Schema = {
    "description": "Any JSON. A number must be one that a 64-bit float carries exactly; send others as strings.",
    "anyOf": [
        {"type": ["string", "boolean", "null"]},
        {"type": "number", "minimum": -_EXACT, "maximum": _EXACT},
        {"type": "array", "items": {}},
        {"type": "object"},
    ],
}


class SchemaBuilder:
    """Builds schemas and collects those of messages and enums as `components`."""

    def __init__(self, codec: Codec, comments: Mapping[str, str], annotations: Annotations) -> None:
        self._codec = codec
        self._annotations = annotations
        self._comments = comments
        self._names: dict[str, str] = {}
        self.components: dict[str, Schema] = {}

    def comment(self, full_name: str) -> str:
        """The schema's words about a thing; empty when it has none."""
        return self._comments.get(full_name, "")

    def message(self, descriptor: Descriptor, *, inward: bool = False, free: bool = False) -> Schema:
        """A schema that stands for a message. `free`: without the limits anywhere inside it, which do not make the request a wrong one."""
        full_name = descriptor.full_name
        if inward and full_name in _FREE:
            self.components[_FREE_JSON] = _FREE_JSON_SCHEMA
            return dict(_FREE[full_name])
        if full_name in _KNOWN:
            return dict(_KNOWN[full_name])
        if is_wrapper(descriptor):
            return self._scalar(descriptor.fields_by_name["value"], Limits(), inward=inward)
        name = self._name(descriptor, inward=inward and not descriptor.name.endswith("Request")) + ("Element" if free else "")
        if name not in self.components:
            self.components[name] = {}  # known before its fields are, since a type may hold itself
            self.components[name] = self.object(descriptor, inward=inward, free=free)
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, descriptor: Descriptor, *, without: Collection[str] = (), inward: bool = False, free: bool = False) -> Schema:
        """The object that a message is in JSON, without some of its fields. Inward, it holds nothing else."""
        fields = [field for field in descriptor.fields if field.name not in without]
        schema: Schema = {"type": "object"}
        if self.comment(descriptor.full_name):
            schema["description"] = self.comment(descriptor.full_name)
        schema["properties"] = {self._codec.label(field): self.field(field, inward=inward, free=free) for field in fields}
        required = [self._codec.label(field) for field in fields if self._annotations.limits(field).required]
        if inward and required and not free:
            schema["required"] = required
        if inward:
            schema["additionalProperties"] = False
            any_of = () if free else self._annotations.needs_one_of(descriptor)
            if any_of:
                schema["anyOf"] = [{"required": [name], "properties": {name: _given(descriptor.fields_by_name[name])}} for name in any_of]
        return schema

    def field(self, field: FieldDescriptor, *, inward: bool = False, null: bool = True, free: bool = False) -> Schema:
        """A field with its comment and limits. Inward it may be null (left out), unless it must be there or `null` is False."""
        limits = Limits() if free else self._annotations.limits(field)
        schema = self._shape(field, limits, inward=inward, free=free)
        if inward and null and not limits.required:
            schema = _or_null(schema)
        notes: Schema = {}
        if self.comment(field.full_name):
            notes["description"] = self.comment(field.full_name)
        if is_output_only(field):
            notes["readOnly"] = True
        if self._annotations.sensitive(field):
            notes["x-sensitive"] = True
        return {**schema, **notes}

    def _shape(self, field: FieldDescriptor, limits: Limits, *, inward: bool, free: bool) -> Schema:
        entry = field.message_type
        if not field.is_repeated:
            return self._value(field, limits, inward=inward, free=free)
        each = Limits(max_length=limits.max_length, pattern=limits.pattern, minimum=limits.minimum, maximum=limits.maximum)
        if entry is not None and entry.GetOptions().map_entry:
            value = self._value(entry.fields_by_name["value"], each, inward=inward, free=free)
            schema: Schema = {"type": "object", "additionalProperties": value}
            least, most = "minProperties", "maxProperties"
        else:
            free = free or (inward and limits.element_wise)
            schema = {"type": "array", "items": self._value(field, each, inward=inward, free=free)}
            least, most = "minItems", "maxItems"
        if inward and limits.required:
            schema[least] = 1
        if limits.max_items:
            schema[most] = limits.max_items
        return schema

    def _value(self, field: FieldDescriptor, limits: Limits, *, inward: bool, free: bool = False) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type, inward=inward, free=free)
        return self._scalar(field, limits, inward=inward)

    def _scalar(self, field: FieldDescriptor, limits: Limits, *, inward: bool) -> Schema:
        if field.enum_type is not None:
            return self._enum(field, field.enum_type, limits, inward=inward)
        if integer_range(field) is not None:
            return _integer(field, limits, inward=inward)
        if field.type == _F.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        if field.type == _F.TYPE_STRING:
            return _text(limits, inward=inward)
        return {"type": "boolean" if field.type == _F.TYPE_BOOL else "number"}

    def _enum(self, field: FieldDescriptor, descriptor: EnumDescriptor, limits: Limits, *, inward: bool) -> Schema:
        if descriptor.full_name == NULL_VALUE:
            return dict(_NULL)
        names = self._codec.enum_of(field)
        assert names is not None
        name = self._name(descriptor)
        if name not in self.components:
            lines = [self.comment(descriptor.full_name)]
            for number, value in descriptor.values_by_number.items():
                if names.by_number[number] in names.choices:
                    lines.append(f"- `{names.by_number[number]}`: {self.comment(f'{descriptor.full_name}.{value.name}')}".rstrip(": "))
            self.components[name] = {"type": "string", "enum": list(names.choices), "description": "\n".join(lines).strip()}
        plain: Schema = {"$ref": f"#/components/schemas/{name}"}
        if not inward:
            return plain
        taken = {text: number for text, number in names.by_name.items() if number or not limits.required}
        others: list[str | int] = [text for text in taken if text not in names.choices]
        others += sorted(set(taken.values()))
        return {"anyOf": [plain, {"enum": others, "description": "The schema's own name, or its number."}]}

    def _name(self, descriptor: "Descriptor | EnumDescriptor", *, inward: bool = False) -> str:
        """The plain name, or the full one where another package has taken the plain one."""
        taken = self._names.setdefault(descriptor.name, descriptor.full_name)
        name = descriptor.name if taken == descriptor.full_name else descriptor.full_name
        return f"{name}Input" if inward else name


def writable_mask(descriptor: Descriptor, also: Collection[str] = ()) -> Schema:
    """The schema of a field mask over a resource: its writable fields, or all of them as `*`."""
    names = [field.name for field in descriptor.fields if not is_output_only(field) and field.name not in also]
    one = f"(?:{'|'.join(names)}|\\*)"
    return {"type": "string", "pattern": f"^(?:{one}(?:,{one})*)?$", "description": "Field paths, separated by commas."}


def _text(limits: Limits, *, inward: bool) -> Schema:
    schema: Schema = {"type": "string"}
    if limits.max_length:
        schema["maxLength"] = limits.max_length
    if limits.pattern:
        # an empty text is no value, which only a required field minds
        schema["pattern"] = f"^(?:{limits.pattern})$" if inward and limits.required else f"^(?:{limits.pattern})?$"
    least = max(limits.min_length, 1 if limits.required else 0)
    if inward and least:
        schema["minLength"] = least
    return schema


def _integer(field: FieldDescriptor, limits: Limits, *, inward: bool) -> Schema:
    bounds = integer_range(field)
    assert bounds is not None
    least = bounds[0] if limits.minimum is None else max(bounds[0], limits.minimum)
    most = bounds[1] if limits.maximum is None else min(bounds[1], limits.maximum)
    if limits.required and least == 0:  # 0 is no value
        least = 1
    number: Schema = {"type": "integer", "minimum": least, "maximum": most}
    if not is_wide(field):
        number["format"] = "int32" if bounds[0] else "uint32"
    if not inward:
        return {"type": "string", "format": "int64" if bounds[0] else "uint64"} if is_wide(field) else number
    return {"anyOf": [number, {"type": "string", "pattern": integer_pattern(least, most)}]}


def _or_null(schema: Schema) -> Schema:
    kind = schema.get("type")
    if isinstance(kind, str):
        return {**schema, "type": [kind, "null"]}
    if "anyOf" in schema:
        options: Sequence[Schema] = schema["anyOf"]
        return {**schema, "anyOf": [*options, _NULL]}
    return {"anyOf": [schema, _NULL]} if schema else schema


def _given(field: FieldDescriptor) -> Schema:
    """What a field is that is not left out."""
    return {"type": "string", "minLength": 1} if field.message_type is None else {"type": "object"}
