"""Platform blocks of push contents: checked when the version is made, rendered like every other text, counted with the rest."""

from typing import Any

import pytest

from delivery.push_message import MAX_PUSH_BYTES, PushText, greatest_size
from template_svc.contents import check_draft
from template_svc.errors import InvalidContents, OutputTooLarge, RenderFailed
from template_svc.models import Channel, Content, VersionDraft
from template_svc.renderer import Compiler, PartFault, Renderer
from tests.template_svc.factories import READER

PUSH = Content(
    title="Order {{ order }}", body="is on its way",
    android={"notification": {"channel_id": "orders", "click_action": "OPEN_{{ order }}"}},
    apns={"payload": {"aps": {"badge": "{{ unread }}", "thread-id": "{{ order }}", "mutable-content": 1}}},
    webpush={"fcm_options": {"link": "https://example.com/{{ order|urlencode }}"}},
)  # fmt: skip


def render(renderer: Renderer, content: Content, channel: Channel = Channel.PUSH, **variables: Any) -> Content:
    return renderer.render(renderer.compile(content, channel, "en"), variables, "contents.en", READER)


def test_strings_are_templates_and_become_the_kind_that_fcm_wants(renderer: Renderer) -> None:
    done = render(renderer, PUSH, order="A 1", unread=3)
    assert done.android == {"notification": {"channel_id": "orders", "click_action": "OPEN_A 1"}}
    assert done.apns == {"payload": {"aps": {"badge": 3, "thread-id": "A 1", "mutable-content": 1}}}
    assert done.webpush == {"fcm_options": {"link": "https://example.com/A%201"}}


def test_their_variables_are_required_too() -> None:
    assert Compiler().compile(PUSH, Channel.PUSH, "en").variables.required == {"order", "unread"}


def test_a_value_that_makes_no_number_is_named(renderer: Renderer) -> None:
    with pytest.raises(RenderFailed, match=r"contents\.en\.apns\.payload\.aps\.badge"):
        render(renderer, PUSH, order="A", unread="many")


@pytest.mark.parametrize(
    ("block", "field", "words"),
    [
        ({"android": {"notification": {"channelId": "x"}}}, "contents.en.android.notification.channelId", "did you mean channel_id"),
        ({"apns": {"payload": {"aps": {"badge": "three"}}}}, "contents.en.apns.payload.aps.badge", "whole number"),
        ({"webpush": {"fcm_options": {"link": "http://x"}}}, "contents.en.webpush.fcm_options.link", "https"),
    ],
)
def test_what_fcm_would_refuse_is_refused_when_the_version_is_made(block: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidContents) as caught:
        check_draft(VersionDraft(Channel.PUSH, "en", {"en": Content(title="a", body="b", **block)}, {}, {}), Renderer())
    (violation,) = caught.value.violations
    assert violation.field == field
    assert words in violation.description


def test_a_mail_has_none() -> None:
    with pytest.raises(InvalidContents):
        check_draft(VersionDraft(Channel.EMAIL, "en", {"en": Content(subject="a", text="b", apns={"payload": {}})}, {}, {}), Renderer())


def test_what_is_counted_is_the_message_itself_and_both_sizes_are_named(renderer: Renderer) -> None:
    room = MAX_PUSH_BYTES - greatest_size(PushText("a", ""))
    content = Content(title="a", body="{{ text }}")
    render(renderer, content, text="x" * room)
    with pytest.raises(OutputTooLarge, match=f"{MAX_PUSH_BYTES + 1} bytes with these values; a push may have {MAX_PUSH_BYTES}"):
        render(renderer, content, text="x" * (room + 1))


def test_a_subject_has_at_most_998_characters(renderer: Renderer) -> None:
    content = Content(subject="{{ text }}", text="t")
    render(renderer, content, Channel.EMAIL, text="x" * 998)
    with pytest.raises(OutputTooLarge, match="100000 characters with these values; the subject of a mail may have 998"):
        render(renderer, content, Channel.EMAIL, text="x" * 100_000)
    with pytest.raises(PartFault, match="has 999 characters; the subject of a mail may have 998"):
        Compiler().compile(Content(subject="x" * 999, text="t"), Channel.EMAIL, "en")
