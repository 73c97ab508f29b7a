"""Facts about suppressions: the rules, and one contract on the fake and on PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.ids import new_id
from mesh.stores.database import Database
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock, make_user
from tests.waiting import until_answered
from user_svc.preferences.models import Channel
from user_svc.recipients.models import Query
from user_svc.suppressions.errors import SuppressionNotFound, TooManyCategories
from user_svc.suppressions.models import MAX_CATEGORIES, Hold, hold_on
from user_svc.suppressions.use_cases import Suppressions


@pytest.fixture
def suppressions(stores: Stores, clock: Clock) -> Suppressions:
    """The rules over either store."""
    return Suppressions(stores.suppressions, now=clock)


async def test_an_address_is_kept_in_lower_case_with_a_reason(suppressions: Suppressions) -> None:
    """Without one it is "manual"."""
    entry = await suppressions.create_suppression(FIRST_PROJECT, "Ada@Example.com", "")
    assert (entry.address, entry.reason, entry.create_time) == ("ada@example.com", "manual", START)


async def test_the_first_entry_of_an_address_stays(suppressions: Suppressions, clock: Clock) -> None:
    """A bounce is not forgotten because somebody adds the address by hand."""
    first = await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "bounce")
    clock.advance(days=1)
    assert await suppressions.create_suppression(FIRST_PROJECT, "ADA@example.com", "manual") == first


async def test_pages_run_in_the_order_of_the_address(suppressions: Suppressions) -> None:
    """By code point, on every machine."""
    for name in ("b", "a-1", "a.1", "a1", "_a"):
        await suppressions.create_suppression(FIRST_PROJECT, f"{name}@example.com", "bounce")
    seen, token = [], ""
    for _ in range(3):
        page = await suppressions.list_suppressions(FIRST_PROJECT, 2, token)
        seen += [entry.address for entry in page.items]
        token = page.next_token
    assert seen == sorted(seen)
    assert (len(seen), token) == (5, "")


async def test_one_address_is_looked_up(suppressions: Suppressions) -> None:
    """In any case; one that is not suppressed is an empty page."""
    entry = await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "bounce")
    assert (await suppressions.list_suppressions(FIRST_PROJECT, 0, "", "Ada@Example.com")).items == (entry,)
    assert (await suppressions.list_suppressions(FIRST_PROJECT, 0, "", "bob@example.com")).items == ()
    assert (await suppressions.list_suppressions("other", 0, "", "ada@example.com")).items == ()


async def test_a_deleted_address_is_gone(suppressions: Suppressions) -> None:
    """In any case; deleting it again is told."""
    await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "bounce")
    await suppressions.delete_suppression(FIRST_PROJECT, "ADA@EXAMPLE.COM")
    assert (await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items == ()
    with pytest.raises(SuppressionNotFound):
        await suppressions.delete_suppression(FIRST_PROJECT, "ada@example.com")


async def test_what_is_no_address_or_reason_is_refused(suppressions: Suppressions) -> None:
    """By the field's name."""
    with pytest.raises(InvalidArgument, match="address"):
        await suppressions.create_suppression(FIRST_PROJECT, "ada\r\n@example.com", "")
    with pytest.raises(InvalidArgument, match="address"):
        await suppressions.delete_suppression(FIRST_PROJECT, "nul\0@example.com")
    with pytest.raises(InvalidArgument, match="reason"):
        await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "Hard Bounce")


async def test_a_bounce_is_kept_with_its_evidence(suppressions: Suppressions) -> None:
    """The mail server's reply says why the address gets no mail."""
    await suppressions.create_suppression(FIRST_PROJECT, "gone@example.com", "bounce", "SMTP_550 5.1.1 No such user")
    (entry,) = (await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items
    assert (entry.reason, entry.evidence) == ("bounce", "SMTP_550 5.1.1 No such user")


ADDRESS = "ada@example.com"
DAY = timedelta(days=1)


async def test_an_entry_for_a_category_stands_beside_others(suppressions: Suppressions) -> None:
    """Each is listed, looked up and removed by itself, in the order of the address and then of the category."""
    for address, category in ((ADDRESS, "news"), ("bob@example.com", ""), (ADDRESS, ""), (ADDRESS, "billing")):
        await suppressions.create_suppression(FIRST_PROJECT, address, "manual", category=category)
    seen, token = [], ""
    for _ in range(4):
        page = await suppressions.list_suppressions(FIRST_PROJECT, 1, token)
        seen += [(entry.address, entry.category) for entry in page.items]
        token = page.next_token
    assert (seen, token) == ([(ADDRESS, ""), (ADDRESS, "billing"), (ADDRESS, "news"), ("bob@example.com", "")], "")
    await suppressions.delete_suppression(FIRST_PROJECT, ADDRESS)
    await suppressions.delete_suppression(FIRST_PROJECT, "ADA@example.com", "news")
    left = await suppressions.list_suppressions(FIRST_PROJECT, 0, "", ADDRESS)
    assert [entry.category for entry in left.items] == ["billing"]
    with pytest.raises(SuppressionNotFound):
        await suppressions.delete_suppression(FIRST_PROJECT, ADDRESS, "news")
    with pytest.raises(SuppressionNotFound):
        await suppressions.delete_suppression("other", ADDRESS, "billing")


async def test_the_pages_of_one_address_go_on_where_the_last_one_ended(suppressions: Suppressions) -> None:
    """And hold no other address."""
    for address in ("abe@example.com", ADDRESS, "bob@example.com"):
        for category in ("", "a", "b"):
            await suppressions.create_suppression(FIRST_PROJECT, address, "manual", category=category)
    first = await suppressions.list_suppressions(FIRST_PROJECT, 2, "", ADDRESS)
    second = await suppressions.list_suppressions(FIRST_PROJECT, 2, first.next_token, ADDRESS)
    assert [(entry.address, entry.category) for entry in (*first.items, *second.items)] == [(ADDRESS, ""), (ADDRESS, "a"), (ADDRESS, "b")]
    assert not second.next_token


@pytest.mark.parametrize("category", ["", "news"])
async def test_what_lasts_longer_takes_the_place_of_what_ends(suppressions: Suppressions, clock: Clock, category: str) -> None:
    """A complaint for good is not lost because the address was paused for a week; a pause does not end a complaint."""

    async def add(reason: str, end: datetime | None) -> tuple[str, datetime, datetime | None]:
        entry = await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, reason, "seen", category=category, expire_time=end)
        return entry.reason, entry.create_time, entry.expire_time

    paused = await add("manual", START + 7 * DAY)
    clock.advance(days=1)
    assert await add("bounce", START + 6 * DAY) == paused == ("manual", START, START + 7 * DAY)
    assert await add("bounce", START + 8 * DAY) == ("bounce", START + DAY, START + 8 * DAY)
    forever = await add("complaint", None)
    assert forever == ("complaint", START + DAY, None)
    assert await add("manual", None) == await add("manual", START + 9 * DAY) == forever


@pytest.mark.parametrize("category", ["", "news"])
async def test_what_has_ended_is_gone(suppressions: Suppressions, clock: Clock, category: str) -> None:
    """It is listed no more, from that moment on, and is deleted later; another one may come after it."""
    end = START + DAY
    await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "manual", category=category, expire_time=end)
    await suppressions.create_suppression(FIRST_PROJECT, "bob@example.com", "bounce", category=category)
    await suppressions.forget_ended()
    assert len((await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items) == 2
    clock.advance(days=1)
    assert [entry.address for entry in (await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items] == ["bob@example.com"]
    again = await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "bounce", category=category, expire_time=end + DAY)
    assert (again.reason, again.create_time) == ("bounce", end)
    clock.advance(days=2)
    await suppressions.forget_ended()
    with pytest.raises(SuppressionNotFound):
        await suppressions.delete_suppression(FIRST_PROJECT, ADDRESS, category)
    assert len((await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items) == 1


async def test_an_end_that_is_past_and_what_is_no_category_are_refused(suppressions: Suppressions) -> None:
    """By the field's name."""
    with pytest.raises(InvalidArgument, match="expire_time: must be in the future"):
        await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "", expire_time=START)
    with pytest.raises(InvalidArgument, match="category"):
        await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "", category="News")
    with pytest.raises(InvalidArgument, match="category"):
        await suppressions.delete_suppression(FIRST_PROJECT, ADDRESS, "nul\0")


async def test_an_address_has_a_bounded_number_of_categories(suppressions: Suppressions) -> None:
    """All of them are read for each mail; one that is there may come again."""
    for number in range(MAX_CATEGORIES):
        await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "", category=f"c{number}")
    with pytest.raises(TooManyCategories):
        await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "", category="one-more")
    await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "", category="c0")
    await suppressions.create_suppression(FIRST_PROJECT, ADDRESS, "")
    entries = (await suppressions.list_suppressions(FIRST_PROJECT, 200, "", ADDRESS)).items
    assert "one-more" not in {entry.category for entry in entries}
    assert len(entries) == MAX_CATEGORIES + 1


async def test_the_scope_and_the_end_decide(stores: Stores, suppressions: Suppressions) -> None:
    """Also for what must be sent, for an address that stands in for the person's, and as of the time that is asked about."""
    ada = make_user(email="Ada@example.com")
    await stores.users.insert(FIRST_PROJECT, ada, None)
    for address in (ADDRESS, "other@example.com"):
        await suppressions.create_suppression(FIRST_PROJECT, address, "complaint", category="news")
        await suppressions.create_suppression(FIRST_PROJECT, address, "bounce", expire_time=START + DAY)
    later = START + DAY
    queries = [
        Query(ada.id, Channel.EMAIL, category, mandatory=mandatory, email=email, at=at)
        for email in ("", "Other@example.com")
        for category, mandatory, at in (("news", False, None), ("news", True, later), ("billing", False, None), ("billing", False, later))
    ]
    queries.append(Query(ada.id, Channel.PUSH, "news"))
    answers = await stores.recipients().resolve_recipients(queries)
    expected = ["suppression:bounce", "suppression:complaint:news", "suppression:bounce", "default"]
    assert [answer.rule for answer in answers] == [*expected, *expected, "no_device"]


ENDS = st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  Hypothesis adds the zone
HOLDS = st.lists(
    st.builds(Hold, st.sampled_from(["", "news", "billing"]), st.just("bounce"), ENDS), max_size=3, unique_by=lambda one: one.category
)


@given(HOLDS, st.sampled_from(["", "news", "other"]), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  as above
def test_mail_is_held_while_an_entry_of_its_scope_lasts(holds: list[Hold], category: str, now: datetime) -> None:
    """And by no entry of another category."""
    lasting = {hold.category for hold in holds if hold.expire_time is None or now < hold.expire_time}
    found = hold_on(holds, category, now)
    assert (found is not None) == bool(lasting & {"", category})
    assert found is None or (found in holds and found.category == ("" if "" in lasting else category))


async def test_a_bounce_may_end_by_itself_and_comes_back_with_the_next_one(stores: Stores, clock: Clock) -> None:
    """A complaint does not, nor does what someone has listed for good."""
    suppressions = Suppressions(stores.suppressions, now=clock, bounce_days=30)
    await suppressions.suppress(FIRST_PROJECT, "full@example.com", "bounce", "550 5.1.1")
    await suppressions.suppress(FIRST_PROJECT, "angry@example.com", "complaint", "abuse")
    await suppressions.create_suppression(FIRST_PROJECT, "never@example.com", "manual")
    await suppressions.suppress(FIRST_PROJECT, "never@example.com", "bounce", "550 5.1.1")

    async def held() -> dict[str, datetime | None]:
        page = await suppressions.list_suppressions(FIRST_PROJECT, 0, "")
        return {entry.address.partition("@")[0]: entry.expire_time for entry in page.items}

    assert await held() == {"full": START + timedelta(days=30), "angry": None, "never": None}
    clock.advance(days=20)
    await suppressions.suppress(FIRST_PROJECT, "full@example.com", "bounce", "550 5.1.1")  # of a mail that was on its way
    assert (await held())["full"] == START + timedelta(days=50)
    clock.advance(days=31)
    assert {*await held()} == {"angry", "never"}
    await suppressions.suppress(FIRST_PROJECT, "full@example.com", "bounce", "550 5.1.1")
    assert (await held())["full"] == START + timedelta(days=81)


async def test_a_bounce_stays_where_nothing_else_is_set(suppressions: Suppressions) -> None:
    await suppressions.suppress(FIRST_PROJECT, "gone@example.com", "bounce", "550 5.1.1")
    [entry] = (await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items
    assert (entry.expire_time, entry.evidence) == (None, "550 5.1.1")


async def test_a_report_about_who_is_gone_puts_nothing_on_the_list(stores: Stores, suppressions: Suppressions) -> None:
    """Or who is another project's."""
    user = make_user(email="ada@example.com")
    await stores.users.insert(FIRST_PROJECT, user, None)
    for project, of in ((FIRST_PROJECT, new_id()), ("other", user.id)):
        await suppressions.suppress(project, "ada@example.com", "bounce", "550 5.1.1", of=of)
        assert (await suppressions.list_suppressions(project, 0, "")).items == ()
    await suppressions.suppress(FIRST_PROJECT, "ada@example.com", "bounce", "550 5.1.1", of=user.id)
    assert len((await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items) == 1


async def waits_for_a_lock(database: Database) -> bool:
    async with database.connect() as connection:
        return bool((await connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one())


@pytest.mark.processes
async def test_a_report_that_comes_while_its_person_is_being_erased_leaves_nothing(postgres_stores: Stores, database: Database) -> None:
    """It waits for the erasure, and finds no one then."""
    user, rules = make_user(email="ada@example.com"), Suppressions(postgres_stores.suppressions, now=lambda: START)
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM users WHERE id = CAST(:id AS uuid)"), {"id": user.id})
        reporting = asyncio.create_task(rules.suppress(FIRST_PROJECT, "ada@example.com", "bounce", "550 5.1.1", of=user.id))
        await until_answered(lambda: waits_for_a_lock(database))
    await reporting
    assert (await rules.list_suppressions(FIRST_PROJECT, 0, "")).items == ()
