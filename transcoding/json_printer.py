"""Messages into JSON values: one printer per message type, compiled from its descriptor at first use."""

import math
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from transcoding.json_enum import NULL_VALUE, enum_names
from transcoding.json_scalar import Convert, scalar_writer
from transcoding.json_struct import LIST_VALUE, STRUCT, VALUE, write_list, write_struct, write_value
from transcoding.json_wellknown import (
    ANY,
    DURATION,
    FIELD_MASK,
    TIMESTAMP,
    TYPE_KEY,
    has_own_json,
    is_wrapper,
    mask_writer,
    write_duration,
    write_timestamp,
)

Emit = Callable[[Any, dict[str, Any]], None]  # (message, the object to add to)


class PrintError(ValueError):
    """A message holds what JSON can't carry: an Any of an unknown type, a time out of range."""


class PrinterSet:
    """The printers of one spelling; see codec.py for what `short` and `defaults` change."""

    def __init__(self, *, short: bool, defaults: bool, pool: DescriptorPool) -> None:
        self._short = short
        self._defaults = defaults
        self._pool = pool
        self._printers: dict[Descriptor, Convert] = {}
        self._known: dict[str, Convert] = {
            TIMESTAMP: write_timestamp,
            DURATION: write_duration,
            FIELD_MASK: mask_writer(short=short),
            VALUE: write_value,
            LIST_VALUE: write_list,
            STRUCT: write_struct,
            ANY: self._print_any,
        }

    def printer_of(self, descriptor: Descriptor) -> Convert:
        """Turns a message of the type into a JSON value. The function raises ValueError."""
        printer = self._printers.get(descriptor)
        if printer is None:
            printer = self._printers[descriptor] = self._compile(descriptor)
        return printer

    def _compile(self, descriptor: Descriptor) -> Convert:
        known = self._known.get(descriptor.full_name)
        if known is not None:
            return known
        if is_wrapper(descriptor):
            write = scalar_writer(descriptor.fields_by_name["value"], None)
            return lambda message: message.value if write is None else write(message.value)
        emits = [self._emit(field) for field in descriptor.fields]

        def print_fields(message: Any) -> dict[str, Any]:
            result: dict[str, Any] = {}
            for emit in emits:
                emit(message, result)
            return result

        return print_fields

    def _emit(self, field: FieldDescriptor) -> Emit:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return self._emit_map(field, kind)
        name, key, write = field.name, field.name if self._short else field.json_name, self._writer(field)
        if field.is_repeated:
            return _emit_list(name, key, write, defaults=self._defaults)
        if field.has_presence:
            return _emit_present(name, key, write)
        if self._defaults and not self._hides_zero(field):
            return _emit_always(name, key, write)
        if field.cpp_type in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
            return _emit_set_float(name, key, write)
        return _emit_set(name, key, write)

    def _emit_map(self, field: FieldDescriptor, entry: Descriptor) -> Emit:
        name, key, defaults = field.name, field.name if self._short else field.json_name, self._defaults
        write = self._writer(entry.fields_by_name["value"])
        key_text = _bool_text if entry.fields_by_name["key"].type == FieldDescriptor.TYPE_BOOL else str

        def emit(message: Any, result: dict[str, Any]) -> None:
            values = getattr(message, name)
            if values or defaults:
                items = values.items()
                result[key] = {key_text(k): v for k, v in items} if write is None else {key_text(k): write(v) for k, v in items}

        return emit

    def _writer(self, field: FieldDescriptor) -> Convert | None:
        if field.message_type is not None:
            return self._printer_later(field.message_type)
        if field.enum_type is not None and field.enum_type.full_name == NULL_VALUE:
            return lambda _number: None
        return scalar_writer(field, enum_names(field.enum_type, short=self._short) if field.enum_type is not None else None)

    def _printer_later(self, descriptor: Descriptor) -> Convert:
        """The type's printer, compiled when it is first needed: types may hold each other in a circle."""
        compiled: Convert | None = None

        def write(message: Any) -> Any:
            nonlocal compiled
            if compiled is None:
                compiled = self.printer_of(descriptor)
            return compiled(message)

        return write

    def _hides_zero(self, field: FieldDescriptor) -> bool:
        """With `short` an enum's zero that means "not chosen" is no value to show."""
        return self._short and field.enum_type is not None and field.enum_type.values_by_number[0].name.endswith("UNSPECIFIED")

    def _print_any(self, message: Any) -> Any:
        if not message.type_url and not message.value:
            return {}
        try:
            descriptor = self._pool.FindMessageTypeByName(message.type_url.rpartition("/")[2])
            inner = GetMessageClass(descriptor).FromString(message.value)
        except (KeyError, DecodeError):
            raise PrintError("an Any holds a type that is not known here") from None
        content = self.printer_of(descriptor)(inner)
        if has_own_json(descriptor):
            return {TYPE_KEY: message.type_url, "value": content}
        return {TYPE_KEY: message.type_url, **content}


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _emit_list(name: str, key: str, write: Convert | None, *, defaults: bool) -> Emit:
    def emit(message: Any, result: dict[str, Any]) -> None:
        values = getattr(message, name)
        if values or defaults:
            result[key] = list(values) if write is None else [write(value) for value in values]

    return emit


def _emit_present(name: str, key: str, write: Convert | None) -> Emit:
    def emit(message: Any, result: dict[str, Any]) -> None:
        if message.HasField(name):
            value = getattr(message, name)
            result[key] = value if write is None else write(value)

    return emit


def _emit_always(name: str, key: str, write: Convert | None) -> Emit:
    if write is None:

        def emit_plain(message: Any, result: dict[str, Any]) -> None:
            result[key] = getattr(message, name)

        return emit_plain

    def emit(message: Any, result: dict[str, Any]) -> None:
        result[key] = write(getattr(message, name))

    return emit


def _emit_set(name: str, key: str, write: Convert | None) -> Emit:
    def emit(message: Any, result: dict[str, Any]) -> None:
        value = getattr(message, name)
        if value:
            result[key] = value if write is None else write(value)

    return emit


def _emit_set_float(name: str, key: str, write: Convert | None) -> Emit:
    """Minus zero counts as set."""

    def emit(message: Any, result: dict[str, Any]) -> None:
        value = getattr(message, name)
        if value or math.copysign(1, value) < 0:
            result[key] = value if write is None else write(value)

    return emit
