"""What a reviewer sees of a dead letter: what would be sent, without what is nobody's business unless it is asked for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict, MessageToJson
from hypothesis import given
from hypothesis import strategies as st

from clarion.channel.v1.channel_pb2 import CHANNEL_PUSH
from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.template.v1.render_service_pb2 import Rendered, RenderItem
from clarion.template.v1.template_pb2 import Content
from clarion.user.v1.recipient_service_pb2 import DECISION_SKIP, Recipient
from gateway.dead_letters.convert import dead_letter_message
from gateway.dead_letters.models import Action, Actor, Audit, Cause, DeadLetter, State, View
from gateway.dead_letters.preview import Previewer
from gateway.dead_letters.use_cases import DeadLetters
from gateway.notifications.models import Channel
from mesh.errors import InvalidArgument, ServiceError, Unavailable
from mesh.ids import new_uuid
from mesh.stores.database import Database
from tests.delivery.fakes import FakeRecipients, make_delivery
from tests.gateway.dead_letter_desk import REVIEWER, START, Desk, struct


class Talkative:
    """A renderer whose every template shows all that it is given."""

    async def render(self, items: Sequence[RenderItem]) -> Sequence[Rendered | ServiceError]:
        return [Rendered(content=self._content(item), locale=item.locale) for item in items]

    def _content(self, item: RenderItem) -> Content:
        words = MessageToJson(item, ensure_ascii=False)
        return Content(subject=words, text=words, html=words, title=words, body=words, data={"all": words}, image=words)


class OneLetter:
    """A store with one dead letter."""

    def __init__(self, delivery: Delivery, detail: str = "") -> None:
        self.delivery: bytes | None = delivery.SerializeToString()
        self.letter = DeadLetter(
            notification_id=UUID(delivery.notification_id),
            user_id=new_uuid(),
            channel=Channel(delivery.channel),
            template=delivery.template,
            state=State.OPEN,
            run=0,
            cause=Cause.PROVIDER_PERMANENT,
            reason="SMTP_550",
            detail=detail,
            attempts=1,
            create_time=START,
            resolve_time=None,
            resolved_by="",
            note="",
            correlation_id="c-1",
        )

    async def find(self, project: str, notification_id: UUID) -> DeadLetter | None:
        return self.letter

    async def find_delivery(self, notification_id: UUID) -> bytes | None:
        return self.delivery

    async def note(self, letter: DeadLetter, action: Action, actor: Actor, words: str) -> None:
        self.letter = replace(letter, audit=(*letter.audit, Audit(START, action, actor.kind, actor.id, words, letter.run)))


class Reader:
    """The desk around one letter."""

    def __init__(self, delivery: Delivery, detail: str = "") -> None:
        self.store = OneLetter(delivery, detail)
        self.recipients = FakeRecipients()
        previews = Previewer(self.recipients, Talkative())
        self._letters: Any = DeadLetters(self.store, None, previews=previews, people=None, lease_s=3)  # type: ignore[arg-type]  # it reads only

    async def read(self, view: View = View.REDACTED) -> Any:
        """The answer as its reader gets it."""
        found = await self._letters.get(REVIEWER, str(self.store.letter.notification_id), view)
        return dead_letter_message(found)


def shown(message: Any) -> str:
    return MessageToJson(message, ensure_ascii=False)


# What our own words never contain, so that what is found is what was hidden.
SECRETS = st.text("ΔΘΛΞΠΣΦΨΩ", min_size=3, max_size=12)
NUMBERS = st.integers(min_value=10**7, max_value=10**12)
ADDRESSES = st.builds(
    "{}@{}.example".format, st.text("qxzQXZ.7", min_size=2, max_size=8).map("k{}k".format), st.text("qxz", min_size=4, max_size=8)
)
LEAVES = st.one_of(SECRETS, NUMBERS, ADDRESSES, st.booleans(), st.none())
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SECRETS | st.just("name"), inner, max_size=3), max_leaves=8
)


def leaves(value: object) -> list[str]:
    """Every text and number in a value, as a text."""
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


@given(
    variables=st.dictionaries(st.sampled_from(["name", "order", "lines"]), VALUES),
    address=ADDRESSES,
    edited=ADDRESSES | st.just(""),
    view=st.sampled_from([View.BASIC, View.REDACTED]),
)
def test_no_value_and_no_address_is_ever_in_an_answer_without_the_full_view(
    variables: dict[str, Any], address: str, edited: str, view: View
) -> None:
    """Even when the template shows all it is given, and the provider repeats what it was told."""
    delivery = make_delivery()
    delivery.variables.CopyFrom(struct(**variables))
    delivery.email = edited
    hidden = [*leaves(variables), address, *([edited] if edited else [])]
    reader = Reader(delivery, detail=f"550 <{address}> {edited} said {' '.join(leaves(variables))}")
    person = FakeRecipients.person(delivery.user_id)
    person.email = edited or address
    reader.recipients.answers[delivery.user_id] = person
    answer = shown(asyncio.run(reader.read(view)))
    assert [secret for secret in hidden if secret in answer] == []


async def test_what_would_be_sent_is_shown_with_masks() -> None:
    delivery = make_delivery()
    delivery.variables.CopyFrom(struct(name="Ada", total=12.5, vip=True, lines=[{"what": "tea"}, {"what": "jam"}], none=None))
    reader = Reader(delivery)
    reader.recipients.answers[delivery.user_id] = FakeRecipients.person("ada")
    preview = (await reader.read()).preview
    assert (preview.redacted, preview.recipient, preview.recipient_edited) == (True, "a***@example.org", False)
    assert (preview.decision, preview.rule, preview.locale, preview.problem) == ("send", "default", "en", "")
    assert MessageToDict(preview.variables) == {
        "name": "***", "total": 0, "vip": False, "lines": [{"what": "***"}, {"what": "***"}], "none": None,
    }  # fmt: skip
    assert '"***"' in preview.content.subject


async def test_the_full_view_shows_all_and_leaves_a_trace() -> None:
    delivery = make_delivery()
    delivery.variables.CopyFrom(struct(name="Ada"))
    reader = Reader(delivery, detail="550 Ada <user-1@example.org> is gone")
    letter = await reader.read(View.FULL)
    assert (letter.preview.redacted, letter.preview.recipient, letter.detail) == (False, "user-1@example.org", reader.store.letter.detail)
    assert "Ada" in letter.preview.content.html
    assert [(entry.action, entry.actor_id) for entry in letter.audit] == [(Action.VIEWED, "test-key")]


async def test_the_basic_view_asks_nobody() -> None:
    reader = Reader(make_delivery())
    assert not (await reader.read(View.BASIC)).HasField("preview")
    assert reader.recipients.asked == []


async def test_an_edited_address_is_asked_about_and_told() -> None:
    delivery = make_delivery()
    delivery.email = "eve@example.org"
    reader = Reader(delivery)
    assert (await reader.read()).preview.recipient_edited
    assert [query.email for query in reader.recipients.asked[0]] == ["eve@example.org"]


async def test_a_push_tells_how_many_devices_it_would_reach() -> None:
    """On a retry those that are left."""
    delivery = make_delivery(channel=CHANNEL_PUSH)
    reader = Reader(delivery)
    assert (await reader.read()).preview.devices == 1
    delivery.device_ids.append("another")
    assert (await Reader(delivery).read()).preview.devices == 0


async def test_a_preference_that_says_no_is_told() -> None:
    delivery = make_delivery()
    reader = Reader(delivery)
    reader.recipients.answers[delivery.user_id] = Recipient(decision=DECISION_SKIP, rule="suppression:bounce")
    preview = (await reader.read()).preview
    assert (preview.decision, preview.rule, preview.recipient) == ("skip", "suppression:bounce", "")


async def test_a_service_that_is_down_spoils_the_preview_only() -> None:
    reader = Reader(make_delivery(locale="pt-BR"))
    reader.recipients.error = Unavailable("away", reason="AWAY")
    preview = (await reader.read()).preview
    assert (preview.problem, preview.recipient, preview.locale) == ("AWAY", "", "pt-BR")
    assert preview.content.subject


async def test_what_was_erased_has_no_preview() -> None:
    reader = Reader(make_delivery())
    reader.store.delivery = None
    preview = (await reader.read()).preview
    assert (preview.problem, preview.HasField("content"), preview.recipient) == ("ERASED", False, "")


async def test_the_words_of_an_error_are_not_shown(database: Database) -> None:
    """They may hold what was rendered; the reason can't."""
    desk = Desk(database)
    row = await desk.failed()
    desk.renderer.errors["welcome"] = InvalidArgument("Ada is no date", reason="RENDER_FAILED")
    preview = (await desk.letters.get(REVIEWER, str(row.id), View.REDACTED)).preview
    assert preview is not None
    assert (preview.problem, preview.content) == ("RENDER_FAILED", None)


@pytest.mark.parametrize("view", [View.BASIC, View.REDACTED])
async def test_reading_leaves_no_trace_unless_all_is_shown(database: Database, view: View) -> None:
    desk = Desk(database)
    row = await desk.failed()
    await desk.letters.get(REVIEWER, str(row.id), view)
    assert (await desk.letters.get(REVIEWER, str(row.id), View.FULL)).audit[0].action is Action.VIEWED
    assert len((await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).audit) == 1
