"""Field masks of updates (AIP-134)."""

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mesh.errors import InvalidArgument

_LONGEST_PATH, _MOST_PATHS = 64, 10  # characters of a path, and paths, that an error repeats


def masked_fields(mask: FieldMask, given: Message, changeable: Sequence[str]) -> set[str]:
    """The fields to change (AIP-134): those that the mask names, all of them for "*", those that are set in `given` without one.

    A part of a field stands for the field. Raises InvalidArgument for one that can't be changed.
    """
    paths = {_field_of(path, given) for path in mask.paths}
    if "*" in paths:
        return set(changeable)
    if not paths:
        return {field.name for field, _ in given.ListFields() if field.name in changeable}
    unknown = sorted(paths.difference(changeable))
    if unknown:
        names = ", ".join(path[:_LONGEST_PATH] for path in unknown[:_MOST_PATHS])
        raise InvalidArgument.of("update_mask", f"can't change {names}; it may hold {', '.join(changeable)} or *")
    return paths


def _field_of(path: str, given: Message) -> str:
    """The field of which the path names a part; the path itself where that can have none."""
    name, dot, _ = path.partition(".")
    field = given.DESCRIPTOR.fields_by_name.get(name)
    return name if dot and field is not None and field.message_type is not None else path
