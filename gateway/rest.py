"""Clarion's REST edge: what the general transcoder needs to know of this schema and this API."""

from importlib.resources import files

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from clarion.options.v1 import options_pb2
from gateway.accepting.errors import IdempotencyKeyReused
from gateway.http_protocol import REFUSAL_STATUS
from mesh.etag import EtagMismatch
from mesh.rpc.status import DOMAIN
from transcoding.annotations import Access, Limits
from transcoding.app import Readiness, RestApp, RestOptions
from transcoding.openapi import ApiInfo
from transcoding.rpc import Invoker

# What HTTP has a status of its own for: the Idempotency-Key draft, If-Match (RFC 9110), and what the HTTP server refuses.
REASON_STATUS = {**REFUSAL_STATUS, IdempotencyKeyReused.reason: 422, EtagMismatch.reason: 412}

INFO = ApiInfo(
    title="Clarion",
    version="1",
    description="Tells people things: e-mail and push, by template, in the person's language, once.",
    license_name="Apache-2.0",
    license_url="https://www.apache.org/licenses/LICENSE-2.0",
)


class ClarionAnnotations:
    """Reads the options of `clarion/options/v1/options.proto`."""

    def access(self, method: MethodDescriptor) -> Access:
        """Who may call the method."""
        policy = method.GetOptions().Extensions[options_pb2.policy]
        return Access(open=policy.access == options_pb2.ACCESS_OPEN, scope=policy.scope)

    def limits(self, field: FieldDescriptor) -> Limits:
        """The field's limits."""
        rules = field.GetOptions().Extensions[options_pb2.rules]
        return Limits(
            required=rules.required,
            max_length=rules.max_length,
            pattern=rules.pattern,
            max_items=rules.max_items,
            minimum=rules.min if rules.HasField("min") else None,
            maximum=rules.max if rules.HasField("max") else None,
        )

    def sensitive(self, field: FieldDescriptor) -> bool:
        """Whether the field holds personal data or a secret."""
        return field.GetOptions().Extensions[options_pb2.sensitive]

    def takes_idempotency_key(self, method: MethodDescriptor) -> bool:
        """A request that can carry its own id (AIP-155) can have it in the header as well."""
        return "request_id" in method.input_type.fields_by_name


def schema_comments() -> FileDescriptorSet:
    """The generated descriptors of Clarion's own schema, with comments."""
    return FileDescriptorSet.FromString(files("clarion").joinpath("descriptors.binpb").read_bytes())


def open_edge(invoker: Invoker, readiness: Readiness) -> RestApp:
    """The edge in front of the process's methods. Raises RouteConflict, BindingError or TemplateError when the HTTP rules don't fit."""
    return RestApp(
        invoker,
        readiness=readiness,
        options=RestOptions(reason_status=REASON_STATUS, info=INFO, domain=DOMAIN),
        comments=schema_comments(),
        annotations=ClarionAnnotations(),
    )
