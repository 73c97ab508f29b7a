"""What a schema says in options of its own, which the library can't know: handed in by the application that owns the schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a field, which the server enforces. 0, empty and None mean no limit; of a repeated field they hold for each element.

    `required`: the field must be present and not empty. `pattern` is a regular expression that a text matches as a whole, unless it is
    empty. `max_length` counts characters (bytes of a `bytes` field). `element_wise`: the limits inside the elements are not the request's,
    since each element is answered on its own.
    """

    required: bool = False
    min_length: int = 0
    max_length: int = 0
    pattern: str = ""
    max_items: int = 0
    minimum: int | None = None
    maximum: int | None = None
    element_wise: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a method. `open`: anyone, without credentials; `scope` is what a caller's credentials must hold, empty for none."""

    open: bool = False
    scope: str = ""


class Annotations(Protocol):
    """Reads the schema's own options."""

    def access(self, method: MethodDescriptor) -> Access:
        """Who may call the method."""

    def limits(self, field: FieldDescriptor) -> Limits:
        """The field's limits."""

    def needs_one_of(self, message: Descriptor) -> Sequence[str]:
        """The text fields of which at least one must be given; empty where none must."""

    def sensitive(self, field: FieldDescriptor) -> bool:
        """Whether the field holds personal data or a secret."""

    def takes_idempotency_key(self, method: MethodDescriptor) -> bool:
        """Whether the method takes the header Idempotency-Key."""

    def body_limit(self, method: MethodDescriptor) -> int:
        """Most bytes of a request's body where that is more than the edge's own limit; 0 means that limit."""

    def resume_by(self, method: MethodDescriptor) -> str:
        """The text field of the request and of each response by which a stream is resumed; empty where it can't be."""


class NoAnnotations:
    """A schema without options of its own."""

    def access(self, method: MethodDescriptor) -> Access:  # noqa: ARG002  there is nothing to read
        """Credentials are needed, whatever they hold."""
        return Access()

    def limits(self, field: FieldDescriptor) -> Limits:  # noqa: ARG002  there is nothing to read
        """None."""
        return Limits()

    def needs_one_of(self, message: Descriptor) -> Sequence[str]:  # noqa: ARG002  there is nothing to read
        """None."""
        return ()

    def sensitive(self, field: FieldDescriptor) -> bool:  # noqa: ARG002  there is nothing to read
        """Not that the schema said so."""
        return False

    def takes_idempotency_key(self, method: MethodDescriptor) -> bool:  # noqa: ARG002  there is nothing to read
        """Not that the schema said so."""
        return False

    def body_limit(self, method: MethodDescriptor) -> int:  # noqa: ARG002  there is nothing to read
        """The edge's own."""
        return 0

    def resume_by(self, method: MethodDescriptor) -> str:  # noqa: ARG002  there is nothing to read
        """Not that the schema said so."""
        return ""


def is_output_only(field: FieldDescriptor) -> bool:
    """Whether the schema marks the field as the server's to set: callers may send it, and it is ignored (AIP-203)."""
    return field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
