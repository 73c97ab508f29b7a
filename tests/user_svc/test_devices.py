"""Facts about devices: the rules, and one contract on the fake and on PostgreSQL."""

import asyncio

import pytest

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.testing import caller
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock, make_device, make_user
from user_svc.access import NotOwner
from user_svc.devices.convert import device_to_proto
from user_svc.devices.errors import DeviceNotFound
from user_svc.devices.models import MAX_DEVICES, YIELDED, Platform
from user_svc.devices.use_cases import Devices
from user_svc.users.errors import UserNotFound
from user_svc.users.models import User

OPERATOR = caller("users:read", "users:write")


@pytest.fixture
async def ada(stores: Stores) -> User:
    """A person in the store."""
    user = make_user()
    await stores.users.insert(FIRST_PROJECT, user, None)
    return user


@pytest.fixture
async def eve(stores: Stores) -> User:
    """Another person."""
    user = make_user()
    await stores.users.insert(FIRST_PROJECT, user, None)
    return user


@pytest.fixture
def devices(stores: Stores, clock: Clock) -> Devices:
    """The rules over either store."""
    return Devices(stores.devices, now=clock)


async def test_devices_are_listed_newest_first(devices: Devices, ada: User) -> None:
    """As they were registered."""
    first = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.IOS)
    second = await devices.create_device(OPERATOR, ada.id, "token-2", Platform.WEB)
    assert list(await devices.list_devices(OPERATOR, ada.id)) == [second, first]
    assert (first.user_id, first.platform, first.create_time) == (ada.id, Platform.IOS, START)


async def test_the_same_token_again_is_the_same_device(devices: Devices, ada: User, clock: Clock) -> None:
    """Id and time stay, the platform is corrected, and it is seen again; app and platform stay where none is given."""
    first = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.UNSPECIFIED, "com.example.shop")
    clock.advance(days=1)
    again = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.ANDROID)
    assert (again.id, again.create_time, again.platform) == (first.id, first.create_time, Platform.ANDROID)
    assert (first.last_seen_time, again.last_seen_time, again.app) == (START, clock.now, "com.example.shop")
    renamed = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.UNSPECIFIED, "com.example.shop2")
    assert list(await devices.list_devices(OPERATOR, ada.id)) == [renamed]
    assert (renamed.app, renamed.platform) == ("com.example.shop2", Platform.ANDROID)


async def test_a_token_moves_to_who_registers_it_last(devices: Devices, ada: User, eve: User) -> None:
    """An app installation has one owner; the device gets a new id."""
    first = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.IOS, "com.example.shop")
    moved = await devices.create_device(caller(user_id=eve.id), eve.id, "token-1", Platform.IOS)
    assert (moved.id != first.id, moved.app) == (True, "")
    assert list(await devices.list_devices(OPERATOR, ada.id)) == []
    assert list(await devices.list_devices(OPERATOR, eve.id)) == [moved]


async def test_a_token_of_4096_characters_fits(devices: Devices, ada: User) -> None:
    """The longest that the schema lets through."""
    token = "t" * 4096
    device = await devices.create_device(OPERATOR, ada.id, token, Platform.IOS)
    assert device.token == token


async def test_of_more_than_50_devices_the_one_seen_longest_ago_yields(devices: Devices, ada: User, clock: Clock) -> None:
    """Whichever was made first: what counts is when its app has last been there. It comes back when its app does."""
    for number in range(MAX_DEVICES):
        await devices.create_device(OPERATOR, ada.id, f"token-{number}", Platform.IOS)
        clock.advance(minutes=1)
    await devices.create_device(OPERATOR, ada.id, "token-0", Platform.IOS)  # the oldest one, which is in use
    newest = await devices.create_device(OPERATOR, ada.id, "one more", Platform.IOS)
    assert await _tokens(devices, ada) == {"one more", *(f"token-{number}" for number in range(MAX_DEVICES) if number != 1)}
    (yielded,) = [one for one in await devices.list_devices(OPERATOR, ada.id, show_removed=True) if one.remove_time is not None]
    assert (yielded.token, yielded.remove_time, yielded.remove_reason) == ("token-1", newest.last_seen_time, YIELDED)
    clock.advance(minutes=1)
    back = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.IOS)
    assert (back.id, back.remove_time, back.remove_reason) == (yielded.id, None, "")
    assert await _tokens(devices, ada) == {"one more", *(f"token-{number}" for number in range(MAX_DEVICES) if number != 2)}


async def test_what_a_slow_clock_registers_stays(devices: Devices, ada: User, clock: Clock) -> None:
    """The clocks of two processes may differ by more than what lies between two devices."""
    for number in range(MAX_DEVICES):
        await devices.create_device(OPERATOR, ada.id, f"token-{number}", Platform.IOS)
    clock.advance(minutes=-1)
    await devices.create_device(OPERATOR, ada.id, "one more", Platform.IOS)
    assert "one more" in await _tokens(devices, ada)


async def _tokens(devices: Devices, person: User) -> set[str]:
    return {device.token for device in await devices.list_devices(OPERATOR, person.id)}


async def test_devices_that_come_together_stop_at_50_too(postgres_stores: Stores) -> None:
    """On PostgreSQL, where they really race."""
    user = make_user()
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    attempts = [postgres_stores.devices.register(FIRST_PROJECT, make_device(user, f"token-{number}")) for number in range(MAX_DEVICES + 6)]
    await asyncio.gather(*attempts)
    assert len(await postgres_stores.devices.list_newest_first(FIRST_PROJECT, user.id) or ()) == MAX_DEVICES
    known = await postgres_stores.devices.list_newest_first(FIRST_PROJECT, user.id, removed=True) or ()
    assert sum(device.remove_reason == YIELDED for device in known) == 6


async def test_a_device_is_deleted_by_its_own_person_only(devices: Devices, ada: User, eve: User) -> None:
    """Under another person's id it is not found, even for an operator."""
    device = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.IOS)
    for device_id, user_id in ((device.id, eve.id), (ids.new_id(), ada.id), ("guess", ada.id)):
        with pytest.raises(DeviceNotFound):
            await devices.delete_device(OPERATOR, user_id, device_id)
    await devices.delete_device(caller(user_id=ada.id), ada.id, device.id)
    assert list(await devices.list_devices(OPERATOR, ada.id)) == []


async def test_nobody_has_no_devices(devices: Devices, ada: User) -> None:
    """An unknown person is told apart from one without devices."""
    assert list(await devices.list_devices(OPERATOR, ada.id)) == []
    for user_id in (ids.new_id(), "guess"):
        with pytest.raises(UserNotFound):
            await devices.list_devices(OPERATOR, user_id)
        with pytest.raises(UserNotFound):
            await devices.create_device(OPERATOR, user_id, "token-1", Platform.IOS)


async def test_an_owner_reaches_no_other_persons_devices(devices: Devices, ada: User, eve: User) -> None:
    """Not to read, not to add, not to remove."""
    device = await devices.create_device(OPERATOR, ada.id, "token-1", Platform.IOS)
    as_eve = caller(user_id=eve.id)
    for attempt in (
        devices.list_devices(as_eve, ada.id),
        devices.create_device(as_eve, ada.id, "token-2", Platform.IOS),
        devices.delete_device(as_eve, ada.id, device.id),
    ):
        with pytest.raises(NotOwner):
            await attempt


@pytest.mark.parametrize(("token", "suffix"), [("short", ""), ("x" * 100 + "abcdef", "abcdef")])
def test_of_a_token_only_its_end_is_shown(token: str, suffix: str) -> None:
    """And nothing where the end would be a good part of it."""
    message = device_to_proto(make_device(make_user(), token))
    assert (message.token, message.token_suffix) == ("", suffix)
