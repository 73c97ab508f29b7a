"""JSON Schema (2020-12, as OpenAPI 3.1 has it) of messages, in the spelling of a codec."""

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from transcoding.annotations import Annotations, Limits
from transcoding.codec import Codec
from transcoding.json_enum import NULL_VALUE
from transcoding.json_scalar import integer_range, is_wide
from transcoding.json_struct import LIST_VALUE, STRUCT, VALUE
from transcoding.json_wellknown import ANY, DURATION, FIELD_MASK, TIMESTAMP, TYPE_KEY, is_wrapper

Schema = dict[str, Any]
_F = FieldDescriptor

_KNOWN: Mapping[str, Schema] = {
    TIMESTAMP: {"type": "string", "format": "date-time"},
    DURATION: {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$", "examples": ["1.5s"]},
    FIELD_MASK: {"type": "string", "description": "Field paths, separated by commas."},
    STRUCT: {"type": "object", "additionalProperties": True},
    VALUE: {},
    LIST_VALUE: {"type": "array", "items": {}},
    ANY: {"type": "object", "properties": {TYPE_KEY: {"type": "string"}}, "required": [TYPE_KEY], "additionalProperties": True},
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

    def message(self, descriptor: Descriptor) -> Schema:
        """A schema that stands for a message."""
        known = _KNOWN.get(descriptor.full_name)
        if known is not None:
            return dict(known)
        if is_wrapper(descriptor):
            return self._scalar(descriptor.fields_by_name["value"])
        name = self._name(descriptor)
        if name not in self.components:
            self.components[name] = {}  # known before its fields are, since a type may hold itself
            self.components[name] = self.object(descriptor)
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, descriptor: Descriptor, *, without: Collection[str] = ()) -> Schema:
        """The object that a message is in JSON, without some of its fields."""
        fields = [field for field in descriptor.fields if field.name not in without]
        schema: Schema = {"type": "object"}
        if self.comment(descriptor.full_name):
            schema["description"] = self.comment(descriptor.full_name)
        schema["properties"] = {self._codec.label(field): self.field(field) for field in fields}
        required = [self._codec.label(field) for field in fields if self._annotations.limits(field).required]
        if required:
            schema["required"] = required
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """A field with its comment and limits."""
        limits = self._annotations.limits(field)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            value = self._value(entry.fields_by_name["value"])
            schema: Schema = {"type": "object", "additionalProperties": _limited(value, limits)}
            if limits.max_items:
                schema["maxProperties"] = limits.max_items
        elif field.is_repeated:
            schema = {"type": "array", "items": _limited(self._value(field), limits)}
            if limits.max_items:
                schema["maxItems"] = limits.max_items
        else:
            schema = _limited(self._value(field), limits)
        comment = self.comment(field.full_name)
        return {**schema, "description": comment} if comment else schema

    def _value(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        return self._scalar(field)

    def _scalar(self, field: FieldDescriptor) -> Schema:
        if field.enum_type is not None:
            return self._enum(field, field.enum_type)
        bounds = integer_range(field)
        if bounds is not None:
            if is_wide(field):
                return {"type": "string", "format": "int64" if bounds[0] else "uint64"}
            return {"type": "integer", "format": "int32"} if bounds[0] else {"type": "integer", "minimum": 0}
        if field.type == _F.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        kinds = {_F.TYPE_BOOL: "boolean", _F.TYPE_DOUBLE: "number", _F.TYPE_FLOAT: "number"}
        return {"type": kinds.get(field.type, "string")}

    def _enum(self, field: FieldDescriptor, descriptor: EnumDescriptor) -> Schema:
        if descriptor.full_name == NULL_VALUE:
            return {"type": "null"}
        name = self._name(descriptor)
        if name not in self.components:
            names = self._codec.enum_of(field)
            assert names is not None
            lines = [self.comment(descriptor.full_name)]
            for number, value in descriptor.values_by_number.items():
                if names.by_number[number] in names.choices:
                    lines.append(f"- `{names.by_number[number]}`: {self.comment(f'{descriptor.full_name}.{value.name}')}".rstrip(": "))
            self.components[name] = {"type": "string", "enum": list(names.choices), "description": "\n".join(lines).strip()}
        return {"$ref": f"#/components/schemas/{name}"}

    def _name(self, descriptor: "Descriptor | EnumDescriptor") -> str:
        """The plain name, or the full one where another package has taken the plain one."""
        taken = self._names.setdefault(descriptor.name, descriptor.full_name)
        return descriptor.name if taken == descriptor.full_name else descriptor.full_name


def _limited(schema: Schema, limits: Limits) -> Schema:
    result = dict(schema)
    if schema.get("type") == "string" and not schema.get("format"):
        if limits.max_length:
            result["maxLength"] = limits.max_length
        if limits.pattern:
            result["pattern"] = f"^(?:{limits.pattern})$"
    elif schema.get("type") in {"integer", "number"}:
        if limits.minimum is not None:
            result["minimum"] = limits.minimum
        if limits.maximum is not None:
            result["maximum"] = limits.maximum
    return result
