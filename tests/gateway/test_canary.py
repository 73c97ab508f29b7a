"""Which notifications get a version that is tried: by share, always alike, and none that would not be accepted without it."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.accepting.canary import tried_version
from gateway.accepting.errors import TextTooLarge
from gateway.accepting.models import Canary, TemplateSummary, TextSize
from gateway.accepting.use_cases import Key
from gateway.notifications.models import Channel
from mesh.context import FIRST_PROJECT
from mesh.json_schema import JsonSchema
from tests.gateway.test_sending import ADDRESSEE, USER, World, call, draft, world

__all__ = ["call", "world"]

PUBLISHED = TemplateSummary(FIRST_PROJECT, "welcome", Channel.EMAIL, "news", False, 1, 3, ("name",))


def tried(percent: int, *, by_user: bool = False, version: int = 4, **changes: Any) -> TemplateSummary:
    """The template with a canary beside version 3."""
    return PUBLISHED._replace(canary=Canary(PUBLISHED._replace(published_version=version)._replace(**changes), percent, by_user))


def test_the_share_is_what_was_asked_for() -> None:
    """Of 20,000, within five standard deviations."""
    names = [f"notification-{number}" for number in range(20_000)]
    for percent in (1, 10, 50, 99):
        chosen = sum(tried_version(tried(percent), name, USER) is not None for name in names)
        deviation = (20_000 * percent / 100 * (1 - percent / 100)) ** 0.5
        assert abs(chosen - 200 * percent) < 5 * deviation


@given(st.text(min_size=1), st.integers(1, 99), st.integers(1, 99), st.booleans())
def test_the_same_one_is_answered_alike_and_stays_chosen_as_the_share_grows(name: str, one: int, other: int, by_user: bool) -> None:
    identifier, user = ("", name) if by_user else (name, "")
    found = [tried_version(tried(percent, by_user=by_user), identifier, user) for percent in sorted((one, other))]
    assert found[0] == tried_version(tried(min(one, other), by_user=by_user), identifier, user)
    assert found[0] is None or found[1] is not None


def test_who_is_chosen_differs_from_version_to_version() -> None:
    people = [str(uuid4()) for _ in range(1000)]
    chosen = [{person for person in people if tried_version(tried(50, by_user=True, version=version), "", person)} for version in (4, 5)]
    assert 100 < len(chosen[0] & chosen[1]) < 400


def test_without_a_canary_or_a_person_the_published_version_it_is() -> None:
    assert tried_version(PUBLISHED, "n", USER) is None
    assert tried_version(tried(99, by_user=True), "n", "") is None


async def test_the_version_is_pinned_when_a_notification_is_accepted(world: World) -> None:
    """In its row and in what goes to the worker; those who are sent to by one person stay with one version."""
    world.templates.known["welcome"] = tried(50)
    for _ in range(60):
        await world.sender.send(draft(), None)
    versions = [row.template_version for row in world.store.rows]
    assert set(versions) == {3, 4}
    assert versions == [Delivery.FromString(row.payload).template_version for row in world.store.rows]
    world.store.rows.clear()
    world.templates.known["welcome"] = tried(50, by_user=True)
    for _ in range(10):
        await world.sender.send(draft(), None)
    assert len({row.template_version for row in world.store.rows}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"required_variables": ("name", "plan")},
        {"variables_schema": JsonSchema({"type": "object", "properties": {"name": {"type": "number"}}})},
    ],
    ids=["variable", "schema"],
)
async def test_what_does_not_fit_the_tried_version_gets_the_published_one(world: World, changes: dict[str, Any]) -> None:
    world.templates.known["welcome"] = tried(99, **changes)
    for _ in range(20):
        await world.sender.send(draft(), None)
    assert {row.template_version for row in world.store.rows} == {3}


async def test_a_text_that_only_the_tried_version_makes_too_large_goes_with_the_published_one(world: World) -> None:
    world.templates.known["welcome"] = tried(99, size=TextSize(1, 2))
    world.texts.error = TextTooLarge("contents.en.body", "is too large")
    for number in range(20):
        await world.sender.send(draft(), Key(f"k{number}", b"f" * 32))
    assert {row.template_version for row in world.store.rows} == {3}
    assert world.texts.asked


async def test_a_person_who_becomes_a_user_by_the_send_gets_the_published_version(world: World) -> None:
    world.templates.known["welcome"] = tried(99, by_user=True)
    for _ in range(5):
        await world.sender.send(draft(user_id="", to=ADDRESSEE), None)
    assert {row.template_version for row in world.store.rows} == {3}
