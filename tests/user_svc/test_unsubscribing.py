"""What an unsubscribe link does to a person's choices, as the decision about the next mail sees it."""

from typing import Any

import pytest

from mesh.context import FIRST_PROJECT
from mesh.sealing import Sealer
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock, make_user
from user_svc.policies.models import Category
from user_svc.policies.use_cases import RuleBook
from user_svc.preferences.models import MAX_RULES, Channel, Choice, PreferenceChanges, PreferenceRule
from user_svc.preferences.unsubscribing import SEALED_FOR, LinkInvalid, UnsubscribeLinks, Unsubscribing
from user_svc.recipients.models import Decision, Query
from user_svc.users.models import User

LINKS = UnsubscribeLinks(Sealer("a secret for the tests of links, long enough", SEALED_FOR))
ALLOWED = PreferenceRule(Channel.ANY, "", Choice.ALLOW, "weekly")


@pytest.fixture
async def ada(stores: Stores) -> User:
    user = make_user(email="ada@example.com")
    await stores.users.insert(FIRST_PROJECT, user, None)
    return user


@pytest.fixture
def unsubscribing(stores: Stores, clock: Clock) -> Unsubscribing:
    people: Any = stores.contacts  # it knows people too
    return Unsubscribing(LINKS, people, stores.preferences, RuleBook(stores.policies), now=clock)


async def decided(stores: Stores, user: User, template: str = "weekly") -> tuple[Decision, str]:
    (answer,) = await stores.recipients().resolve_recipients([Query(user.id, Channel.EMAIL, "news", template=template)])
    return answer.decision, answer.rule


@pytest.mark.parametrize("rules", [[], [ALLOWED], [PreferenceRule(Channel.EMAIL, "", Choice.ALLOW, "weekly")]])
async def test_a_link_stops_the_mail_that_it_stands_in(
    stores: Stores, unsubscribing: Unsubscribing, ada: User, rules: list[PreferenceRule]
) -> None:
    """Also one of a template that the person has allowed; what it says of another template stays."""
    other = PreferenceRule(Channel.EMAIL, "", Choice.ALLOW, "daily")
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges([*rules, other]), START)
    token = LINKS.token(ada.id, "news", "weekly")
    assert not (await unsubscribing.describe(token)).refused
    assert (await unsubscribing.unsubscribe(token)).refused
    assert (await unsubscribing.describe(token)).refused
    assert (await decided(stores, ada))[0] is Decision.SKIP
    assert await decided(stores, ada, "daily") == (Decision.SEND, "preference:email:template:daily")
    await unsubscribing.unsubscribe(token)


async def test_a_person_who_has_chosen_a_lot_can_refuse_one_thing_more(stores: Stores, unsubscribing: Unsubscribing, ada: User) -> None:
    rules = [PreferenceRule(Channel.PUSH, f"c{number}", Choice.DENY) for number in range(MAX_RULES)]
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(rules), START)
    await unsubscribing.unsubscribe(LINKS.token(ada.id, "news"))
    assert (await decided(stores, ada))[0] is Decision.SKIP


async def test_a_link_says_of_what_has_become_mandatory_that_it_is_sent(stores: Stores, unsubscribing: Unsubscribing, ada: User) -> None:
    """The refusal is kept, and holds when that ends."""
    token = LINKS.token(ada.id, "news", "weekly")
    assert (await unsubscribing.describe(token)).mandatory is False
    mandatory = Category("news", {}, True, None, START, START)
    await stores.policies.add(FIRST_PROJECT, mandatory)
    fresh = Unsubscribing(LINKS, unsubscribing._people, stores.preferences, RuleBook(stores.policies), now=lambda: START)
    described, done = await fresh.describe(token), await fresh.unsubscribe(token)
    assert [(one.refused, one.mandatory) for one in (described, done)] == [(False, True), (True, True)]
    assert await decided(stores, ada) == (Decision.SEND, "mandatory")
    await stores.policies.delete(FIRST_PROJECT, "news")
    assert await decided(stores, ada) == (Decision.SKIP, "preference:email:news")


async def test_links_of_the_first_release_name_no_template_and_work(stores: Stores, unsubscribing: Unsubscribing, ada: User) -> None:
    assert LINKS.read(LINKS.token(ada.id, "news")) == (ada.id, "news", "")
    assert (await unsubscribing.unsubscribe(LINKS.token(ada.id, "news"))).category == "news"
    assert await decided(stores, ada) == (Decision.SKIP, "preference:email:news")
    with pytest.raises(LinkInvalid):
        await unsubscribing.unsubscribe(LINKS.token(make_user().id, "news", "weekly"))
