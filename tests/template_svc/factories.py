"""Valid models by default; override by keyword."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from clarion.template.v1 import template_pb2
from mesh.context import FIRST_PROJECT
from template_svc.convert import content_from_proto
from template_svc.models import Channel, Content, ContentKey, NewTemplate, NewVersion, OnUnknown, Rendered, RenderJob
from template_svc.reader import reader_of

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READER = reader_of("en", "", START)

EMAIL = Content(subject="Hello {{ name }}", html="<p>Hello {{ name }}</p>", text="Hello {{ name }}")
PUSH = Content(title="Hello {{ name }}", body="You have {{ count }} messages", data={"link": "app://inbox/{{ count }}"})


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def advance(self, **by: float) -> None:
        """Moves on; keywords of timedelta."""
        self.now += timedelta(**by)


def make_template(name: str = "welcome", **overrides: Any) -> NewTemplate:
    """An e-mail template in English."""
    new = NewTemplate(FIRST_PROJECT, name, Channel.EMAIL, "", "", False, OnUnknown.RESEND, "en")
    return replace(new, **overrides)


def struct_bytes(variables: dict[str, Any]) -> bytes:
    """Variables as they arrive: a serialized google.protobuf.Struct."""
    return json_format.ParseDict(variables, Struct()).SerializeToString()


def content_of(rendered: object) -> Content:
    """What a render process wrote."""
    assert isinstance(rendered, Rendered), rendered
    return content_from_proto(template_pb2.Content.FromString(rendered.content))


def make_version(**overrides: Any) -> NewVersion:
    """One English content that needs a name."""
    return replace(NewVersion({"en": EMAIL}, ("name",)), **overrides)


def make_job(key: ContentKey, content: Content, variables: bytes) -> RenderJob:
    """A message in English for a reader in UTC."""
    return RenderJob(key, Channel.EMAIL, content, variables, formats="en", timezone="", chain=("en",))
