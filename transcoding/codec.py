"""JSON to messages and back by the proto3 JSON mapping, with the edge's own spelling as an option.

The codec is compiled per message type, since json_format would take as long as the rest of the edge.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from transcoding.json_enum import EnumNames
from transcoding.json_parser import ParserSet
from transcoding.json_printer import PrinterSet
from transcoding.json_text import read_json, write_json
from transcoding.json_wellknown import descriptor_of

M = TypeVar("M", bound=Message)


class Codec:
    """The proto3 JSON mapping to the letter, or the edge's spelling of it.

    `short_enums`: an enum is its short lower-case form, out and in (`email` for CHANNEL_EMAIL; the proto's name is taken too, a number only
    where the value has a name); keys and field masks go out as the proto's snake_case names; an enum's `UNSPECIFIED` zero is left out.
    Both spellings of a key are taken either way.
    `print_defaults`: fields without presence are printed even when they are empty, so that a reader finds every list and number.
    """

    def __init__(self, *, short_enums: bool = False, print_defaults: bool = False, pool: DescriptorPool | None = None) -> None:
        pool = pool or descriptor_pool.Default()
        self._parsers = ParserSet(short=short_enums, pool=pool)
        self._printers = PrinterSet(short=short_enums, defaults=print_defaults, pool=pool)
        self._full_printers = PrinterSet(short=short_enums, defaults=True, pool=pool)
        self.short_enums = short_enums
        self.print_defaults = print_defaults

    def parse(self, body: bytes, message_type: type[M]) -> M:
        """A message from JSON text. Raises JsonError (no JSON) or BadValue (JSON that breaks the type's rules)."""
        message = message_type()
        self._parsers.fill(message, read_json(body))
        return message

    def fill(self, message: Message, value: Any) -> None:
        """Sets an empty message from a JSON value. Raises BadValue."""
        self._parsers.fill(message, value)

    def text_setter(self, field: FieldDescriptor) -> Callable[[Any, str], None] | None:
        """Sets one field of a message from a query's or path's text; None when text can't carry it. The function raises BadValue."""
        return self._parsers.text_setter(field)

    def label(self, field: FieldDescriptor) -> str:
        """The key under which the field goes out."""
        return self._parsers.label(field)

    def enum_of(self, field: FieldDescriptor) -> EnumNames | None:
        """The names of an enum field's values, None for other kinds."""
        return self._parsers.enum_of(field)

    def to_value(self, message: Message) -> Any:
        """The JSON value of a message. Raises ValueError when it holds what JSON can't carry."""
        return self._printers.printer_of(descriptor_of(message))(message)

    def print_field(self, message: Message, field: FieldDescriptor) -> bytes:
        """The JSON text of one field's value, set or not. Raises ValueError when it holds what JSON can't carry."""
        if field.message_type is not None and not field.is_repeated:
            return self.print(getattr(message, field.name))
        value = self._full_printers.printer_of(descriptor_of(message))(message)
        return write_json(value.get(self.label(field)))

    def print(self, message: Message) -> bytes:
        """The JSON text of a message. Raises ValueError when it holds what JSON can't carry."""
        return write_json(self.to_value(message))
