"""Clarion's REST edge: what the general transcoder needs to know of this schema and this API."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from clarion.options.v1 import options_pb2
from gateway.changes.errors import CursorExpired
from gateway.contents.errors import ContentGone
from gateway.http_protocol import REFUSAL_STATUS
from mesh.etag import EtagMismatch
from mesh.idempotency.errors import IdempotencyKeyReused
from mesh.idempotency.handlers import honours_key
from mesh.rpc.status import DOMAIN
from transcoding.annotations import Access, Limits
from transcoding.app import Readiness, RestApp, RestOptions
from transcoding.cors import Cors
from transcoding.openapi import ApiInfo
from transcoding.rpc import Invoker

# What template_svc refuses because of how things stand.
_CONFLICTS = dict.fromkeys(
    (
        "TEMPLATE_ARCHIVED", "VERSION_ARCHIVED", "VERSION_IN_USE", "PUBLICATION_SCHEDULED", "SCHEDULE_OVER", "CANARY_RUNNING",
        "SENDER_DOMAIN_NOT_VERIFIED", "SENDER_IN_USE", "SENDER_DOMAIN_IN_USE", "TOO_MANY_SENDERS", "NO_SEALING_SECRET",
    ),
    409,
)  # fmt: skip
# What HTTP has a status of its own for: the Idempotency-Key draft, If-Match and what is gone (RFC 9110), and what the HTTP server refuses.
_GONE = dict.fromkeys((CursorExpired.reason, ContentGone.reason), 410)
REASON_STATUS = {**REFUSAL_STATUS, **_CONFLICTS, **_GONE, IdempotencyKeyReused.reason: 422, EtagMismatch.reason: 412}

INFO = ApiInfo(
    title="Clarion",
    version="1",
    description="One API for notifications by e-mail and push, from versioned templates in the person's language, each sent once.",
    license_name="Apache-2.0",
    license_url="https://www.apache.org/licenses/LICENSE-2.0",
)

# The keys are public, and a verifier that meets an unknown one asks again. Retired keys stay published for an hour, longer than any token.
CACHE = {"/.well-known/jwks.json": "public, max-age=300"}


@cache
def _policy(method: MethodDescriptor) -> options_pb2.MethodPolicy:
    return method.GetOptions().Extensions[options_pb2.policy]


class ClarionAnnotations:
    """Reads the options of `clarion/options/v1/options.proto`."""

    def access(self, method: MethodDescriptor) -> Access:
        """Who may call the method."""
        policy = _policy(method)
        return Access(open=policy.access == options_pb2.ACCESS_OPEN, scope=policy.scope)

    def limits(self, field: FieldDescriptor) -> Limits:
        """The field's limits."""
        rules = field.GetOptions().Extensions[options_pb2.rules]
        return Limits(
            required=rules.required,
            min_length=rules.min_length,
            max_length=rules.max_length,
            pattern=rules.pattern,
            max_items=rules.max_items,
            minimum=rules.min if rules.HasField("min") else None,
            element_wise=rules.element_wise,
            maximum=rules.max if rules.HasField("max") else None,
        )

    def needs_one_of(self, message: Descriptor) -> Sequence[str]:
        """The text fields of which at least one must be given."""
        return tuple(message.GetOptions().Extensions[options_pb2.needs_one_of])

    def sensitive(self, field: FieldDescriptor) -> bool:
        """Whether the field holds personal data or a secret."""
        return field.GetOptions().Extensions[options_pb2.sensitive]

    def takes_idempotency_key(self, method: MethodDescriptor) -> bool:
        """Whether a repeated call has no second effect."""
        return honours_key(method)

    def body_limit(self, method: MethodDescriptor) -> int:
        """The policy's."""
        return _policy(method).body_limit_bytes

    def resume_by(self, method: MethodDescriptor) -> str:
        """The field by which a stream is resumed."""
        return _policy(method).resume_by


def viewer_script() -> bytes:
    """The viewer of the API page, where `make setup` has fetched it; empty where it has not."""
    script = files("gateway").joinpath("static", "rapidoc-min.js")
    return script.read_bytes() if script.is_file() else b""


def code_samples() -> Mapping[str, Sequence[Mapping[str, str]]]:
    """Generated examples of every method (scripts/gen_samples.py)."""
    samples: Mapping[str, Sequence[Mapping[str, str]]] = json.loads(files("gateway").joinpath("samples.json").read_text(encoding="utf-8"))
    return samples


def schema_comments() -> FileDescriptorSet:
    """The generated descriptors of Clarion's own schema, with comments."""
    return FileDescriptorSet.FromString(files("clarion").joinpath("descriptors.binpb").read_bytes())


def open_edge(invoker: Invoker, readiness: Readiness, *, cors_origins: Sequence[str] = ()) -> RestApp | Cors:
    """The edge in front of the process's methods. Raises RouteConflict, BindingError or TemplateError when the HTTP rules don't fit."""
    edge = RestApp(
        invoker,
        readiness=readiness,
        options=RestOptions(
            reason_status=REASON_STATUS, info=INFO, domain=DOMAIN, cache=CACHE, samples=code_samples(), viewer=viewer_script()
        ),
        comments=schema_comments(),
        annotations=ClarionAnnotations(),
    )
    return Cors(edge, cors_origins) if cors_origins else edge
