"""Facts about recipients: the decision, the batches, and one contract on the fake and on PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from tests.user_svc.conftest import Statements, Stores
from tests.user_svc.factories import START, make_contact, make_device, make_user
from user_svc.devices.models import MAX_DEVICES, Platform
from user_svc.preferences.models import Channel, Choice, PreferenceChanges, PreferenceRule, most_specific
from user_svc.recipients.models import Contact, Decision, Ensured, NewDevice, NewUser, PushTarget, Query, decide
from user_svc.suppressions.models import Hold, Suppression

DEVICE = PushTarget("device", "token")
CATEGORIES = ["", "news", "billing"]
CHANNELS = [Channel.EMAIL, Channel.PUSH]
QUERIES = st.builds(Query, st.just("ada"), st.sampled_from(CHANNELS), st.sampled_from(CATEGORIES), st.booleans())
CONTACTS = st.builds(
    make_contact,
    email=st.sampled_from(["", "ada@example.com"]),
    holds=st.sampled_from([(), (Hold("", "bounce"),)]),
    rules=st.lists(
        st.builds(PreferenceRule, st.sampled_from(Channel), st.sampled_from(CATEGORIES), st.sampled_from([Choice.ALLOW, Choice.DENY])),
        unique_by=lambda rule: (rule.channel, rule.category),
    ).map(tuple),
    devices=st.sampled_from([(), (DEVICE,)]),
)


@given(QUERIES, CONTACTS)
def test_what_is_sent_can_arrive(query: Query, contact: Contact) -> None:
    """SEND means an address that may get e-mail, or a device."""
    decision = decide(query, contact).decision
    if decision is Decision.SEND:
        assert contact.devices if query.channel is Channel.PUSH else contact.email and not contact.holds


@given(QUERIES, CONTACTS)
def test_every_skip_has_its_cause(query: Query, contact: Contact) -> None:
    """The rule that is told is one that really holds."""
    decision, rule, *_ = decide(query, contact)
    chosen = most_specific(contact.rules, query.channel, query.category)
    if decision is Decision.SKIP and rule.startswith("preference:"):
        assert chosen is not None
        assert (rule, chosen.choice, query.mandatory) == (f"preference:{chosen.about}", Choice.DENY, False)
    elif decision is Decision.SKIP:
        causes = {"no_address": not contact.email, "suppression:bounce": bool(contact.holds), "no_device": not contact.devices}
        assert causes[rule]
    elif query.mandatory:
        assert rule == "mandatory"
    else:
        assert rule == (f"preference:{chosen.about}" if chosen else "default")


@given(QUERIES, CONTACTS)
def test_what_must_be_sent_is_stopped_by_no_preference(query: Query, contact: Contact) -> None:
    """A mandatory notification is decided as if the person had never chosen."""
    mandatory = Query(query.user_id, query.channel, query.category, mandatory=True)
    without_rules = make_contact(email=contact.email, holds=contact.holds, devices=contact.devices, rules=())
    assert decide(mandatory, contact) == decide(mandatory, without_rules)


@pytest.mark.parametrize(
    ("query", "contact", "expected"),
    [
        (Query("x", Channel.EMAIL), None, (Decision.NOT_FOUND, "not_found")),
        (Query("x", Channel.EMAIL), make_contact(), (Decision.SEND, "default")),
        (Query("x", Channel.EMAIL, mandatory=True), make_contact(email=""), (Decision.SKIP, "no_address")),
        (Query("x", Channel.EMAIL, mandatory=True), make_contact(holds=(Hold("", "bounce"),)), (Decision.SKIP, "suppression:bounce")),
        (Query("x", Channel.PUSH), make_contact(holds=(Hold("", "bounce"),), devices=(DEVICE,)), (Decision.SEND, "default")),
        (Query("x", Channel.PUSH, mandatory=True), make_contact(), (Decision.SKIP, "no_device")),
    ],
)
def test_the_order_of_the_decision(query: Query, contact: Contact | None, expected: tuple[Decision, str]) -> None:
    """Reachability and suppressions before everything; a suppression is about e-mail only."""
    assert decide(query, contact)[:2] == expected


async def test_answers_come_in_the_order_of_the_questions(stores: Stores) -> None:
    """Repeated people, unknown people and nonsense included."""
    ada = make_user(email="Ada@example.com", locale="pt-BR", timezone="Europe/Paris", name="Ada")
    eve = make_user(email="eve@example.com")
    for user in (ada, eve):
        await stores.users.insert(FIRST_PROJECT, user, None)
    older = await stores.devices.register(FIRST_PROJECT, make_device(ada, "token-1"))
    newer = await stores.devices.register(FIRST_PROJECT, make_device(ada, "token-2"))
    assert older
    assert newer
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges([PreferenceRule(Channel.EMAIL, "news", Choice.DENY)]), START)
    await stores.suppressions.add(FIRST_PROJECT, Suppression("eve@example.com", "complaint", START))
    queries = [
        Query(eve.id, Channel.EMAIL),
        Query(ada.id, Channel.PUSH),
        Query("nonsense", Channel.PUSH),
        Query(ada.id.upper(), Channel.EMAIL, "news"),
        Query(ids.new_id(), Channel.EMAIL),
        Query(ada.id, Channel.EMAIL, "news", mandatory=True),
        Query(eve.id, Channel.PUSH),
    ]
    answers = await stores.recipients().resolve_recipients(queries)
    assert [answer.rule for answer in answers] == [
        "suppression:complaint", "default", "not_found", "preference:email:news", "not_found", "mandatory", "no_device",
    ]  # fmt: skip
    contact = answers[1].contact
    assert contact is not None
    assert [target.token for target in contact.devices] == ["token-2", "token-1"]
    assert (contact.locale, contact.timezone, contact.name, contact.email) == ("pt-BR", "Europe/Paris", "Ada", "Ada@example.com")


async def test_a_suppression_holds_for_the_address_in_any_case(stores: Stores) -> None:
    """It is about the mailbox, not about its spelling."""
    ada = make_user(email="ADA@Example.COM")
    await stores.users.insert(FIRST_PROJECT, ada, None)
    await stores.suppressions.add(FIRST_PROJECT, Suppression("ada@example.com", "bounce", START))
    answers = await stores.recipients().resolve_recipients([Query(ada.id, Channel.EMAIL)])
    assert answers[0].rule == "suppression:bounce"


async def test_an_address_that_a_reviewer_has_set_is_asked_about_in_place_of_the_persons(stores: Stores) -> None:
    """Its own suppressions count, in any case; the person's language and choices stay."""
    ada = make_user(email="ada@example.com", locale="pt-BR")
    await stores.users.insert(FIRST_PROJECT, ada, None)
    await stores.suppressions.add(FIRST_PROJECT, Suppression("ada@example.com", "bounce", START))
    await stores.suppressions.add(FIRST_PROJECT, Suppression("gone@example.com", "complaint", START))
    await stores.preferences.update(FIRST_PROJECT, ada.id, PreferenceChanges([PreferenceRule(Channel.EMAIL, "news", Choice.DENY)]), START)
    queries = [
        Query(ada.id, Channel.EMAIL, email="New@example.com"),
        Query(ada.id, Channel.EMAIL, email="GONE@example.com"),
        Query(ada.id, Channel.EMAIL),
        Query(ada.id, Channel.EMAIL, "news", email="New@example.com"),
        Query(ids.new_id(), Channel.EMAIL, email="New@example.com"),
    ]
    answers = await stores.recipients().resolve_recipients(queries)
    rules = ["default", "suppression:complaint", "suppression:bounce", "preference:email:news", "not_found"]
    assert [answer.rule for answer in answers] == rules
    assert answers[0].contact is not None
    assert (answers[0].contact.email, answers[0].contact.locale) == ("New@example.com", "pt-BR")


async def test_devices_are_read_for_push_only(stores: Stores) -> None:
    """An e-mail needs none."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    await stores.devices.register(FIRST_PROJECT, make_device(ada))
    assert (await stores.contacts.contacts({ada.id: False}))[ada.id].devices == ()
    assert len((await stores.contacts.contacts({ada.id: True}))[ada.id].devices) == 1


async def test_known_people_are_told_as_they_were_asked_for(stores: Stores) -> None:
    """Unknown ids and nonsense are left out."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    recipients = stores.recipients()
    asked = [ada.id.upper(), ids.new_id(), "nonsense", "", ada.id]
    assert sorted(await recipients.check_users(asked)) == sorted([ada.id.upper(), ada.id])
    assert await recipients.check_users([]) == {}


async def test_dead_devices_are_forgotten(stores: Stores) -> None:
    """Unknown ids and nonsense are no error."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    dead = await stores.devices.register(FIRST_PROJECT, make_device(ada, "dead"))
    alive = await stores.devices.register(FIRST_PROJECT, make_device(ada, "alive"))
    assert dead
    recipients = stores.recipients()
    await recipients.remove_devices([dead.id, ids.new_id(), "nonsense"], "UNREGISTERED")
    await recipients.remove_devices([])
    assert await stores.devices.list_newest_first(FIRST_PROJECT, ada.id) == [alive]
    (contact,) = (await stores.contacts.contacts({ada.id: True})).values()
    assert [device.token for device in contact.devices] == ["alive"]


async def test_a_removed_device_leaves_a_tombstone_until_it_registers_again(stores: Stores) -> None:
    """With the provider's reason and the time of the first report."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    device = await stores.devices.register(FIRST_PROJECT, make_device(ada, "phone"))
    assert device
    await stores.recipients().remove_devices([device.id], "UNREGISTERED")
    await stores.recipients().remove_devices([device.id], "INVALID_TOKEN")
    assert await stores.devices.list_newest_first(FIRST_PROJECT, ada.id) == []
    (tombstone,) = await stores.devices.list_newest_first(FIRST_PROJECT, ada.id, removed=True) or ()
    assert tombstone.remove_time is not None
    assert tombstone == replace(device, remove_time=tombstone.remove_time, remove_reason="UNREGISTERED")
    again = await stores.devices.register(FIRST_PROJECT, make_device(ada, "phone"))
    assert again == device
    assert await stores.devices.list_newest_first(FIRST_PROJECT, ada.id) == [device]


async def test_tombstones_take_no_place_of_devices(stores: Stores) -> None:
    """A person whose phone gets a new token each day is not refused one day."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    recipients = stores.recipients()
    for number in range(MAX_DEVICES + 1):
        device = await stores.devices.register(FIRST_PROJECT, make_device(ada, f"token-{number}"))
        assert device
        await recipients.remove_devices([device.id], "UNREGISTERED")
    assert len(await stores.devices.list_newest_first(FIRST_PROJECT, ada.id, removed=True) or ()) >= MAX_DEVICES


@pytest.mark.parametrize("size", [1, 500])
async def test_a_batch_costs_one_statement_whatever_its_size(postgres_stores: Stores, statements: Statements, size: int) -> None:
    """Each of the three batch methods."""
    people = [make_user(email=f"user{number}@example.com") for number in range(3)]
    for user in people:
        await postgres_stores.users.insert(FIRST_PROJECT, user, None)
        await postgres_stores.devices.register(FIRST_PROJECT, make_device(user, user.id))
    asked = [user.id for user in people] + [ids.new_id() for _ in range(size)]
    recipients = postgres_stores.recipients()
    await recipients.resolve_recipients([Query(people[0].id, Channel.PUSH)])  # learns what the project has decided
    for attempt in (
        recipients.resolve_recipients([Query(user_id, Channel.PUSH) for user_id in asked]),
        recipients.check_users(asked),
        recipients.remove_devices(asked),
    ):
        statements.seen.clear()
        await attempt
        assert len(statements.seen) == 1


async def test_the_user_with_an_address_is_found_or_made(stores: Stores) -> None:
    """In any case of letters, each project for itself; who exists stays as they are."""
    ada = make_user(email="Ada@Example.com", name="Ada", locale="pt-BR")
    await stores.users.insert(FIRST_PROJECT, ada, None)
    recipients = stores.recipients()
    wanted = [
        NewUser(FIRST_PROJECT, "ada@example.com", "Eve", "de", ""),
        NewUser(FIRST_PROJECT, "new@example.com", "New", "pt_BR", "Europe/Lisbon"),
        NewUser(FIRST_PROJECT, "NEW@example.com", "Later", "", ""),
    ]
    assert await recipients.ensure_users(wanted, only_existing=True) == [Ensured(ada.id), Ensured(), Ensured()]
    first = await recipients.ensure_users(wanted)
    assert await recipients.ensure_users(wanted, only_existing=True) == first
    assert first[0] == Ensured(ada.id)
    assert first[1] == first[2] != first[0]
    assert await recipients.ensure_users(wanted) == first
    assert await stores.users.find(FIRST_PROJECT, ada.id) == ada
    made = await stores.users.find(FIRST_PROJECT, first[1].user_id)
    assert made is not None
    assert (made.email, made.name, made.locale, made.timezone) == ("new@example.com", "New", "pt-BR", "Europe/Lisbon")
    assert await recipients.ensure_users([]) == []
    for bad in (NewUser(FIRST_PROJECT, "nonsense", "", "", ""), NewUser(FIRST_PROJECT, "a@example.com", "", "xx-", "")):
        with pytest.raises(InvalidArgument, match=r"users\[0\]\."):
            await recipients.ensure_users([bad])


async def test_many_who_ask_at_once_for_one_address_get_one_person(postgres_stores: Stores) -> None:
    recipients = postgres_stores.recipients()
    batches = [[NewUser(FIRST_PROJECT, f"p{number}@example.com", "", "", "") for number in range(turn, turn + 20)] for turn in range(20)]
    answers = await asyncio.gather(*map(recipients.ensure_users, batches))
    by_address: dict[str, set[Ensured]] = {}
    for batch, answer in zip(batches, answers, strict=True):
        for user, identifier in zip(batch, answer, strict=True):
            by_address.setdefault(user.email, set()).add(identifier)
    assert {len(found) for found in by_address.values()} == {1}


async def test_the_user_with_a_device_is_found_or_made_with_it(stores: Stores) -> None:
    """Each project for itself; a removed device stays removed, also for a send."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    phone = make_device(ada, token="adas-phone")
    await stores.devices.register(FIRST_PROJECT, phone)
    recipients = stores.recipients()
    device = NewDevice(FIRST_PROJECT, "new-phone", Platform.WEB, "New", "pt_BR", "Europe/Lisbon")
    wanted: list[NewUser | NewDevice] = [
        NewDevice(FIRST_PROJECT, "adas-phone", Platform.IOS, "Eve", "de", ""),
        device,
        NewDevice(FIRST_PROJECT, "new-phone", Platform.IOS, "Later", "", ""),
        NewUser(FIRST_PROJECT, "bob@example.com", "", "", ""),
    ]
    assert await recipients.ensure_users(wanted[:2], only_existing=True) == [Ensured(ada.id, phone.id), Ensured()]
    first = await recipients.ensure_users(wanted)
    assert first == await recipients.ensure_users(wanted)
    assert (first[0], first[1], first[3].device_id) == (Ensured(ada.id, phone.id), first[2], "")
    made = await stores.users.find(FIRST_PROJECT, first[1].user_id)
    assert made is not None
    assert (made.email, made.name, made.locale, made.timezone) == ("", "New", "pt-BR", "Europe/Lisbon")
    assert await stores.users.find_by_device(FIRST_PROJECT, device.key.sha256) == made
    assert await stores.users.find_by_device("other", device.key.sha256) is None
    (registered,) = await stores.devices.list_newest_first(FIRST_PROJECT, made.id) or ()
    assert (registered.id, registered.platform) == (first[1].device_id, Platform.WEB)
    await recipients.remove_devices([registered.id], "UNREGISTERED")
    assert await recipients.ensure_users(wanted[1:2]) == [first[1]]
    query = Query(made.id, Channel.PUSH, device_ids=(registered.id,))
    (answer,) = await recipients.resolve_recipients([query])
    assert (answer.decision, answer.rule) == (Decision.SKIP, "no_device")


async def test_a_question_about_one_device_is_answered_with_that_one(stores: Stores) -> None:
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    phones = [make_device(ada, token=f"phone-{number}") for number in range(3)]
    for phone in phones:
        await stores.devices.register(FIRST_PROJECT, phone)
    queries = [
        Query(ada.id, Channel.PUSH, device_ids=(phones[1].id,)),
        Query(ada.id, Channel.PUSH),
        Query(ada.id, Channel.PUSH, device_ids=(ids.new_id(),)),
    ]
    one, every, none = await stores.recipients().resolve_recipients(queries)
    assert one.contact is not None
    assert [device.token for device in one.contact.devices] == ["phone-1"]
    assert every.contact is not None
    assert (len(every.contact.devices), none.rule) == (3, "no_device")


async def test_many_who_ask_at_once_for_one_device_get_one_person(postgres_stores: Stores) -> None:
    recipients = postgres_stores.recipients()
    batches = [
        [NewDevice(FIRST_PROJECT, f"p{number}", Platform.UNSPECIFIED, "", "", "") for number in range(turn, turn + 20)]
        for turn in range(20)
    ]
    answers = await asyncio.gather(*map(recipients.ensure_users, batches))
    by_token: dict[str, set[Ensured]] = {}
    for batch, answer in zip(batches, answers, strict=True):
        for device, found in zip(batch, answer, strict=True):
            by_token.setdefault(device.token, set()).add(found)
    assert {len(found) for found in by_token.values()} == {1}
    # and no one is left who was made for nothing
    assert len(await postgres_stores.users.list_newest_first(FIRST_PROJECT, "", None, 200)) == len(by_token)
