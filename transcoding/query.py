"""Query parameters onto a request's fields: primitives, repeated primitives, and both inside singular messages by dotted path."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from transcoding.codec import Codec
from transcoding.json_scalar import BAD_TEXT, MAX_PROBLEMS, BadValue, join_path, unknown

UNKNOWN_PARAMETER = "is not a query parameter of this request"
_DEEPEST = 8  # segments of a path: types may hold themselves
_LONGEST_NAME = 64  # characters of an unknown name that an error repeats
_MOST_KNOWN = 256  # resolved names kept; a type that holds itself has more, and the caller chooses them


class _Parameter(NamedTuple):
    path: str  # in the proto's spelling
    label: str  # in the codec's
    repeated: bool
    oneof: str | None
    put: Callable[[Any, str], None]


def find_field(descriptor: Descriptor, path: str) -> FieldDescriptor | None:
    """The field at a dotted path through singular messages, in the proto's spelling or lowerCamelCase."""
    field = None
    for index, name in enumerate(path.split(".")):
        if index:
            if field is None or field.message_type is None or field.is_repeated:
                return None
            descriptor = field.message_type
        field = descriptor.fields_by_name.get(name) or next((field for field in descriptor.fields if field.json_name == name), None)
    return field


def descend(message: Any, path: str) -> Any:
    """The message that holds the last field of a path in the proto's spelling."""
    for name in path.split(".")[:-1]:
        message = getattr(message, name)
    return message


def leaf_of(path: str) -> str:
    """The last name of a path."""
    return path.rpartition(".")[2]


class QueryBinder:
    """The parameters of one binding: every field that text can carry and that neither the path nor the body takes (`taken`).

    `closed`: the body is the whole request, so that there are none.
    """

    def __init__(self, descriptor: Descriptor, codec: Codec, *, taken: set[str], closed: bool) -> None:
        self._descriptor = descriptor
        self._codec = codec
        self._taken = taken
        self._closed = closed
        self._known: dict[str, _Parameter] = {}

    def bind(self, message: Message, parameters: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Sets the fields; answers what is wrong, as pairs of parameter and rule."""
        problems: list[tuple[str, str]] = []
        seen: set[str] = set()
        for name, text in parameters:
            found = self._find(name)
            if found is None:
                names = self._names() if len(problems) < MAX_PROBLEMS else ()
                problems.append((name[:_LONGEST_NAME] or "(no name)", unknown(UNKNOWN_PARAMETER, name, names)))
                continue
            holder = descend(message, found.path)
            try:
                if found.path in seen and not found.repeated:
                    raise BadValue("must be given once")
                seen.add(found.path)
                if found.oneof is not None and holder.WhichOneof(found.oneof) is not None:
                    raise BadValue(f"must not be set together with {self._codec.label(_member(holder, found.oneof))}")
                found.put(holder, text)
            except BadValue as bad:
                problems += bad.under(found.label)
            except UnicodeEncodeError:
                problems.append((found.label, BAD_TEXT))
        return problems

    def fields(self) -> Iterator[tuple[str, FieldDescriptor]]:
        """Every parameter by its path, for documentation; fields of a type that holds itself are listed once."""
        if not self._closed:
            yield from self._fields_of(self._descriptor, "", frozenset())

    def _names(self) -> list[str]:
        return [name for name, _ in self.fields()]

    def _find(self, name: str) -> _Parameter | None:
        found = self._known.get(name)
        if found is None and not self._closed:
            found = self._resolve(name.split("."))
            if found is not None and len(self._known) < _MOST_KNOWN:
                self._known[name] = found
        return found

    def _resolve(self, names: Sequence[str]) -> _Parameter | None:
        path, label, descriptor = "", "", self._descriptor
        for index, name in enumerate(names[:_DEEPEST]):
            field = find_field(descriptor, name)
            if field is None:
                return None
            path = join_path(path, field.name) if path else field.name
            label = join_path(label, self._codec.label(field)) if label else self._codec.label(field)
            if path in self._taken:
                return None
            if index == len(names) - 1:
                put, oneof = self._codec.text_setter(field), field.containing_oneof
                shared = oneof.name if oneof is not None and len(oneof.fields) > 1 else None
                return _Parameter(path, label, field.is_repeated, shared, put) if put is not None else None
            if field.message_type is None or field.is_repeated:
                return None
            descriptor = field.message_type
        return None

    def _fields_of(self, descriptor: Descriptor, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, FieldDescriptor]]:
        for field in descriptor.fields:
            path = f"{prefix}{field.name}"
            if path in self._taken:
                continue
            if self._codec.text_setter(field) is not None:
                yield path, field
            elif not field.is_repeated and field.message_type is not None and field.message_type.full_name not in above:
                yield from self._fields_of(field.message_type, f"{path}.", above | {descriptor.full_name})


def _member(message: Any, oneof: str) -> FieldDescriptor:
    return message.DESCRIPTOR.fields_by_name[message.WhichOneof(oneof)]  # type: ignore[no-any-return]  # descriptors are untyped
