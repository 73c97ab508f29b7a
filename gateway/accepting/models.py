"""What a sender asks for, what is stored of it, and what is answered."""

import hashlib
import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from gateway.notifications.models import Channel, Priority, Status
from mesh.json_schema import JsonSchema
from naming.local_times import LocalTime


class TemplateKey(NamedTuple):
    """Names a template."""

    project: str
    name: str


class UserReference(NamedTuple):
    """An id of a person, ours or the project's own."""

    project: str
    reference: str


class Address(NamedTuple):
    """An e-mail address of a project's person in lower case, or what stands for a device (`Addressee.key`)."""

    project: str
    address: str


class Addressee(NamedTuple):
    """Someone who need not be a user yet, by an address or a device; `platform` is the number of the API's enum."""

    email: str = ""
    name: str = ""
    locale: str = ""
    timezone: str = ""
    device_token: str = ""
    platform: int = 0

    @property
    def key(self) -> str:
        """What two of them have in common that are the same; of a device a hash, since the token opens it."""
        return self.email.lower() if self.email else f"device:{hashlib.sha256(self.device_token.encode()).hexdigest()}"


class Reached(NamedTuple):
    """A user by our id, and their device where that was asked for."""

    user_id: str
    device_id: str = ""


class AttachedFile(NamedTuple):
    """A file of a mail: its content, or the id of one that is kept; both, and its size in bytes, once it is kept for this mail."""

    filename: str
    content_type: str = ""
    content: bytes = b""
    attachment_id: str = ""
    content_id: str = ""
    size_bytes: int = 0


class Draft(NamedTuple):
    """What a sender asks for. `user_id` is whatever was given as one, empty where `to` is given in its place; `device_id` is its device.

    `recipient_domains` are those that the sender's key is narrowed to. `send_at_local` stands in for `send_at` until the zone is known.
    `resent_from` is the notification that it sends again.
    """

    user_id: str
    channel: Channel
    template: str
    variables: Struct
    locale: str = ""
    priority: Priority = Priority.NORMAL
    send_at: datetime | None = None
    expires_at: datetime | None = None
    category: str = ""
    metadata: Mapping[str, str] = {}
    to: Addressee | None = None
    recipient_domains: tuple[str, ...] = ()
    send_at_local: LocalTime | None = None
    attachments: tuple[AttachedFile, ...] = ()
    device_id: str = ""
    resent_from: UUID | None = None

    def plain_variables(self) -> dict[str, Any]:
        """The variables as JSON has them."""
        return MessageToDict(self.variables)


class TextSize(NamedTuple):
    """What bounds a text's size: at most `fixed` and what `paths` of the variables hold. Above `limit` only a rendering shows it."""

    limit: int
    fixed: int
    paths: tuple[str, ...] = ()


class TemplateSummary(NamedTuple):
    """What accepting a notification needs to know of its template; `published_version` 0 means that none is."""

    project: str
    name: str
    channel: Channel
    category: str
    mandatory: bool
    on_unknown: int
    published_version: int
    required_variables: tuple[str, ...]
    size: TextSize | None = None
    variables_schema: JsonSchema | None = None
    archived: bool = False
    canary: "Canary | None" = None

    @property
    def sendable(self) -> bool:
        """Whether anything is accepted with it."""
        return bool(self.published_version) and not self.archived


class Canary(NamedTuple):
    """A version that `percent` of the notifications get, or of the people where it is `by_user`: the template as if it were published."""

    version: TemplateSummary
    percent: int
    by_user: bool


_ACCEPTANCE = struct.Struct(">16sBq")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Acceptance(NamedTuple):
    """What a sender is answered, and answered again when the request is repeated."""

    id: UUID
    status: Status
    create_time: datetime

    def pack(self) -> bytes:
        """The 25 bytes that idempotency records keep."""
        return _ACCEPTANCE.pack(self.id.bytes, self.status, (self.create_time - _EPOCH) // _MICROSECOND)

    @classmethod
    def unpack(cls, packed: bytes) -> "Acceptance":
        """The acceptance in a record."""
        identifier, status, micros = _ACCEPTANCE.unpack(packed)
        return cls(UUID(bytes=identifier), Status(status), _EPOCH + micros * _MICROSECOND)


class Row(NamedTuple):
    """A notification about to be stored. The last three are set when it has an idempotency key."""

    id: UUID
    project: str
    test: bool
    user_id: UUID
    channel: int
    template: str
    template_version: int
    locale: str
    priority: int
    category: str
    status: int
    metadata: str | None
    create_time: datetime
    send_at: datetime | None
    expires_at: datetime | None
    dispatch_at: datetime
    caller: str
    correlation_id: str
    payload: bytes
    resent_from: UUID | None
    digest: bytes | None
    fingerprint: bytes | None
    response: bytes | None


class Record(NamedTuple):
    """The stored answer to an idempotency key."""

    digest: bytes
    fingerprint: bytes
    response: bytes
    create_time: datetime


def metadata_text(metadata: Mapping[str, str]) -> str | None:
    """The labels as JSON, None when there are none."""
    return json.dumps(metadata, separators=(",", ":")) if metadata else None
