"""Texts that are measured before they are accepted: refused for their size only, and never held up by a service that is down."""

from collections.abc import Sequence

import pytest
from google.protobuf.struct_pb2 import Struct

from clarion.template.v1.render_service_pb2 import Rendered, RenderItem
from clarion.user.v1.recipient_service_pb2 import Recipient, RecipientQuery
from gateway.accepting.errors import TextTooLarge
from gateway.accepting.models import Draft, TemplateSummary
from gateway.accepting.rendered_texts import RenderedTexts
from gateway.notifications.models import Channel
from mesh.context import FIRST_PROJECT
from mesh.errors import FailedPrecondition, FieldViolation, ServiceError, Unavailable

DRAFT = Draft(user_id="u", channel=Channel.PUSH, template="news", variables=Struct())
NEWS = TemplateSummary(FIRST_PROJECT, "news", Channel.PUSH, "", False, 1, 4, ())
TOO_LARGE = FailedPrecondition(
    "contents.de: makes a message of 5000 bytes",
    reason="OUTPUT_TOO_LARGE",
    violations=[FieldViolation("contents.de", "makes a message of 5000 bytes with these values; a push may have 4096")],
)


class Peers:
    """user_svc and template_svc."""

    def __init__(self, answer: Rendered | ServiceError, recipient: Recipient | ServiceError | None = None) -> None:
        self.answer = answer
        self.recipient = recipient or Recipient(locale="de-AT")
        self.items: list[RenderItem] = []

    async def resolve(self, queries: Sequence[RecipientQuery]) -> list[Recipient | ServiceError]:
        return [self.recipient for _ in queries]

    async def render(self, items: Sequence[RenderItem]) -> list[Rendered | ServiceError]:
        self.items += items
        return [self.answer for _ in items]


async def test_the_text_of_the_persons_locale_is_measured_unless_the_sender_names_one() -> None:
    peers = Peers(Rendered())
    texts = RenderedTexts(peers, peers)
    await texts.check_size(DRAFT, NEWS)
    await texts.check_size(DRAFT._replace(locale="fr"), NEWS)
    assert [(item.template, item.version, item.locale) for item in peers.items] == [("news", 4, "de-AT"), ("news", 4, "fr")]


async def test_a_text_that_is_too_large_is_refused_with_its_size_and_the_way_out() -> None:
    peers = Peers(TOO_LARGE)
    with pytest.raises(TextTooLarge) as refused:
        await RenderedTexts(peers, peers).check_size(DRAFT, NEWS)
    assert refused.value.message == (
        "variables: contents.de of the template makes a message of 5000 bytes with these values; a push may have 4096; "
        "shorten the values or the template"
    )


@pytest.mark.parametrize(
    "peers",
    [
        Peers(Unavailable("held", reason="RENDER_HELD", retry_after_s=5.0)),
        Peers(FailedPrecondition("divides by zero", reason="RENDER_FAILED")),
        Peers(Rendered(), recipient=Unavailable("down", retry_after_s=1.0)),
    ],
)
async def test_nothing_else_is_decided_here(peers: Peers) -> None:
    await RenderedTexts(peers, peers).check_size(DRAFT, NEWS)
