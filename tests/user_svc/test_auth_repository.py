"""One contract for where credentials are kept, on the fake and on PostgreSQL."""

import asyncio
from datetime import timedelta

from mesh import ids
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, make_api_key, make_user
from user_svc.auth.models import RefreshToken, RotationOutcome, SessionOwner
from user_svc.users.models import Role, User

MONTH = timedelta(days=30)


async def make_session(stores: Stores, sha256: bytes = b"first", user: User | None = None) -> RefreshToken:
    """A person's first refresh token."""
    owner = user or make_user()
    if user is None:
        await stores.users.insert(owner, None)
    token = RefreshToken(sha256, owner.id, ids.new_id(), START, START + MONTH)
    assert await stores.sessions.add_refresh_token(token)
    return token


async def test_a_login_is_found_by_address_in_any_case(stores: Stores) -> None:
    """With its hash and role; nobody is found by an empty address."""
    await stores.users.insert(make_user(email="Ada@example.com", role=Role.ADMINISTRATOR), "hash")
    await stores.users.insert(make_user(), None)
    login = await stores.sessions.find_login("ada@example.com")
    assert login is not None
    assert (login.role, login.password_hash) == (Role.ADMINISTRATOR, "hash")
    assert await stores.sessions.find_login("") is None


async def test_a_hash_is_replaced_only_where_it_is_still_the_old_one(stores: Stores) -> None:
    """A password that was changed meanwhile wins."""
    user = make_user(email="ada@example.com")
    await stores.users.insert(user, "old")
    await stores.sessions.replace_password_hash(user.id, old="another", new="wrong")
    await stores.sessions.replace_password_hash(user.id, old="old", new="new")
    login = await stores.sessions.find_login("ada@example.com")
    assert login is not None
    assert login.password_hash == "new"


async def test_a_token_of_nobody_is_not_stored(stores: Stores) -> None:
    """The person may have been deleted a moment ago."""
    assert not await stores.sessions.add_refresh_token(RefreshToken(b"x", ids.new_id(), ids.new_id(), START, START + MONTH))


async def test_a_rotation_answers_the_owner_and_moves_on(stores: Stores) -> None:
    """The next token is good, the first one is not."""
    first = await make_session(stores)
    rotation = await stores.sessions.rotate_refresh_token(b"first", b"second", now=START, expire_time=START + MONTH)
    assert rotation.owner == SessionOwner(first.user_id, Role.MEMBER)
    again = await stores.sessions.rotate_refresh_token(b"second", b"third", now=START, expire_time=START + MONTH)
    assert again.outcome is RotationOutcome.ROTATED


async def test_a_second_use_revokes_the_family_for_good(stores: Stores) -> None:
    """The outcome is told once; after that nothing of the family is known."""
    await make_session(stores)
    await stores.sessions.rotate_refresh_token(b"first", b"second", now=START, expire_time=START + MONTH)
    outcomes = [
        (await stores.sessions.rotate_refresh_token(sha256, b"next", now=START, expire_time=START + MONTH)).outcome
        for sha256 in (b"first", b"first", b"second")
    ]
    assert outcomes == [RotationOutcome.REUSED, RotationOutcome.UNKNOWN, RotationOutcome.UNKNOWN]


async def test_two_uses_at_the_same_time_are_one_use_and_one_reuse(postgres_stores: Stores) -> None:
    """On PostgreSQL, where they really race."""
    await make_session(postgres_stores)
    rotations = await asyncio.gather(
        *(postgres_stores.sessions.rotate_refresh_token(b"first", name, now=START, expire_time=START + MONTH) for name in (b"a", b"b"))
    )
    assert {rotation.outcome for rotation in rotations} == {RotationOutcome.ROTATED, RotationOutcome.REUSED}


async def test_an_expired_token_is_told_and_forgotten_at_the_next_login(stores: Stores) -> None:
    """So that the table does not grow."""
    first = await make_session(stores)
    later = START + MONTH
    outcome = (await stores.sessions.rotate_refresh_token(b"first", b"next", now=later, expire_time=later)).outcome
    assert outcome is RotationOutcome.EXPIRED
    await stores.sessions.add_refresh_token(RefreshToken(b"fresh", first.user_id, ids.new_id(), later, later + MONTH))
    outcome = (await stores.sessions.rotate_refresh_token(b"first", b"next", now=later, expire_time=later)).outcome
    assert outcome is RotationOutcome.UNKNOWN


async def test_a_revoked_family_leaves_others_alone(stores: Stores) -> None:
    """Another login of the same person goes on."""
    user = make_user()
    await stores.users.insert(user, None)
    await make_session(stores, b"first", user)
    await make_session(stores, b"other", user)
    await stores.sessions.revoke_family_of(b"first")
    await stores.sessions.revoke_family_of(b"unknown")
    gone = await stores.sessions.rotate_refresh_token(b"first", b"x", now=START, expire_time=START + MONTH)
    kept = await stores.sessions.rotate_refresh_token(b"other", b"y", now=START, expire_time=START + MONTH)
    assert (gone.outcome, kept.outcome) == (RotationOutcome.UNKNOWN, RotationOutcome.ROTATED)


async def test_an_api_key_comes_back_as_stored(stores: Stores) -> None:
    """By its hash and nothing else; storing it again changes nothing."""
    key = make_api_key(expire_time=START + MONTH)
    await stores.api_keys.add(key)
    await stores.api_keys.add(make_api_key(name="the same secret"))
    assert await stores.api_keys.find_working(key.sha256, START) == key
    assert await stores.api_keys.find_working(b"other", START) is None
    assert await stores.api_keys.find_working(key.sha256, START + MONTH) is None


async def test_working_keys_are_listed_newest_first(stores: Stores) -> None:
    """Strictly before the position; expired and deleted ones are left out."""
    made = [make_api_key(f"clk_test_{number}") for number in range(3)]
    for key in (*made, make_api_key("clk_test_old", expire_time=START)):
        await stores.api_keys.add(key)
    assert list(await stores.api_keys.list_working(None, 10, START)) == made[::-1]
    assert list(await stores.api_keys.list_working(made[2].id, 1, START)) == [made[1]]
    assert await stores.api_keys.delete(made[1].id)
    assert not await stores.api_keys.delete(made[1].id)
    assert list(await stores.api_keys.list_working(None, 10, START)) == [made[2], made[0]]
