"""Facts about preferences: the rules, and one contract on the fake and on PostgreSQL."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.etag import EtagMismatch
from mesh.testing import caller
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock, make_user
from user_svc.access import NotOwner
from user_svc.policies.use_cases import RuleBook
from user_svc.preferences.errors import TooManyRules
from user_svc.preferences.models import MAX_RULES, Channel, Choice, PreferenceChanges, PreferenceRule, most_specific
from user_svc.preferences.quiet_hours import parse_quiet_hours
from user_svc.preferences.use_cases import PreferenceBook
from user_svc.users.errors import UserNotFound
from user_svc.users.models import User

OPERATOR = caller("users:read", "users:write")
NO_NEWS = PreferenceRule(Channel.EMAIL, "news", Choice.DENY)
NO_PUSH = PreferenceRule(Channel.PUSH, "", Choice.DENY)
RULES = st.builds(
    PreferenceRule, st.sampled_from(Channel), st.sampled_from(["", "news", "billing"]), st.sampled_from([Choice.ALLOW, Choice.DENY])
)


@pytest.fixture
async def ada(stores: Stores) -> User:
    """A person in the store."""
    user = make_user()
    await stores.users.insert(FIRST_PROJECT, user, None)
    return user


@pytest.fixture
def book(stores: Stores, clock: Clock) -> PreferenceBook:
    """The rules over either store."""
    return PreferenceBook(stores.preferences, RuleBook(stores.policies), now=clock)


async def test_a_person_who_never_chose_has_no_rules(book: PreferenceBook, ada: User) -> None:
    """And no time of change; a person who is not there is told apart."""
    preferences = await book.get_preferences(OPERATOR, ada.id)
    assert (preferences.rules, preferences.update_time) == ((), None)
    for user_id in (ids.new_id(), "guess"):
        with pytest.raises(UserNotFound):
            await book.get_preferences(OPERATOR, user_id)
        with pytest.raises(UserNotFound):
            await book.update_preferences(OPERATOR, user_id, PreferenceChanges([NO_NEWS]))


async def test_rules_are_set_one_by_one(book: PreferenceBook, ada: User, clock: Clock) -> None:
    """Others stay, and the answer is all of them in the order of channel and category."""
    await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_PUSH]))
    clock.advance(minutes=1)
    changed = await book.update_preferences(
        OPERATOR, ada.id, PreferenceChanges([NO_NEWS, PreferenceRule(Channel.ANY, "billing", Choice.ALLOW)])
    )
    assert [rule.about for rule in changed.rules] == ["*:billing", "email:news", "push:*"]
    assert changed.update_time == clock.now
    assert await book.get_preferences(OPERATOR, ada.id) == changed


async def test_a_choice_is_changed_and_removed(book: PreferenceBook, ada: User, clock: Clock) -> None:
    """INHERIT removes, also what was never there, and counts as a change."""
    await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS, NO_PUSH]))
    allowed = PreferenceRule(Channel.EMAIL, "news", Choice.ALLOW)
    assert (await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([allowed]))).rules == (allowed, NO_PUSH)
    clock.advance(minutes=1)
    inherit = [PreferenceRule(channel, "news", Choice.INHERIT) for channel in (Channel.EMAIL, Channel.PUSH)]
    left = await book.update_preferences(OPERATOR, ada.id, PreferenceChanges(inherit))
    assert (left.rules, left.update_time) == ((NO_PUSH,), clock.now)


async def test_two_rules_about_the_same_are_refused(book: PreferenceBook, ada: User) -> None:
    """The message tells both places."""
    with pytest.raises(InvalidArgument, match=r"rules\[2\]: is about the same as rules\[0\]"):
        await book.update_preferences(
            OPERATOR, ada.id, PreferenceChanges([NO_NEWS, NO_PUSH, PreferenceRule(Channel.EMAIL, "news", Choice.ALLOW)])
        )


async def test_more_than_200_rules_change_nothing(book: PreferenceBook, ada: User) -> None:
    """All or none."""
    rules = [PreferenceRule(Channel.ANY, f"c{number}", Choice.DENY) for number in range(MAX_RULES)]
    full = await book.update_preferences(OPERATOR, ada.id, PreferenceChanges(rules))
    assert len(full.rules) == MAX_RULES
    with pytest.raises(TooManyRules):
        await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS]))
    assert await book.get_preferences(OPERATOR, ada.id) == full
    swap = [PreferenceRule(Channel.ANY, "c0", Choice.INHERIT), NO_NEWS]
    assert NO_NEWS in (await book.update_preferences(OPERATOR, ada.id, PreferenceChanges(swap))).rules


async def test_a_person_with_more_rules_than_there_may_be_is_changed_by_what_adds_none(
    book: PreferenceBook, stores: Stores, ada: User
) -> None:
    """Their page and one-click links go beyond the limit; then the way out that the error names has to be open."""
    many = [PreferenceRule(Channel.ANY, f"c{number}", Choice.DENY) for number in range(MAX_RULES + 5)]
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(many, beyond_limit=True), START)
    with pytest.raises(TooManyRules):
        await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS]))
    changed = [PreferenceRule(Channel.ANY, "c0", Choice.ALLOW), PreferenceRule(Channel.ANY, "c1", Choice.INHERIT), NO_NEWS]
    assert len((await book.update_preferences(OPERATOR, ada.id, PreferenceChanges(changed))).rules) == MAX_RULES + 5
    fewer = PreferenceChanges([PreferenceRule(Channel.ANY, "c2", Choice.INHERIT)], parse_quiet_hours("22:00-07:00"))
    assert len((await book.update_preferences(OPERATOR, ada.id, fewer)).rules) == MAX_RULES + 4
    with pytest.raises(TooManyRules):
        await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([PreferenceRule(Channel.ANY, "c2", Choice.DENY)]))


async def test_concurrent_changes_of_one_person_all_count(postgres_stores: Stores) -> None:
    """On PostgreSQL, where they really race."""
    user = make_user()
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    rules = [PreferenceRule(Channel.PUSH, f"c{number}", Choice.DENY) for number in range(12)]
    await asyncio.gather(*(postgres_stores.preferences.update(FIRST_PROJECT, user.id, PreferenceChanges([rule]), START) for rule in rules))
    preferences = await postgres_stores.preferences.find(FIRST_PROJECT, user.id)
    assert preferences is not None
    assert set(preferences.rules) == set(rules)


async def test_an_owner_reaches_no_other_persons_preferences(book: PreferenceBook, ada: User) -> None:
    """Not to read and not to change."""
    as_eve = caller(user_id=ids.new_id())
    with pytest.raises(NotOwner):
        await book.get_preferences(as_eve, ada.id)
    with pytest.raises(NotOwner):
        await book.update_preferences(as_eve, ada.id, PreferenceChanges([NO_NEWS]))
    as_ada = caller(user_id=ada.id)
    assert (await book.update_preferences(as_ada, ada.id, PreferenceChanges([NO_NEWS]))).rules == (NO_NEWS,)


@given(st.lists(RULES), st.sampled_from([Channel.EMAIL, Channel.PUSH]), st.sampled_from(["", "news", "other"]))
def test_the_most_specific_rule_decides(rules: list[PreferenceRule], channel: Channel, category: str) -> None:
    """No other rule that applies names more: a category weighs more than a channel."""
    decided = most_specific(rules, channel, category)
    applying = [rule for rule in rules if rule.channel in {channel, Channel.ANY} and rule.category in {category, ""}]
    if decided is None:
        assert not applying
    else:
        assert decided in applying

        def weight(rule: PreferenceRule) -> tuple[bool, bool]:
            return (rule.category != "", rule.channel is not Channel.ANY)

        assert weight(decided) == max(map(weight, applying))


async def test_a_change_that_is_bound_to_a_state_is_refused_in_another(book: PreferenceBook, ada: User) -> None:
    """An update without rules changes nothing, so that what was read can be sent back."""
    before = await book.get_preferences(OPERATOR, ada.id)
    assert await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([]), etag=before.etag) == before
    after = await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS]), etag=before.etag)
    assert after.etag != before.etag
    for rules in ([NO_PUSH], []):
        with pytest.raises(EtagMismatch):
            await book.update_preferences(OPERATOR, ada.id, PreferenceChanges(rules), etag=before.etag)
    assert await book.get_preferences(OPERATOR, ada.id) == after
    again = await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS]), etag=before.etag)
    assert again.rules == after.rules, "the answer to the first try may have been lost"
