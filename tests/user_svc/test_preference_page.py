"""What a person sees and changes on their page, as the decision about the next notification sees it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.user.v1 import preference_page_pb2
from clarion.user.v1 import preference_page_service_pb2 as rpc
from mesh.context import FIRST_PROJECT, Caller, CallerKind
from mesh.errors import InvalidArgument
from mesh.etag import EtagMismatch
from mesh.sealing import Sealer
from mesh.stores.database import Database
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock, make_user
from user_svc.access import NotOwner
from user_svc.policies.models import Category, CategoryText
from user_svc.policies.use_cases import Policies, RuleBook
from user_svc.preference_page.convert import brand_change_from_proto
from user_svc.preference_page.models import CHANNELS, PageChoices
from user_svc.preference_page.repository import PageRepository
from user_svc.preference_page.use_cases import Brands, PreferencePages
from user_svc.preferences.models import MAX_RULES, Channel, Choice, PreferenceChanges, PreferenceRule
from user_svc.preferences.quiet_hours import OFF, parse_quiet_hours
from user_svc.preferences.unsubscribing import SEALED_FOR, LinkInvalid, UnsubscribeLinks, Unsubscribing
from user_svc.recipients.models import Decision, Query
from user_svc.users.errors import UserNotFound
from user_svc.users.models import User

pytestmark = pytest.mark.processes

LINKS = UnsubscribeLinks(Sealer("a secret for the tests of links, long enough", SEALED_FOR))
KEY = Caller(CallerKind.API_KEY, "key", scopes=frozenset({"users:write", "policies:write"}), project=FIRST_PROJECT)
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
async def ada(postgres_stores: Stores) -> User:
    user = make_user(email="ada@example.com", locale="pt-BR", timezone="Europe/Lisbon")
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    return user


@pytest.fixture
def book(postgres_stores: Stores) -> RuleBook:
    # asks each time, since the tests change what it remembers
    return RuleBook(postgres_stores.policies, clock=iter(range(0, 10**6, 10)).__next__)


@pytest.fixture
def pages(postgres_stores: Stores, database: Database, book: RuleBook, clock: Clock) -> PreferencePages:
    stores = postgres_stores
    return PreferencePages(LINKS, PageRepository(database), stores.preferences, stores.policies, book, now=clock)


async def _categories(stores: Stores) -> None:
    texts = {"en": CategoryText("News", "What is new"), "pt": CategoryText("Notícias", "O que há de novo")}
    for identifier, mandatory in (("news", False), ("orders", False), ("legal", True)):
        made = Category(identifier, texts if identifier == "news" else {}, mandatory, None, START, START)
        await stores.policies.add(FIRST_PROJECT, made)


async def _decided(stores: Stores, user: User, category: str, channel: Channel = Channel.EMAIL) -> tuple[Decision, str]:
    (answer,) = await stores.recipients().resolve_recipients([Query(user.id, channel, category)])
    return answer.decision, answer.rule


async def test_the_page_is_in_the_persons_language_and_lists_what_there_is(
    postgres_stores: Stores, pages: PreferencePages, ada: User
) -> None:
    await _categories(postgres_stores)
    page = await pages.describe(await pages.create_link(KEY, ada.id))
    assert [(one.id, one.name, one.mandatory, len(one.channels)) for one in page.categories] == [
        ("news", "Notícias", False, 2),
        ("orders", "orders", False, 2),
        ("legal", "legal", True, 2),
    ]
    assert (page.locale, page.timezone, page.quiet_hours) == ("pt-BR", "Europe/Lisbon", None)


async def test_an_unsubscribe_link_opens_the_page_and_shows_its_category(
    postgres_stores: Stores, pages: PreferencePages, ada: User
) -> None:
    page = await pages.describe(LINKS.token(ada.id, "weekly", "digest"))
    assert [one.id for one in page.categories] == ["weekly"]


async def test_a_link_of_the_page_unsubscribes_from_nothing(
    postgres_stores: Stores, pages: PreferencePages, book: RuleBook, ada: User, clock: Clock
) -> None:
    unsubscribing = Unsubscribing(LINKS, postgres_stores.contacts, postgres_stores.preferences, book, now=clock)  # type: ignore[arg-type]  # it knows people too
    with pytest.raises(LinkInvalid):
        await unsubscribing.unsubscribe(await pages.create_link(KEY, ada.id))


async def test_what_is_chosen_decides_about_the_next_notification(postgres_stores: Stores, pages: PreferencePages, ada: User) -> None:
    await _categories(postgres_stores)
    token = LINKS.page_token(ada.id)
    saved = await pages.save(
        token, PageChoices({("news", Channel.EMAIL): False, ("legal", Channel.EMAIL): False, ("none", Channel.EMAIL): False})
    )
    assert {one.id: sorted(one.channels) for one in saved.categories}["news"] == [Channel.PUSH]
    assert await _decided(postgres_stores, ada, "news") == (Decision.SKIP, "preference:email:news")
    assert (await _decided(postgres_stores, ada, "legal"))[0] is Decision.SEND
    present = await postgres_stores.preferences.find(FIRST_PROJECT, ada.id)
    assert present is not None
    assert present.rules == (PreferenceRule(Channel.EMAIL, "news", Choice.DENY),)
    await pages.save(token, PageChoices({("news", Channel.EMAIL): True}))
    assert (await _decided(postgres_stores, ada, "news"))[0] is Decision.SEND


async def test_saving_what_holds_already_writes_nothing(postgres_stores: Stores, pages: PreferencePages, ada: User, clock: Clock) -> None:
    """So that what the project decides later still reaches a person who has only looked."""
    await _categories(postgres_stores)
    await Policies(postgres_stores.policies, RuleBook(postgres_stores.policies), now=clock).update_policy(
        KEY, lambda policy: policy.__class__((PreferenceRule(Channel.ANY, "news", Choice.DENY),), parse_quiet_hours("22:00-07:00"))
    )
    token = LINKS.page_token(ada.id)
    page = await pages.describe(token)
    assert page.quiet_hours == parse_quiet_hours("22:00-07:00")
    as_shown = {(one.id, channel): channel in one.channels for one in page.categories for channel in CHANNELS}
    assert as_shown["news", Channel.EMAIL] is False
    assert await pages.save(token, PageChoices(as_shown, page.quiet_hours)) == page
    present = await postgres_stores.preferences.find(FIRST_PROJECT, ada.id)
    assert present is not None
    assert (present.rules, present.quiet_hours, present.update_time) == ((), None, None)


async def test_quiet_hours_are_set_and_turned_off(pages: PreferencePages, ada: User) -> None:
    token = LINKS.page_token(ada.id)
    assert (await pages.save(token, PageChoices({}, parse_quiet_hours("23:00-06:30")))).quiet_hours == parse_quiet_hours("23:00-06:30")
    assert (await pages.save(token, PageChoices({}, OFF))).quiet_hours is None


async def test_no_more_mail_means_none_that_may_be_refused(postgres_stores: Stores, pages: PreferencePages, ada: User) -> None:
    """Also of what was allowed by a rule that goes before; push and what is mandatory stay."""
    await _categories(postgres_stores)
    allowed = [
        PreferenceRule(Channel.ANY, "orders", Choice.ALLOW),
        PreferenceRule(Channel.EMAIL, "", Choice.ALLOW, "digest"),
        PreferenceRule(Channel.PUSH, "news", Choice.ALLOW),
    ]
    await postgres_stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(allowed), START)
    page = await pages.save(LINKS.page_token(ada.id), PageChoices({}, refuse_mail=True))
    assert {one.id for one in page.categories if Channel.EMAIL in one.channels and not one.mandatory} == set()
    for category in ("news", "orders", "never-heard-of", ""):
        assert (await _decided(postgres_stores, ada, category))[0] is Decision.SKIP
    (digest,) = await postgres_stores.recipients().resolve_recipients([Query(ada.id, Channel.EMAIL, "orders", template="digest")])
    assert digest.decision is Decision.SKIP
    assert (await _decided(postgres_stores, ada, "legal"))[0] is Decision.SEND
    assert {Channel.PUSH in one.channels for one in page.categories} == {True}


async def test_a_person_with_as_many_rules_as_there_may_be_can_choose_on(
    postgres_stores: Stores, pages: PreferencePages, ada: User
) -> None:
    await _categories(postgres_stores)
    rules = [PreferenceRule(Channel.PUSH, f"c{number}", Choice.DENY) for number in range(MAX_RULES)]
    await postgres_stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(rules), START)
    await pages.save(LINKS.page_token(ada.id), PageChoices({("news", Channel.EMAIL): False}))
    assert (await _decided(postgres_stores, ada, "news"))[0] is Decision.SKIP


async def test_a_link_that_is_none_opens_nothing(pages: PreferencePages, ada: User) -> None:
    """Also one that was cut off, and one whose person is gone."""
    for token in ("", "x", "a" * 400, "ä", LINKS.page_token(ada.id)[:-3], LINKS.page_token(make_user().id)):
        with pytest.raises(LinkInvalid):
            await pages.describe(token)
        with pytest.raises(LinkInvalid):
            await pages.save(token, PageChoices({}, refuse_mail=True))


async def test_a_link_is_made_for_people_of_ones_own_project_and_by_themselves(pages: PreferencePages, ada: User) -> None:
    themselves = Caller(CallerKind.USER, ada.id, user_id=ada.id, project=FIRST_PROJECT)
    assert await pages.create_link(themselves, ada.id)
    with pytest.raises(NotOwner):
        await pages.create_link(themselves, make_user().id)
    with pytest.raises(UserNotFound):
        await pages.create_link(Caller(CallerKind.API_KEY, "key", scopes=frozenset({"users:write"}), project="other"), ada.id)


CHOICES = st.dictionaries(st.tuples(st.sampled_from(["news", "orders", "legal"]), st.sampled_from(CHANNELS)), st.booleans())
RULES = st.lists(
    st.builds(
        PreferenceRule, st.sampled_from(Channel), st.sampled_from(["", "news", "orders"]), st.sampled_from([Choice.ALLOW, Choice.DENY])
    ),
    unique_by=lambda rule: rule.about,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=RULES, choices=CHOICES)
async def test_the_page_shows_what_decides(
    postgres_stores: Stores, database: Database, clock: Clock, rules: list[PreferenceRule], choices: dict[tuple[str, Channel], bool]
) -> None:
    """Whatever rules there are: what is shown as wanted is sent, a choice is shown as it was made, and a second save changes nothing."""
    await _categories(postgres_stores)
    user = make_user(email=None)
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    await postgres_stores.preferences.update(FIRST_PROJECT, user.id, PreferenceChanges(rules), START)
    pages = PreferencePages(
        LINKS,
        PageRepository(database),
        postgres_stores.preferences,
        postgres_stores.policies,
        RuleBook(postgres_stores.policies),
        now=clock,
    )
    token = LINKS.page_token(user.id)
    saved = await pages.save(token, PageChoices(choices))
    assert await pages.save(token, PageChoices(choices)) == saved
    for (category, channel), wanted in choices.items():
        (shown,) = [one for one in saved.categories if one.id == category]
        assert (channel in shown.channels) == wanted or shown.mandatory
        if channel is Channel.PUSH and not shown.mandatory:
            # without a device: refused goes before unreachable
            _, rule = await _decided(postgres_stores, user, category, channel)
            assert (rule == "no_device") == (channel in shown.channels)


async def test_a_brand_is_empty_until_it_is_set(database: Database, clock: Clock) -> None:
    brands = Brands(PageRepository(database), now=clock)
    before = await brands.get_brand(KEY)
    assert (before.name, before.color, before.logo, before.update_time) == ("", "", "", None)
    given = preference_page_pb2.Brand(name="Lovelace Books", color="#1a4fa0", logo=PNG, home_url="https://books.example/")
    made = await brands.update_brand(KEY, brand_change_from_proto(rpc.UpdateBrandRequest(brand=given)), etag=before.etag)
    assert (made.name, made.color, made.logo, made.update_time) == ("Lovelace Books", "#1a4fa0", PNG, START)
    again = await brands.update_brand(KEY, brand_change_from_proto(rpc.UpdateBrandRequest(brand=given)), etag=before.etag)
    assert again.color == "#1a4fa0", "the answer to the first try may have been lost"
    other = preference_page_pb2.Brand(name="Byron Books")
    with pytest.raises(EtagMismatch):
        await brands.update_brand(KEY, brand_change_from_proto(rpc.UpdateBrandRequest(brand=other)), etag=before.etag)
    request = rpc.UpdateBrandRequest(brand=preference_page_pb2.Brand())
    request.update_mask.paths.extend(["logo", "name"])
    changed = await brands.update_brand(KEY, brand_change_from_proto(request))
    assert (changed.name, changed.color, changed.logo) == ("", "#1a4fa0", "")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("color", "#ffff00", "contrast of 1.0 to 1"),
        ("color", "#777777", "contrast of 4.4 to 1"),
        ("logo", "data:image/png;base64,R0lGODlhAQABAAAAACw=", "no png picture"),
        ("logo", "data:image/gif;base64,R0lGODlhA", "base64"),
        ("name", "a\nb", "line breaks"),
        ("name", " \u00a0 ", "must not be blank"),
    ],
)
def test_a_brand_that_people_could_not_read_is_refused(field: str, value: str, words: str) -> None:
    request = rpc.UpdateBrandRequest()
    setattr(request.brand, field, value)
    with pytest.raises(InvalidArgument) as refused:
        brand_change_from_proto(request)
    assert words in str(refused.value.violations)
