"""The schema's own words: comments by full name, from descriptors with source info (`protoc --include_source_info`)."""

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

# Field numbers in descriptor.proto, of which the paths of source info are made.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED, _NESTED_ENUMS, _ONEOFS = 2, 3, 4, 8
_VALUES = 2
_METHODS = 2

Place = tuple[tuple[int, ...], str]


def read_comments(descriptors: FileDescriptorSet | None) -> Mapping[str, str]:
    """Each commented thing's leading comment, in one paragraph per line, by the thing's full name."""
    found: dict[str, str] = {}
    for file in descriptors.file if descriptors is not None else ():
        names = dict(_places(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name is not None and location.leading_comments:
                found[name] = _paragraphs(location.leading_comments)
    return found


def _places(file: FileDescriptorProto) -> Iterator[Place]:
    prefix = f"{file.package}." if file.package else ""
    for index, message in enumerate(file.message_type):
        yield from _message_places(message, (_MESSAGES, index), prefix)
    for index, enum in enumerate(file.enum_type):
        yield from _enum_places(enum, (_ENUMS, index), prefix)
    for index, service in enumerate(file.service):
        name = f"{prefix}{service.name}"
        yield (_SERVICES, index), name
        for at, method in enumerate(service.method):
            yield (_SERVICES, index, _METHODS, at), f"{name}.{method.name}"


def _message_places(message: DescriptorProto, path: tuple[int, ...], prefix: str) -> Iterator[Place]:
    name = f"{prefix}{message.name}"
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, _FIELDS, index), f"{name}.{field.name}"
    for index, oneof in enumerate(message.oneof_decl):
        yield (*path, _ONEOFS, index), f"{name}.{oneof.name}"
    for index, nested in enumerate(message.nested_type):
        yield from _message_places(nested, (*path, _NESTED, index), f"{name}.")
    for index, enum in enumerate(message.enum_type):
        yield from _enum_places(enum, (*path, _NESTED_ENUMS, index), f"{name}.")


def _enum_places(enum: EnumDescriptorProto, path: tuple[int, ...], prefix: str) -> Iterator[Place]:
    name = f"{prefix}{enum.name}"
    yield path, name
    for index, value in enumerate(enum.value):
        yield (*path, _VALUES, index), f"{name}.{value.name}"


def _paragraphs(text: str) -> str:
    """Lines of a paragraph become one; an empty line parts two."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
