"""The ids of the caller's own system, in memory and in PostgreSQL."""

import asyncio
from collections.abc import Collection

import pytest

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.etag import EtagMismatch
from mesh.testing import caller
from tests.user_svc.conftest import Statements, Stores
from tests.user_svc.factories import START, Clock, make_user
from user_svc.recipients.models import UserReference
from user_svc.users.errors import AdministratorProtected, EmailTaken, ExternalIdTaken, UserNotFound
from user_svc.users.models import Role, UserChanges
from user_svc.users.use_cases import Users

OPERATOR = caller("users:read", "users:write")


async def _no_hash(field: str, password: str, words: Collection[str]) -> str:
    raise AssertionError("no password is given")


@pytest.fixture
def people(stores: Stores, clock: Clock) -> Users:
    return Users(stores.users, hash_password=_no_hash, now=clock)


async def test_a_person_is_found_by_either_id(stores: Stores) -> None:
    ada, uuid = make_user(external_id="crm|17"), ids.new_id()
    bob = make_user(external_id=uuid)
    for user in (ada, bob):
        await stores.users.insert(FIRST_PROJECT, user, None)
    assert await stores.users.resolve(FIRST_PROJECT, "crm|17") == ada.id
    assert await stores.users.resolve(FIRST_PROJECT, ada.id.upper()) == ada.id
    assert await stores.users.resolve(FIRST_PROJECT, uuid) == bob.id
    assert await stores.users.resolve(FIRST_PROJECT, "CRM|17") is None
    assert await stores.users.resolve("another", "crm|17") is None
    asked = [UserReference(FIRST_PROJECT, "crm|17"), UserReference(FIRST_PROJECT, uuid), UserReference("another", ada.id)]
    found = await stores.recipients().resolve([*asked, UserReference(FIRST_PROJECT, "a\0b")])
    assert found == {asked[0]: ada.id, asked[1]: bob.id}


async def test_our_own_id_comes_first(stores: Stores) -> None:
    """Who takes another person's id as external id gets nothing that is the other's."""
    ada = make_user()
    await stores.users.insert(FIRST_PROJECT, ada, None)
    await stores.users.insert(FIRST_PROJECT, make_user(external_id=ada.id), None)
    assert await stores.users.resolve(FIRST_PROJECT, ada.id) == ada.id


async def test_an_external_id_is_taken_once(stores: Stores) -> None:
    ada = make_user(external_id="17", email="ada@example.com")
    await stores.users.insert(FIRST_PROJECT, ada, None)
    with pytest.raises(ExternalIdTaken):
        await stores.users.insert(FIRST_PROJECT, make_user(external_id="17"), None)
    with pytest.raises(EmailTaken):
        await stores.users.insert(FIRST_PROJECT, make_user(email="ADA@example.com"), None)
    bob = make_user()
    await stores.users.insert(FIRST_PROJECT, bob, None)
    with pytest.raises(ExternalIdTaken):
        await stores.users.update(FIRST_PROJECT, bob.id, UserChanges(external_id="17"), START)
    freed = await stores.users.update(FIRST_PROJECT, ada.id, UserChanges(external_id=""), START)
    assert freed is not None
    assert freed.external_id == ""
    assert await stores.users.update(FIRST_PROJECT, bob.id, UserChanges(external_id="17"), START) is not None


async def test_an_upsert_makes_a_person_once_and_changes_them_then(people: Users) -> None:
    made = await people.upsert_user(OPERATOR, "crm-17", UserChanges(name="Ada"))
    assert (made.external_id, made.name) == ("crm-17", "Ada")
    changed = await people.upsert_user(OPERATOR, "crm-17", UserChanges(email="ada@example.com"))
    assert (changed.id, changed.name, changed.email) == (made.id, "Ada", "ada@example.com")
    by_ours = await people.upsert_user(OPERATOR, made.id, UserChanges(name="Ada L."))
    assert (by_ours.id, by_ours.external_id) == (made.id, "crm-17")
    without_name = await people.upsert_user(OPERATOR, "crm-18", UserChanges(locale="pt-BR"))
    assert (without_name.external_id, without_name.name) == ("crm-18", "")


async def test_an_upsert_of_a_state_or_under_another_name_makes_no_one(people: Users) -> None:
    """Where there is no one there is no state to match, and a repetition would make one more."""
    with pytest.raises(EtagMismatch):
        await people.upsert_user(OPERATOR, "crm-17", UserChanges(name="Ada"), etag="of-someone-else")
    with pytest.raises(InvalidArgument, match="in the path"):
        await people.upsert_user(OPERATOR, "crm-17", UserChanges(external_id="crm-18"))
    assert await people.resolve(OPERATOR, "crm-18") == "crm-18"
    await people.upsert_user(OPERATOR, "crm-17", UserChanges(external_id="crm-17", name="Ada"))
    renamed = await people.upsert_user(OPERATOR, "crm-17", UserChanges(external_id="crm-18"))
    assert (renamed.external_id, renamed.name) == ("crm-18", "Ada")


async def test_upserts_at_the_same_moment_make_one_person(people: Users) -> None:
    made = await asyncio.gather(*(people.upsert_user(OPERATOR, "crm-17", UserChanges(name=f"Ada {n}")) for n in range(8)))
    assert len({user.id for user in made}) == 1


async def test_who_may_not_write_makes_no_one(people: Users) -> None:
    member = caller(user_id=ids.new_id())
    with pytest.raises(Exception, match="own person"):
        await people.upsert_user(member, "crm-17", UserChanges(name="Eve"))
    assert await people.resolve(member, "crm-17") == "crm-17"
    with pytest.raises(UserNotFound):
        await people.get_user(OPERATOR, await people.resolve(OPERATOR, "crm-17"))


async def test_many_people_are_written_at_once(people: Users, stores: Stores) -> None:
    """New ones are made, known ones changed where something is given; one fault spoils no other."""
    ada = await people.upsert_user(OPERATOR, "1", UserChanges(name="Ada", email="ada@example.com", locale="pt-BR"))
    written = await people.upsert_users(
        OPERATOR,
        [
            UserChanges(external_id="1", name="Ada L."),
            UserChanges(external_id="2", email="bob@example.com", timezone="Europe/Paris"),
            UserChanges(external_id="3", email="no address"),
            UserChanges(name="without an id"),
            UserChanges(external_id="2", name="Bob again"),
            UserChanges(external_id="4"),
        ],
    )
    changed, bob = await stores.users.find(FIRST_PROJECT, ada.id), await stores.users.find(FIRST_PROJECT, str(written[1]))
    assert changed is not None
    assert bob is not None
    assert written[0] == ada.id
    assert (changed.name, changed.email, changed.locale) == ("Ada L.", "ada@example.com", "pt-BR")
    assert (bob.email, bob.locale, bob.timezone, bob.role) == ("bob@example.com", "en", "Europe/Paris", Role.MEMBER)
    assert [getattr(result, "reason", "") for result in written[2:]] == ["INVALID_ARGUMENT"] * 3 + [""]
    assert await stores.users.resolve(FIRST_PROJECT, "4") == written[5]


async def test_our_id_among_many_is_that_person(people: Users, stores: Stores) -> None:
    """As by PATCH: no one new is made, the external id stays, and their own address is not in their way."""
    ada = await people.upsert_user(OPERATOR, "1", UserChanges(name="Ada", email="ada@example.com"))
    bob = await people.create_user(FIRST_PROJECT, UserChanges(name="Bob"), "")
    given = [
        UserChanges(external_id=ada.id.upper(), name="Ada L.", email="ada@example.com"),
        UserChanges(external_id=bob.id, name="Bob B."),
        UserChanges(external_id=ids.new_id(), name="New", email="ada@example.com"),
        UserChanges(external_id=ada.id, timezone="Europe/Paris"),
    ]
    first, second, third, again = await people.upsert_users(OPERATOR, given)
    assert (first, second, isinstance(third, EmailTaken), again) == (ada.id, bob.id, True, ada.id)
    seen = [await stores.users.find(FIRST_PROJECT, one.id) for one in (ada, bob)]
    assert [(one.name, one.external_id) for one in seen if one] == [("Ada L.", "1"), ("Bob B.", "")]


async def test_an_etag_among_many_is_kept_to(people: Users, stores: Stores) -> None:
    first = await people.upsert_user(OPERATOR, "1", UserChanges(name="Ada"))
    later = await people.upsert_user(OPERATOR, "1", UserChanges(name="Ada L."))
    wanted = [UserChanges(external_id=name, name="Eve") for name in ("1", "2", "3")]
    stale, none_yet, other = await people.upsert_users(OPERATOR, wanted, {0: first.etag, 1: first.etag})
    assert (isinstance(stale, EtagMismatch), isinstance(none_yet, EtagMismatch), isinstance(other, str)) == (True, True, True)
    assert await stores.users.find(FIRST_PROJECT, first.id) == later
    assert await people.upsert_users(OPERATOR, wanted[:1], {0: later.etag}) == [first.id]
    assert await people.upsert_users(OPERATOR, wanted[:1], {0: later.etag}) == [first.id], "the answer to the first try may have been lost"
    assert (await people.upsert_user(OPERATOR, "1", UserChanges(name="Eve"), etag=later.etag)).id == first.id


async def test_an_address_that_is_taken_stops_its_own_person_only(people: Users, stores: Stores) -> None:
    await people.upsert_user(OPERATOR, "1", UserChanges(email="ada@example.com"))
    first, second, third = await people.upsert_users(
        OPERATOR, [UserChanges(external_id=name, email=f"{who}@example.com") for name, who in (("2", "bob"), ("3", "ADA"), ("4", "chi"))]
    )
    assert isinstance(second, EmailTaken)
    assert [await stores.users.resolve(FIRST_PROJECT, name) for name in "234"] == [first, None, third]


@pytest.mark.parametrize("size", [10, 200])
async def test_addresses_of_others_cost_no_statement_for_each_person(
    clock: Clock, postgres_stores: Stores, statements: Statements, size: int
) -> None:
    """Half are of people who are known by their address only; the other half all ask for the same one, which the first of them gets."""
    users = Users(postgres_stores.users, hash_password=_no_hash, now=clock)
    for number in range(size // 2):
        await postgres_stores.users.insert(FIRST_PROJECT, make_user(email=f"p{number}@example.com"), None)
    wanted = [f"P{number}@example.com" for number in range(size // 2)] + ["none@example.com"] * (size // 2)
    statements.seen.clear()
    results = await users.upsert_users(OPERATOR, [UserChanges(external_id=str(number), email=email) for number, email in enumerate(wanted)])
    refused = ["EMAIL_TAKEN"] * (size // 2)
    assert [getattr(result, "reason", "written") for result in results] == [*refused, "written", *refused[1:]]
    assert len(statements.seen) < 20


@pytest.mark.parametrize("size", [10, 200])
async def test_etags_cost_no_statement_for_each_person(clock: Clock, postgres_stores: Stores, statements: Statements, size: int) -> None:
    """Half of them fit; the others have changed since."""
    users = Users(postgres_stores.users, hash_password=_no_hash, now=clock)
    people = [UserChanges(external_id=str(number), name="Ada") for number in range(size)]
    await users.upsert_users(OPERATOR, people)
    etags = {int(user.external_id): user.etag for user in await postgres_stores.users.list_newest_first(FIRST_PROJECT, "", None, size)}
    clock.advance(seconds=1)
    await users.upsert_users(OPERATOR, [UserChanges(external_id=str(number), name="Eve") for number in range(size // 2)])
    statements.seen.clear()
    results = await users.upsert_users(OPERATOR, people, etags)
    half = size // 2
    assert [getattr(result, "reason", "written") for result in results] == ["ETAG_MISMATCH"] * half + ["written"] * half
    assert len(statements.seen) < 20


async def test_people_of_a_batch_hand_addresses_over(people: Users, stores: Stores) -> None:
    """Whatever their order in it; who swaps is refused as one by one."""
    await people.upsert_users(OPERATOR, [UserChanges(external_id=name, email=f"{name}@example.com") for name in "abcd"])
    moved = [UserChanges(external_id=name, email=f"{to}@example.com") for name, to in ("ab", "bz", "cd", "dc")]
    results = await people.upsert_users(OPERATOR, moved)
    assert [getattr(result, "reason", "written") for result in results] == ["written", "written", "EMAIL_TAKEN", "EMAIL_TAKEN"]
    assert [user.external_id for user in await stores.users.list_newest_first(FIRST_PROJECT, "b@example.com", None, 2)] == ["a"]


async def test_an_administrator_is_not_changed_among_many(people: Users, stores: Stores) -> None:
    boss = make_user(external_id="boss", role=Role.ADMINISTRATOR)
    await stores.users.insert(FIRST_PROJECT, boss, None)
    refused, other = await people.upsert_users(OPERATOR, [UserChanges(external_id="boss", name="Eve"), UserChanges(external_id="5")])
    assert (isinstance(refused, AdministratorProtected), isinstance(other, str)) == (True, True)
    allowed = caller("users:read", "users:write", "users:admin")
    assert await people.upsert_users(allowed, [UserChanges(external_id="boss", name="Grace")]) == [boss.id]


async def test_batches_at_the_same_moment_make_each_person_once(people: Users) -> None:
    batch = [UserChanges(external_id=str(number), name="x") for number in range(40)]
    batches = await asyncio.gather(*(people.upsert_users(OPERATOR, batch[:: 1 if turn % 2 else -1]) for turn in range(6)))
    assert len({user_id for results in batches for user_id in results}) == 40
