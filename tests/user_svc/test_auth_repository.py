"""One contract for where credentials are kept, on the fake and on PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from mesh import ids
from mesh.context import FIRST_PROJECT, Caller, CallerKind
from mesh.rpc.revocations import session_subject, user_subject
from mesh.stores.database import Database
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, make_api_key, make_user
from user_svc.auth.errors import MakerGone
from user_svc.auth.models import REFRESH_GRACE, ApiKey, RefreshToken, RotationOutcome, SessionOwner
from user_svc.auth.repository import SessionRepository
from user_svc.auth.revocation_repository import RevocationRepository
from user_svc.auth.session_desk import MOST_SESSIONS, SessionDesk
from user_svc.erasure.repository import ErasureRepository
from user_svc.users.models import Role, User

MONTH = timedelta(days=30)


async def make_session(stores: Stores, sha256: bytes = b"first", user: User | None = None) -> RefreshToken:
    """A person's first refresh token."""
    owner = user or make_user()
    if user is None:
        await stores.users.insert(FIRST_PROJECT, owner, None)
    token = RefreshToken(sha256, owner.id, ids.new_id(), START, START + MONTH)
    assert await stores.sessions.add_refresh_token(token, 0)
    return token


async def test_a_login_is_found_by_address_in_any_case(stores: Stores) -> None:
    """With its hash and role; nobody is found by an empty address."""
    await stores.users.insert(FIRST_PROJECT, make_user(email="Ada@example.com", role=Role.ADMINISTRATOR), "hash")
    await stores.users.insert(FIRST_PROJECT, make_user(), None)
    login = await stores.sessions.find_login(FIRST_PROJECT, "ada@example.com")
    assert login is not None
    assert (login.role, login.password_hash) == (Role.ADMINISTRATOR, "hash")
    assert await stores.sessions.find_login(FIRST_PROJECT, "") is None


async def test_a_hash_is_replaced_only_where_it_is_still_the_old_one(stores: Stores) -> None:
    """A password that was changed meanwhile wins."""
    user = make_user(email="ada@example.com")
    await stores.users.insert(FIRST_PROJECT, user, "old")
    await stores.sessions.replace_password_hash(user.id, old="another", new="wrong")
    await stores.sessions.replace_password_hash(user.id, old="old", new="new")
    login = await stores.sessions.find_login(FIRST_PROJECT, "ada@example.com")
    assert login is not None
    assert login.password_hash == "new"


async def test_a_changed_password_ends_every_session_and_opens_one(stores: Stores) -> None:
    """All of it or nothing: with a hash that is not the stored one any more, everything stays."""
    user = make_user(email="ada@example.com")
    await stores.users.insert(FIRST_PROJECT, user, "old")
    first, second = await make_session(stores, b"first", user), await make_session(stores, b"second", user)
    next_session = RefreshToken(b"next", user.id, ids.new_id(), START, START + MONTH)
    assert not await stores.sessions.change_password(user.id, old="another", new="wrong", token=next_session)
    assert await stores.sessions.change_password(user.id, old="old", new="new", token=next_session)
    login = await stores.sessions.find_login_by_id(user.id)
    assert login is not None
    assert (login.password_hash, login.known_words) == ("new", (user.email, user.name))
    for sha256, outcome in (
        (first.sha256, RotationOutcome.UNKNOWN), (second.sha256, RotationOutcome.UNKNOWN), (b"next", RotationOutcome.ROTATED),
    ):  # fmt: skip
        rotation = await stores.sessions.rotate_refresh_token(sha256, b"x" + sha256, now=START, expire_time=START + MONTH)
        assert rotation.outcome is outcome


async def test_the_access_tokens_of_sessions_that_a_new_password_ends_are_revoked(database: Database, postgres_stores: Stores) -> None:
    user = make_user(email="ada@example.com")
    await postgres_stores.users.insert(FIRST_PROJECT, user, "old")
    ended = await make_session(postgres_stores, b"first", user)
    next_session = RefreshToken(b"next", user.id, ids.new_id(), START, START + MONTH)
    assert await postgres_stores.sessions.change_password(user.id, old="old", new="new", token=next_session)
    assert list(await RevocationRepository(database).fetch()) == [session_subject(ended.family)]


async def test_a_token_of_nobody_is_not_stored(stores: Stores) -> None:
    """The person may have been deleted a moment ago."""
    assert not await stores.sessions.add_refresh_token(RefreshToken(b"x", ids.new_id(), ids.new_id(), START, START + MONTH), 0)


async def test_a_rotation_answers_the_owner_and_moves_on(stores: Stores) -> None:
    """The next token is good, the first one is not."""
    first = await make_session(stores)
    rotation = await stores.sessions.rotate_refresh_token(b"first", b"second", now=START, expire_time=START + MONTH)
    assert rotation.owner == SessionOwner(first.user_id, FIRST_PROJECT, Role.MEMBER, first.family, frozenset())
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


@pytest.mark.processes
async def test_two_uses_at_the_same_time_with_one_successor_are_both_rotated(postgres_stores: Stores, database: Database) -> None:
    """On PostgreSQL, where they really race: nothing is stored twice, and after the grace the first one revokes the family.

    The two tabs come to processes whose clocks differ by hours.
    """
    await make_session(postgres_stores)

    async def use(at: datetime = START) -> RotationOutcome:
        return (await postgres_stores.sessions.rotate_refresh_token(b"first", b"next", now=at, expire_time=at + MONTH)).outcome

    assert await asyncio.gather(*(use() for _ in range(8))) == [RotationOutcome.ROTATED] * 8
    for ahead in (timedelta(hours=-5), timedelta(hours=5)):
        assert await use(START + ahead) is RotationOutcome.ROTATED
    async with database.begin() as connection:
        await connection.execute(text("UPDATE refresh_tokens SET use_time = use_time - CAST(:grace AS interval)"), {"grace": REFRESH_GRACE})
    assert await use(START - timedelta(hours=5)) is RotationOutcome.REUSED


@pytest.mark.parametrize("other", [b"of another session", b"unknown"])
async def test_a_second_use_with_a_successor_of_no_such_family_is_a_reuse(stores: Stores, other: bytes) -> None:
    """Also within the grace: it proves no knowledge of what the first use was given."""
    user = make_user()
    await stores.users.insert(FIRST_PROJECT, user, None)
    await make_session(stores, b"first", user)
    await make_session(stores, b"of another session", user)
    await stores.sessions.rotate_refresh_token(b"first", b"second", now=START, expire_time=START + MONTH)
    again = await stores.sessions.rotate_refresh_token(b"first", other, now=START, expire_time=START + MONTH)
    assert again.outcome is RotationOutcome.REUSED


async def test_an_expired_token_is_told_and_forgotten_at_the_next_login(stores: Stores) -> None:
    """So that the table does not grow."""
    first = await make_session(stores)
    later = START + MONTH
    outcome = (await stores.sessions.rotate_refresh_token(b"first", b"next", now=later, expire_time=later)).outcome
    assert outcome is RotationOutcome.EXPIRED
    await stores.sessions.add_refresh_token(RefreshToken(b"fresh", first.user_id, ids.new_id(), later, later + MONTH), 0)
    outcome = (await stores.sessions.rotate_refresh_token(b"first", b"next", now=later, expire_time=later)).outcome
    assert outcome is RotationOutcome.UNKNOWN


async def test_a_revoked_family_leaves_others_alone(stores: Stores) -> None:
    """Another login of the same person goes on."""
    user = make_user()
    await stores.users.insert(FIRST_PROJECT, user, None)
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
    await stores.api_keys.add_first(key)
    await stores.api_keys.add_first(make_api_key(name="the same secret"))
    assert await stores.api_keys.find(key.sha256) == key
    assert await stores.api_keys.find(b"other") is None


async def test_working_keys_are_listed_newest_first(stores: Stores) -> None:
    """Strictly before the position; expired and deleted ones are left out."""
    made = [make_api_key(f"clk_test_{number}") for number in range(3)]
    for key in (*made, make_api_key("clk_test_old", expire_time=START)):
        await stores.api_keys.add_first(key)
    assert list(await stores.api_keys.list_working(FIRST_PROJECT, None, 10, START)) == made[::-1]
    assert list(await stores.api_keys.list_working(FIRST_PROJECT, made[2].id, 1, START)) == [made[1]]
    assert await stores.api_keys.revoke(FIRST_PROJECT, made[1].id)
    assert not await stores.api_keys.revoke(FIRST_PROJECT, made[1].id)
    assert list(await stores.api_keys.list_working(FIRST_PROJECT, None, 10, START)) == [made[2], made[0]]


async def test_a_key_is_made_within_its_maker_and_revoked_with_it(stores: Stores) -> None:
    """Down the whole family, once, and not beyond it."""
    root = make_user(role=Role.ADMINISTRATOR)
    await stores.users.insert(FIRST_PROJECT, root, None)
    first = await stores.api_keys.add(make_api_key("clk_test_1", created_by=root.id, expire_time=START + MONTH), START)
    second = await stores.api_keys.add(make_api_key("clk_test_2", created_by=first.id), START)
    third = await stores.api_keys.add(make_api_key("clk_test_3", created_by=second.id), START)
    other = await stores.api_keys.add(make_api_key("clk_test_4", created_by=root.id), START)
    assert (second.expire_time, third.expire_time, other.expire_time) == (START + MONTH, START + MONTH, None)
    assert [key.id for key in await stores.api_keys.list_working(FIRST_PROJECT, None, 10, START, family_of=second.id)] == [
        third.id,
        second.id,
    ]
    assert len(await stores.api_keys.list_working(FIRST_PROJECT, None, 10, START, family_of=root.id)) == 4
    assert not await stores.api_keys.revoke(FIRST_PROJECT, first.id, family_of=second.id)
    assert await stores.api_keys.revoke(FIRST_PROJECT, second.id, family_of=first.id)
    assert not await stores.api_keys.revoke(FIRST_PROJECT, third.id)
    assert [key.id for key in await stores.api_keys.list_working(FIRST_PROJECT, None, 10, START)] == [other.id, first.id]
    tombstone = await stores.api_keys.find(third.sha256)
    assert tombstone is not None
    assert tombstone.revoke_time is not None


@pytest.mark.parametrize("maker", [ids.new_id(), "environment", "gateway"])
async def test_nobody_who_is_gone_makes_a_key(stores: Stores, maker: str) -> None:
    """What was true when the token was issued is not enough."""
    with pytest.raises(MakerGone):
        await stores.api_keys.add(make_api_key(created_by=maker), START)


async def test_a_key_that_is_being_made_is_revoked_with_its_maker(postgres_stores: Stores, database: Database) -> None:
    """The revocation waits for the key, and then finds it."""
    root = make_user(role=Role.ADMINISTRATOR)
    await postgres_stores.users.insert(FIRST_PROJECT, root, None)
    maker = await postgres_stores.api_keys.add(make_api_key("clk_test_1", created_by=root.id), START)
    made = await asyncio.gather(
        *(postgres_stores.api_keys.add(make_api_key(f"clk_test_m{n}", created_by=maker.id), START) for n in range(5)),
        postgres_stores.api_keys.revoke(FIRST_PROJECT, maker.id),
        return_exceptions=True,
    )
    assert all(isinstance(result, (ApiKey, MakerGone)) or result is True for result in made)
    assert await postgres_stores.api_keys.list_working(FIRST_PROJECT, None, 10, START) == []


async def test_what_is_revoked_is_recorded_until_it_is_published(postgres_stores: Stores, database: Database) -> None:
    """Keys, sessions and people, in the transaction that revokes them."""
    user = make_user(role=Role.ADMINISTRATOR)
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    token = await make_session(postgres_stores)
    key = await postgres_stores.api_keys.add(make_api_key(created_by=user.id), START)
    await postgres_stores.sessions.revoke_family_of(token.sha256)
    await ErasureRepository(database).erase(user.id, "")
    expected = {f"session:{token.family}", user_subject(user.id), f"key:{key.id}"}
    revocations = RevocationRepository(database)
    waiting = await revocations.unpublished()
    assert {subject for _, subject in waiting} == expected == set(await revocations.fetch())
    await revocations.mark_published([identifier for identifier, _ in waiting])
    assert await revocations.unpublished() == []
    await revocations.publish_all_again()
    assert len(await revocations.unpublished()) == 3
    await revocations.forget_old()
    assert len(list(await revocations.fetch())) == 3


@pytest.mark.processes
async def test_a_refresh_that_is_under_way_does_not_outlive_its_session(postgres_stores: Stores, database: Database) -> None:
    """Whichever comes first of two at the same time, no token of the session is left."""
    rows, now = SessionRepository(database), datetime.now(UTC)
    user = make_user()
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    for number in range(20):
        token = RefreshToken(f"first {number}".encode(), user.id, ids.new_id(), now, now + MONTH)
        assert await rows.add_refresh_token(token, 0)
        await asyncio.gather(
            rows.rotate_refresh_token(token.sha256, f"next {number}".encode(), now=now, expire_time=now + MONTH),
            rows.end_sessions(FIRST_PROJECT, user.id),
        )
        assert await rows.list_sessions(FIRST_PROJECT, user.id, 10) == []
    assert await rows.list_sessions("another", user.id, 10) is None
    assert await rows.end_sessions("another", user.id) is None


@pytest.mark.processes
async def test_ending_all_others_spares_the_own_session_however_many_there_are(postgres_stores: Stores, database: Database) -> None:
    """Also where more were begun since than a list shows."""
    rows, now = SessionRepository(database), datetime.now(UTC)
    user = make_user()
    await postgres_stores.users.insert(FIRST_PROJECT, user, None)
    tokens = [
        RefreshToken(f"{number}".encode(), user.id, ids.new_id(), now + timedelta(seconds=number), now + MONTH)
        for number in range(MOST_SESSIONS + 5)
    ]
    for token in tokens:
        assert await rows.add_refresh_token(token, 0)
    own = tokens[0].family
    caller = Caller(CallerKind.USER, user.id, user_id=user.id, subjects=(user_subject(user.id), session_subject(own)))
    assert await SessionDesk(rows).end_session(caller, user.id, "-") == MOST_SESSIONS + 4
    assert [session.id for session in await rows.list_sessions(FIRST_PROJECT, user.id, 10) or ()] == [own]
