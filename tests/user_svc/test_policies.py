"""Facts about what projects decide for their people: one contract on the fakes and on PostgreSQL."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial

import pytest
from sqlalchemy import text

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.etag import EtagMismatch
from mesh.stores.database import Database
from mesh.testing import caller
from tests.user_svc.conftest import Stores, nowhere
from tests.user_svc.factories import START, Clock, make_device, make_user
from user_svc.policies.errors import CategoryExists, CategoryNotFound
from user_svc.policies.models import MOST_CATEGORIES, Category, CategoryText, DeliveryPolicy, FrequencyLimit
from user_svc.policies.use_cases import Policies, RuleBook
from user_svc.preferences.errors import CategoryMandatory
from user_svc.preferences.models import Channel, Choice, PreferenceChanges, PreferenceRule
from user_svc.preferences.quiet_hours import OFF, QuietHours
from user_svc.preferences.use_cases import PreferenceBook
from user_svc.recipients.models import Decision, Ended, Query
from user_svc.recipients.use_cases import Recipients
from user_svc.users.models import User

OPERATOR = caller("policies:read", "policies:write", "users:write", "users:read")
NIGHT = QuietHours(time(22), time(7))
THREE_A_DAY = FrequencyLimit(3, timedelta(days=1))
MIDNIGHT, NOON = datetime(2031, 5, 1, 0, 0, tzinfo=UTC), datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
NO_NEWS = PreferenceRule(Channel.ANY, "news", Choice.DENY)


def category(identifier: str, *, mandatory: bool = False, limit: FrequencyLimit | None = None) -> Category:
    return Category(identifier, {"en": CategoryText("News", "What is new")}, mandatory, limit, START, START)


@pytest.fixture
def policies(stores: Stores, clock: Clock) -> Policies:
    """The rules over either store."""
    return Policies(stores.policies, RuleBook(stores.policies), now=clock)


@pytest.fixture
async def ada(stores: Stores) -> User:
    """Lives in UTC and can be reached by e-mail and push."""
    user = make_user(email="ada@example.com", timezone="UTC")
    await stores.users.insert(FIRST_PROJECT, user, None)
    assert await stores.devices.register(FIRST_PROJECT, make_device(user))
    return user


async def test_a_policy_is_empty_until_it_is_set_and_changes_part_by_part(policies: Policies) -> None:
    empty = await policies.get_policy(OPERATOR)
    assert empty == DeliveryPolicy()
    first = await policies.update_policy(OPERATOR, lambda policy: replace(policy, rules=(NO_NEWS,)), etag=empty.etag)
    second = await policies.update_policy(OPERATOR, lambda policy: replace(policy, quiet_hours=NIGHT), etag=first.etag)
    assert (second.rules, second.quiet_hours) == ((NO_NEWS,), NIGHT)
    assert await policies.get_policy(OPERATOR) == second
    with pytest.raises(EtagMismatch):
        await policies.update_policy(OPERATOR, lambda policy: replace(policy, rules=()), etag=first.etag)
    again = await policies.update_policy(OPERATOR, lambda policy: replace(policy, quiet_hours=NIGHT), etag=first.etag)
    assert again.quiet_hours == NIGHT, "the answer to the first try may have been lost"


async def test_rules_that_contradict_each_other_or_decide_nothing_are_refused(policies: Policies) -> None:
    for rules in ((NO_NEWS, replace(NO_NEWS, choice=Choice.ALLOW)), (replace(NO_NEWS, choice=Choice.INHERIT),)):
        bad = DeliveryPolicy(rules)
        with pytest.raises(InvalidArgument, match=r"policy\.rules\["):
            await policies.update_policy(OPERATOR, partial(_instead, bad))
    assert await policies.get_policy(OPERATOR) == DeliveryPolicy()


def _instead(policy: DeliveryPolicy, present: DeliveryPolicy) -> DeliveryPolicy:
    return policy


async def test_categories_are_made_changed_listed_and_removed(policies: Policies, clock: Clock) -> None:
    made = [await policies.create_category(OPERATOR, category(name)) for name in ("news", "billing")]
    with pytest.raises(CategoryExists):
        await policies.create_category(OPERATOR, category("news"))
    clock.advance(minutes=1)
    changed = await policies.update_category(OPERATOR, "news", lambda old: replace(old, limit=THREE_A_DAY), etag=made[0].etag)
    assert (changed.limit, changed.create_time, changed.update_time) == (THREE_A_DAY, made[0].create_time, clock.now)
    assert await policies.get_category(OPERATOR, "news") == changed
    with pytest.raises(EtagMismatch):
        await policies.update_category(OPERATOR, "news", lambda old: replace(old, limit=None), etag=made[0].etag)
    clock.advance(minutes=1)
    again = await policies.update_category(OPERATOR, "news", lambda old: replace(old, limit=THREE_A_DAY), etag=made[0].etag)
    assert again.limit == THREE_A_DAY, "the answer to the first try may have been lost"
    page = await policies.list_categories(OPERATOR, 1, "")
    rest = await policies.list_categories(OPERATOR, 1, page.next_token)
    assert [one.id for one in (*page.items, *rest.items)] == ["billing", "news"]
    for _ in range(2):
        await policies.delete_category(OPERATOR, "news")
    for missing in ("news", "\0"):
        with pytest.raises(CategoryNotFound):
            await policies.get_category(OPERATOR, missing)
        with pytest.raises(CategoryNotFound):
            await policies.update_category(OPERATOR, missing, lambda old: old)


@pytest.mark.processes
async def test_a_project_has_so_many_categories_at_most(postgres_stores: Stores, database: Database, clock: Clock) -> None:
    """Also where several come at the same time. One whose id is taken is said to be there, as ever."""
    policies = Policies(postgres_stores.policies, RuleBook(postgres_stores.policies), now=clock)
    await policies.create_category(OPERATOR, category("news"))
    fill = """INSERT INTO categories (project, id, texts, mandatory, create_time, update_time)
        SELECT project, 'c-' || n, texts, mandatory, create_time, update_time FROM categories, generate_series(3, :most) n"""
    async with database.begin() as connection:
        await connection.execute(text(fill), {"most": MOST_CATEGORIES})
    asked = [policies.create_category(OPERATOR, category(f"last-{number}")) for number in range(4)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(getattr(result, "reason", "") for result in results) == ["", *["CATEGORIES_FULL"] * 3]
    with pytest.raises(CategoryExists):
        await policies.create_category(OPERATOR, category("news"))
    await policies.delete_category(OPERATOR, "news")
    await policies.create_category(OPERATOR, category("news"))


async def test_a_persons_own_rule_stands_before_the_projects(stores: Stores, policies: Policies, ada: User) -> None:
    """Whichever is more specific: what a project decides is for those who have not chosen."""
    await policies.update_policy(OPERATOR, lambda policy: replace(policy, rules=(NO_NEWS, PreferenceRule(Channel.PUSH, "", Choice.DENY))))
    recipients = stores.recipients()
    queries = [
        Query(ada.id, Channel.EMAIL, "news"),
        Query(ada.id, Channel.PUSH, "other"),
        Query(ada.id, Channel.EMAIL, "news", mandatory=True),
    ]
    answers = await recipients.resolve_recipients(queries)
    assert [(answer.decision, answer.rule) for answer in answers] == [
        (Decision.SKIP, "policy:*:news"), (Decision.SKIP, "policy:push:*"), (Decision.SEND, "mandatory"),
    ]  # fmt: skip
    everything = PreferenceRule(Channel.ANY, "", Choice.ALLOW)
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges([everything]), START)
    assert {answer.rule for answer in (await recipients.resolve_recipients(queries))[:2]} == {"preference:*:*"}


async def test_a_rule_may_be_about_one_template(stores: Stores, ada: User) -> None:
    """It weighs more than one about the category."""
    rules = [NO_NEWS, PreferenceRule(Channel.ANY, "", Choice.ALLOW, "weekly"), PreferenceRule(Channel.EMAIL, "", Choice.DENY, "daily")]
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(rules), START)
    found = await stores.preferences.find(FIRST_PROJECT, ada.id)
    assert found is not None
    assert set(found.rules) == set(rules)
    queries = [
        Query(ada.id, Channel.EMAIL, "news", template="weekly"),
        Query(ada.id, Channel.EMAIL, "news", template="daily"),
        Query(ada.id, Channel.PUSH, "news", template="daily"),
        Query(ada.id, Channel.PUSH, "other", template="daily"),
    ]
    answers = await stores.recipients().resolve_recipients(queries)
    assert [answer.rule for answer in answers] == [
        "preference:*:template:weekly", "preference:email:template:daily", "preference:*:news", "default",
    ]  # fmt: skip


async def test_what_is_mandatory_is_sent_whatever_was_chosen_and_can_not_be_refused(
    stores: Stores, policies: Policies, ada: User, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """And making it so is on record, with who did it."""
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges([NO_NEWS]), START)
    with caplog.at_level(logging.INFO):
        await policies.create_category(OPERATOR, category("news", mandatory=True))
    assert [getattr(record, "category", "") for record in caplog.records if "mandatory" in record.getMessage()] == ["news"]
    (answer,) = await stores.recipients(lambda: MIDNIGHT).resolve_recipients([Query(ada.id, Channel.EMAIL, "news")])
    assert (answer.decision, answer.rule) == (Decision.SEND, "mandatory")
    book = PreferenceBook(stores.preferences, RuleBook(stores.policies), now=clock)
    assert (await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS]))).rules == (NO_NEWS,), "written back as it was"
    with pytest.raises(CategoryMandatory, match="news"):
        await book.update_preferences(OPERATOR, ada.id, PreferenceChanges([NO_NEWS, replace(NO_NEWS, channel=Channel.PUSH)]))
    allowed = PreferenceChanges([replace(NO_NEWS, choice=Choice.INHERIT)])
    assert (await book.update_preferences(OPERATOR, ada.id, allowed)).rules == ()


async def test_what_is_not_urgent_waits_for_the_end_of_quiet_hours(stores: Stores, policies: Policies, ada: User) -> None:
    """The person's own stand before the project's, and none of them before what must be sent."""
    await policies.update_policy(OPERATOR, lambda policy: replace(policy, quiet_hours=NIGHT))
    asked = [
        Query(ada.id, Channel.EMAIL),
        Query(ada.id, Channel.EMAIL, urgent=True),
        Query(ada.id, Channel.EMAIL, mandatory=True),
        Query(ada.id, Channel.EMAIL, at=NOON),
    ]
    night = stores.recipients(lambda: MIDNIGHT)
    answers = await night.resolve_recipients(asked)
    assert [answer.rule for answer in answers] == ["quiet_hours:22:00-07:00", "default", "mandatory", "default"]
    assert (answers[0].decision, answers[0].verdict.wait) == (Decision.DEFER, timedelta(hours=7))
    for hours, rule in (
        (QuietHours(time(11), time(13)), "default"),
        (OFF, "default"),
        (QuietHours(time(23), time(1)), "quiet_hours:23:00-01:00"),
    ):
        changed = await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(quiet_hours=hours), START)
        assert changed is not None
        assert changed.quiet_hours == hours
        assert (await night.resolve_recipients(asked))[0].rule == rule
    inherited = await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges(inherit_quiet_hours=True), START)
    assert inherited is not None
    assert inherited.quiet_hours is None
    assert (await night.resolve_recipients(asked))[0].decision is Decision.DEFER


async def test_a_refusal_decides_before_quiet_hours_do(stores: Stores, policies: Policies, ada: User) -> None:
    """What is not sent in the morning either does not wait for it."""
    await policies.update_policy(OPERATOR, lambda policy: replace(policy, quiet_hours=NIGHT, rules=(NO_NEWS,)))
    (answer,) = await stores.recipients(lambda: MIDNIGHT).resolve_recipients([Query(ada.id, Channel.EMAIL, "news")])
    assert (answer.decision, answer.rule) == (Decision.SKIP, "policy:*:news")


async def test_a_category_has_enough_at_its_limit(stores: Stores, policies: Policies, ada: User) -> None:
    """A notification counts once, however often it is asked about; a look counts for nothing; test keys count apart."""
    await policies.create_category(OPERATOR, category("news", limit=THREE_A_DAY))
    recipients = stores.recipients()
    named = [Query(ada.id, Channel.EMAIL, "news", notification_id=ids.new_id()) for _ in range(5)]
    look, others = Query(ada.id, Channel.EMAIL, "news"), Query(ada.id, Channel.EMAIL, "other", notification_id=ids.new_id())
    first = await recipients.resolve_recipients([look, *named[:2], named[0], look])
    assert {answer.decision for answer in first} == {Decision.SEND}
    second = await recipients.resolve_recipients([*named, look, others])
    assert [answer.decision for answer in second] == [Decision.SEND] * 3 + [Decision.SKIP] * 3 + [Decision.SEND]
    assert second[3].rule == "limit:news:3/86400s"
    again = await recipients.resolve_recipients(named)
    assert [answer.decision for answer in again] == [Decision.SEND] * 3 + [Decision.SKIP] * 2
    (mandatory,) = await recipients.resolve_recipients([Query(ada.id, Channel.EMAIL, "news", mandatory=True)])
    (of_a_test,) = await recipients.resolve_recipients([replace(named[4], test=True)])
    assert (mandatory.decision, of_a_test.decision) == (Decision.SEND, Decision.SEND)


async def test_what_ended_unsent_leaves_room_for_another(stores: Stores, policies: Policies, ada: User) -> None:
    """That one only, of that person only, and once however often it is said."""
    await policies.create_category(OPERATOR, category("news", limit=THREE_A_DAY))
    recipients = stores.recipients()
    named = [Query(ada.id, Channel.EMAIL, "news", notification_id=ids.new_id()) for _ in range(5)]
    assert [answer.decision for answer in await recipients.resolve_recipients(named)] == [Decision.SEND] * 3 + [Decision.SKIP] * 2
    gone, stranger = named[0].notification_id, ids.new_id()
    for user_id, notification_id in ((ada.id.upper(), gone), (ada.id, gone), (ada.id, ids.new_id()), (stranger, named[1].notification_id)):
        await recipients.uncount([Ended(user_id, notification_id), Ended("x", "y")])
    again = await recipients.resolve_recipients(named[1:])
    assert [answer.decision for answer in again] == [Decision.SEND] * 3 + [Decision.SKIP]


async def test_a_look_at_a_later_time_counts_what_counts_then(postgres_stores: Stores, clock: Clock) -> None:
    policies, ada = Policies(postgres_stores.policies, RuleBook(postgres_stores.policies), now=clock), make_user(email="ada@example.com")
    await policies.create_category(OPERATOR, category("news", limit=FrequencyLimit(1, timedelta(days=1))))
    await postgres_stores.users.insert(FIRST_PROJECT, ada, None)
    recipients = postgres_stores.recipients()
    await recipients.resolve_recipients([Query(ada.id, Channel.EMAIL, "news", notification_id=ids.new_id())])
    later = [datetime.now(UTC) + timedelta(hours=hours) for hours in (0, 23, 25)]
    answers = await recipients.resolve_recipients([Query(ada.id, Channel.EMAIL, "news", at=at) for at in later])
    assert [answer.decision for answer in answers] == [Decision.SKIP, Decision.SKIP, Decision.SEND]


async def test_a_limit_is_exact_however_many_ask_at_once(postgres_stores: Stores, clock: Clock) -> None:
    """1,000 notifications to two people in batches side by side, each batch asked for twice."""
    policies = Policies(postgres_stores.policies, RuleBook(postgres_stores.policies), now=clock)
    limit = FrequencyLimit(17, timedelta(days=1))
    await policies.create_category(OPERATOR, category("news", limit=limit))
    people = [make_user(email=f"user{number}@example.com") for number in range(2)]
    for user in people:
        await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    queries = [Query(people[number % 2].id, Channel.EMAIL, "news", notification_id=ids.new_id()) for number in range(1000)]
    batches = [queries[first : first + 50] for first in range(0, 1000, 50)] * 2
    recipients = [postgres_stores.recipients() for _ in range(2)]
    answers = await asyncio.gather(*(recipients[index % 2].resolve_recipients(batch) for index, batch in enumerate(batches)))
    sent = {
        (query.user_id, query.notification_id)
        for batch, answered in zip(batches, answers, strict=True)
        for query, answer in zip(batch, answered, strict=True)
        if answer.decision is Decision.SEND
    }
    assert sorted(user_id for user_id, _ in sent) == sorted([user.id for user in people] * limit.count)


async def test_another_projects_decisions_hold_for_its_own_people(stores: Stores, policies: Policies, ada: User) -> None:
    elsewhere = replace(OPERATOR, project="other")
    assert await policies.get_policy(elsewhere) == DeliveryPolicy()
    await policies.create_category(OPERATOR, category("news", mandatory=True))
    with pytest.raises(CategoryNotFound):
        await policies.get_category(elsewhere, "news")
    assert (await policies.list_categories(elsewhere, 0, "")).items == ()


async def test_what_another_process_decides_holds_within_a_second(stores: Stores, policies: Policies, ada: User) -> None:
    """And what this one decides at once."""
    now_s = [0.0]
    elsewhere = Recipients(stores.contacts, RuleBook(stores.policies, clock=lambda: now_s[0]), audit=nowhere, now=lambda: NOON)
    query = [Query(ada.id, Channel.EMAIL, "news")]
    assert (await elsewhere.resolve_recipients(query))[0].rule == "default"
    await policies.update_policy(OPERATOR, lambda policy: replace(policy, rules=(NO_NEWS,)))
    now_s[0] = 1.1
    assert (await elsewhere.resolve_recipients(query))[0].rule == "policy:*:news"
