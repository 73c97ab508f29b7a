"""One contract for where people are kept, on the fake and on PostgreSQL."""

import asyncio

import pytest

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.etag import EtagMismatch
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock, make_device, make_user
from user_svc.auth.models import RefreshToken
from user_svc.preferences.models import Channel, Choice, PreferenceChanges, PreferenceRule
from user_svc.users.errors import EmailTaken
from user_svc.users.models import Role, UserChanges


async def test_a_person_comes_back_as_stored(stores: Stores) -> None:
    """Every field, times in UTC included."""
    user = make_user(email="Ada@example.com", name="Žofie 👩‍🚀", role=Role.ADMINISTRATOR)
    await stores.users.insert(FIRST_PROJECT, user, None)
    assert await stores.users.find(FIRST_PROJECT, user.id) == user
    assert await stores.users.find(FIRST_PROJECT, ids.new_id()) is None


async def test_an_address_is_unique_in_any_case(stores: Stores) -> None:
    """For new and for changed people; many may have none."""
    await stores.users.insert(FIRST_PROJECT, make_user(email="ada@example.com"), None)
    other = make_user()
    await stores.users.insert(FIRST_PROJECT, other, None)
    await stores.users.insert(FIRST_PROJECT, make_user(), None)
    with pytest.raises(EmailTaken):
        await stores.users.insert(FIRST_PROJECT, make_user(email="ADA@EXAMPLE.COM"), None)
    with pytest.raises(EmailTaken):
        await stores.users.update(FIRST_PROJECT, other.id, UserChanges(email="Ada@Example.Com"), START)


async def test_an_address_can_be_removed(stores: Stores) -> None:
    """And is free for others then."""
    user = make_user(email="ada@example.com")
    await stores.users.insert(FIRST_PROJECT, user, None)
    changed = await stores.users.update(FIRST_PROJECT, user.id, UserChanges(email=""), START)
    assert changed is not None
    assert changed.email == ""
    await stores.users.insert(FIRST_PROJECT, make_user(email="ada@example.com"), None)


async def test_an_update_changes_what_it_names(stores: Stores, clock: Clock) -> None:
    """Nothing named, nothing changed, not even the time; nobody there, None."""
    user = make_user(name="Ada", locale="pt-BR")
    await stores.users.insert(FIRST_PROJECT, user, None)
    clock.advance(seconds=5)
    assert await stores.users.update(FIRST_PROJECT, user.id, UserChanges(), clock.now) == user
    changed = await stores.users.update(FIRST_PROJECT, user.id, UserChanges(name="Countess", timezone="Europe/Paris"), clock.now)
    assert changed is not None
    assert (changed.name, changed.locale, changed.timezone, changed.update_time) == ("Countess", "pt-BR", "Europe/Paris", clock.now)
    assert await stores.users.update(FIRST_PROJECT, ids.new_id(), UserChanges(name="x"), clock.now) is None


async def test_deleting_takes_everything_along(stores: Stores) -> None:
    """Devices, preferences and refresh tokens go with their person, other people's stay."""
    user, other = make_user(email="ada@example.com"), make_user()
    no_news = PreferenceRule(Channel.EMAIL, "news", Choice.DENY)
    for each in (user, other):
        await stores.users.insert(FIRST_PROJECT, each, None)
        await stores.devices.register(FIRST_PROJECT, make_device(each, f"token of {each.id}"))
        await stores.preferences.update(FIRST_PROJECT, each.id, PreferenceChanges([no_news]), START)
        await stores.sessions.add_refresh_token(RefreshToken(each.id.encode()[:32], each.id, ids.new_id(), START, START), 0)
    assert await stores.users.delete(FIRST_PROJECT, user.id)
    assert not await stores.users.delete(FIRST_PROJECT, user.id)
    assert await stores.users.find(FIRST_PROJECT, user.id) is None
    assert await stores.sessions.find_login(FIRST_PROJECT, "ada@example.com") is None
    assert await stores.devices.list_newest_first(FIRST_PROJECT, user.id) is None
    assert await stores.preferences.find(FIRST_PROJECT, user.id) is None
    outcome = await stores.sessions.rotate_refresh_token(user.id.encode()[:32], b"n" * 32, now=START, expire_time=START)
    assert outcome.owner is None
    assert len(await stores.devices.list_newest_first(FIRST_PROJECT, other.id) or ()) == 1


async def test_the_list_runs_newest_first_from_a_position(stores: Stores) -> None:
    """Strictly before the position, at most the limit, with the address where one is asked for."""
    made = [make_user(email=f"user{number}@example.com") for number in range(4)]
    for user in made:
        await stores.users.insert(FIRST_PROJECT, user, None)
    newest = list(reversed(made))
    assert list(await stores.users.list_newest_first(FIRST_PROJECT, "", None, 2)) == newest[:2]
    assert list(await stores.users.list_newest_first(FIRST_PROJECT, "", newest[1].id, 10)) == newest[2:]
    assert list(await stores.users.list_newest_first(FIRST_PROJECT, "user2@example.com", None, 10)) == [made[2]]


async def test_a_change_that_is_bound_to_a_state_is_refused_in_another(stores: Stores, clock: Clock) -> None:
    """With nothing to change, too; a person who is not there is no conflict."""
    user = make_user(name="Ada")
    await stores.users.insert(FIRST_PROJECT, user, None)
    clock.advance(seconds=5)
    changed = await stores.users.update(FIRST_PROJECT, user.id, UserChanges(name="Countess"), clock.now, etag=user.etag)
    assert changed is not None
    assert changed.etag != user.etag
    for changes in (UserChanges(name="Augusta"), UserChanges()):
        with pytest.raises(EtagMismatch):
            await stores.users.update(FIRST_PROJECT, user.id, changes, clock.now, etag=user.etag)
    assert await stores.users.find(FIRST_PROJECT, user.id) == changed
    assert await stores.users.update(FIRST_PROJECT, ids.new_id(), UserChanges(name="x"), clock.now, etag="x") is None


async def test_of_two_changes_of_one_state_one_is_refused(postgres_stores: Stores) -> None:
    """The row is locked between the comparison and the change."""
    user = make_user(name="Ada")
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    changes = [
        postgres_stores.users.update(FIRST_PROJECT, user.id, UserChanges(name=f"Ada {index}"), START, etag=user.etag) for index in range(8)
    ]
    results = await asyncio.gather(*changes, return_exceptions=True)
    assert sum(isinstance(result, EtagMismatch) for result in results) == 7
