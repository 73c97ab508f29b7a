"""Facts about logging in, staying logged in and API keys, on the fakes."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import jwt
import pytest

from mesh import ids
from mesh.context import FIRST_PROJECT, Caller, CallerKind
from mesh.errors import InvalidArgument, Unauthenticated
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.sealing import Sealer
from mesh.testing import SECRET, caller
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import Clock, make_user
from user_svc.audit.models import NewEvent
from user_svc.auth.api_keys import ApiKeys, LocalCredentials
from user_svc.auth.errors import (
    ApiKeyNotFound,
    ExpiresAfterMaker,
    LoginFailed,
    MakerGone,
    PersonNeeded,
    RefreshRejected,
    ScopeNotHeld,
    WrongPassword,
)
from user_svc.auth.models import REFRESH_GRACE, Grant, Login, Scope
from user_svc.auth.passwords import PasswordHasher, TooManyLogins
from user_svc.auth.signing import SEALED_FOR, SigningKeys
from user_svc.auth.successors import Successors
from user_svc.auth.use_cases import Sessions
from user_svc.users.models import Role, User
from user_svc.users.use_cases import Users

PASSWORD = "correct horse battery"
ADMINISTRATOR = caller(*Scope)


@pytest.fixture(scope="module")
def passwords() -> Iterator[PasswordHasher]:
    """Cheap parameters: what is tested here is not argon2."""
    hasher = PasswordHasher(memory_kib=64, time_cost=1)
    yield hasher
    hasher.close()


@pytest.fixture
def real_clock(clock: Clock) -> Clock:
    """Starts at the real time, because PyJWT compares with that."""
    clock.advance(seconds=time.time() - clock.now.timestamp())
    return clock


@pytest.fixture
def signing_keys(memory_stores: Stores, real_clock: Clock) -> SigningKeys:
    """Keys in memory."""
    return SigningKeys(memory_stores.signing_keys, Sealer(SECRET, SEALED_FOR), now=real_clock)


async def _no_log(event: NewEvent) -> None:
    """What is kept is a fact of tests/user_svc/test_audit.py."""


class _NoSecondStep:
    """Second factors are facts of tests/user_svc/test_second_factor.py."""

    async def has(self, user_id: str) -> bool:
        return False

    async def check(self, login: Login, code: str) -> None:
        return


@pytest.fixture
def sessions(memory_stores: Stores, passwords: PasswordHasher, signing_keys: SigningKeys, real_clock: Clock) -> Sessions:
    """The rules over memory."""
    users = Users(memory_stores.users, hash_password=passwords.hash_new, now=real_clock)
    return Sessions(
        memory_stores.sessions,
        passwords=passwords,
        signing_keys=signing_keys,
        replace_email=users.replace_email,
        successors=Successors(SECRET),
        audit=_no_log,
        now=real_clock,
        second_step=_NoSecondStep(),
    )


@pytest.fixture
def api_keys(memory_stores: Stores, real_clock: Clock) -> ApiKeys:
    """The rules over memory."""
    return ApiKeys(memory_stores.api_keys, now=real_clock)


@pytest.fixture
async def administrator(memory_stores: Stores) -> Caller:
    """A person who holds every scope."""
    root = make_user(role=Role.ADMINISTRATOR)
    await memory_stores.users.insert(FIRST_PROJECT, root, None)
    return caller(*Scope, user_id=root.id)


@pytest.fixture
def authenticator(signing_keys: SigningKeys, api_keys: ApiKeys) -> Authenticator:
    """The mesh's own judge of credentials, fed by user_svc's local source."""
    return Authenticator(LocalCredentials(signing_keys=signing_keys, api_keys=api_keys), ServiceIdentity("test", SECRET))


@pytest.fixture
async def ada(memory_stores: Stores, passwords: PasswordHasher) -> User:
    """A member who can log in."""
    user = make_user(email="ada@example.com")
    await memory_stores.users.insert(FIRST_PROJECT, user, await passwords.hash(PASSWORD))
    return user


async def test_a_login_makes_a_token_that_the_mesh_accepts(sessions: Sessions, authenticator: Authenticator, ada: User) -> None:
    """For the person, without any scope: a member reaches their own objects only."""
    tokens = await sessions.log_in(FIRST_PROJECT, "ADA@example.com", PASSWORD)
    proven = await authenticator.authenticate(f"Bearer {tokens.access_token}")
    assert (proven.kind, proven.user_id, proven.scopes) == (CallerKind.USER, ada.id, frozenset())
    assert (tokens.user_id, tokens.expires_in_s) == (ada.id, 900)


async def test_an_administrators_token_holds_every_scope(
    sessions: Sessions, authenticator: Authenticator, memory_stores: Stores, passwords: PasswordHasher
) -> None:
    """All that are known."""
    root = make_user(email="root@example.com", role=Role.ADMINISTRATOR)
    await memory_stores.users.insert(FIRST_PROJECT, root, await passwords.hash(PASSWORD))
    tokens = await sessions.log_in(FIRST_PROJECT, "root@example.com", PASSWORD)
    assert (await authenticator.authenticate(f"bearer {tokens.access_token}")).scopes == frozenset(Scope)


async def test_the_token_says_what_rfc_9068_wants(sessions: Sessions, ada: User, real_clock: Clock) -> None:
    """Type, algorithm, issuer, audience, a life of 15 minutes, an id of its own."""
    token = (await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)).access_token
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (header["typ"], header["alg"]) == ("at+jwt", "EdDSA")
    assert (claims["iss"], claims["aud"], claims["sub"], claims["role"], claims["scope"]) == ("clarion", "clarion", ada.id, "member", "")
    assert claims["exp"] - claims["iat"] == 900
    assert claims["iat"] == int(real_clock.now.timestamp())
    assert ids.parse(claims["jti"]) is not None


async def test_an_expired_token_is_told_apart_from_a_wrong_one(
    sessions: Sessions, authenticator: Authenticator, ada: User, real_clock: Clock
) -> None:
    """So that a client knows that it should refresh."""
    real_clock.advance(minutes=-16)
    tokens = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    with pytest.raises(Unauthenticated) as expired:
        await authenticator.authenticate(f"Bearer {tokens.access_token}")
    assert expired.value.reason == "TOKEN_EXPIRED"
    with pytest.raises(Unauthenticated) as forged:
        await authenticator.authenticate(f"Bearer {tokens.access_token[:-6]}AAAAAA")
    assert forged.value.reason == "CREDENTIALS_INVALID"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.com", "wrong password"),
        ("eve@example.com", PASSWORD),
        ("nul\0@example.com", PASSWORD),
        ("nopassword@example.com", PASSWORD),
        ("", PASSWORD),
    ],
)
async def test_a_failed_login_does_not_tell_why(sessions: Sessions, memory_stores: Stores, ada: User, email: str, password: str) -> None:
    """Wrong password, unknown address, a person without a password: one answer."""
    await memory_stores.users.insert(FIRST_PROJECT, make_user(email="nopassword@example.com"), None)
    with pytest.raises(LoginFailed, match=r"^the e-mail address or the password is wrong$"):
        await sessions.log_in(FIRST_PROJECT, email, password)


async def test_an_unknown_address_costs_a_verification_too() -> None:
    """Time must not tell who is known: the decoy is as expensive as a real hash."""
    hasher = PasswordHasher()
    try:
        real = await hasher.hash(PASSWORD)
        await hasher.verify("warm up", None)
        spent: dict[str | None, float] = {}
        for password_hash in (real, None):
            started = time.process_time()
            assert not await hasher.verify("wrong", password_hash)
            spent[password_hash] = time.process_time() - started
        # A tenth is a generous bound: without the decoy it would be a thousandth.
        assert spent[None] > spent[real] / 10
    finally:
        hasher.close()


async def test_a_flood_of_log_ins_is_shed_at_once() -> None:
    """What is queued is bounded, and there is room again when it is done."""
    hasher = PasswordHasher(memory_kib=1024, time_cost=1, threads=1, most_waiting=4)
    calls = await asyncio.gather(*(hasher.verify("x", None) for _ in range(300)), return_exceptions=True)
    assert [call for call in calls if not isinstance(call, TooManyLogins)] == [False] * 4
    await asyncio.sleep(0)
    assert await hasher.verify("x", None) is False
    hasher.close()


async def test_hashing_leaves_the_event_loop_alone() -> None:
    """While many passwords are hashed, other work goes on."""
    hasher = PasswordHasher(threads=1)
    try:
        hashing = asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(4)))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10
        assert len(set(await hashing)) == 4
    finally:
        hasher.close()


async def test_an_old_hash_is_replaced_at_login(sessions: Sessions, memory_stores: Stores) -> None:
    """Parameters can be raised without anybody's help."""
    weaker = PasswordHasher(memory_kib=32, time_cost=1)
    user = make_user(email="old@example.com")
    try:
        await memory_stores.users.insert(FIRST_PROJECT, user, await weaker.hash(PASSWORD))
    finally:
        weaker.close()
    await sessions.log_in(FIRST_PROJECT, "old@example.com", PASSWORD)
    login = await memory_stores.sessions.find_login(FIRST_PROJECT, "old@example.com")
    assert login is not None
    assert login.password_hash is not None
    assert "m=64" in login.password_hash
    await sessions.log_in(FIRST_PROJECT, "old@example.com", PASSWORD)


async def test_a_refresh_token_works_once(sessions: Sessions, ada: User, real_clock: Clock) -> None:
    """Using it again revokes all that came from the same login, and nothing else."""
    first = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    elsewhere = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    second = await sessions.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    real_clock.advance(seconds=REFRESH_GRACE.total_seconds())
    with pytest.raises(RefreshRejected):
        await sessions.refresh(first.refresh_token)
    with pytest.raises(RefreshRejected):
        await sessions.refresh(second.refresh_token)
    assert (await sessions.refresh(elsewhere.refresh_token)).user_id == ada.id


async def test_two_tabs_with_one_refresh_token_both_stay_logged_in(sessions: Sessions, ada: User, real_clock: Clock) -> None:
    """For a moment the token gives the same next one, which goes on once; a later use ends the session."""
    first = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    one, two = await sessions.refresh(first.refresh_token), await sessions.refresh(first.refresh_token)
    assert (one.refresh_token, one.user_id) == (two.refresh_token, ada.id)
    assert (await sessions.refresh(one.refresh_token)).refresh_token != one.refresh_token
    real_clock.advance(seconds=REFRESH_GRACE.total_seconds())
    for late in (first, one):
        with pytest.raises(RefreshRejected):
            await sessions.refresh(late.refresh_token)


def test_a_successor_is_the_same_each_time_and_another_under_another_secret() -> None:
    """Without the service's secret, a token does not show what follows it."""
    assert Successors(SECRET).of("token") == Successors(SECRET).of("token")
    assert len({Successors(SECRET).of("token"), Successors(SECRET).of("other"), Successors(f"{SECRET}2").of("token")}) == 3


async def test_a_refresh_token_lives_30_days(sessions: Sessions, ada: User, real_clock: Clock) -> None:
    """From when it was made; each next one lives as long."""
    tokens = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    real_clock.advance(days=29)
    tokens = await sessions.refresh(tokens.refresh_token)
    real_clock.advance(days=29)
    tokens = await sessions.refresh(tokens.refresh_token)
    real_clock.advance(days=30)
    with pytest.raises(RefreshRejected):
        await sessions.refresh(tokens.refresh_token)


async def test_no_token_outlives_a_session_that_an_issuer_gives(sessions: Sessions, ada: User, real_clock: Clock) -> None:
    tokens = await sessions.open_session(ada.id, Grant(), timedelta(hours=1), "company")
    assert tokens.expires_in_s == 900
    real_clock.advance(minutes=50)
    tokens = await sessions.refresh(tokens.refresh_token)
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert 590 <= claims["exp"] - claims["iat"] == tokens.expires_in_s <= 600


async def test_a_logout_ends_the_whole_family(sessions: Sessions, ada: User) -> None:
    """Also with a token that was used already; an unknown one is no error."""
    first = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    second = await sessions.refresh(first.refresh_token)
    await sessions.log_out(first.refresh_token)
    await sessions.log_out("unknown")
    with pytest.raises(RefreshRejected):
        await sessions.refresh(second.refresh_token)


NEW = "seven quiet rivers below"


async def test_a_new_password_ends_all_sessions_but_the_new_one(sessions: Sessions, ada: User) -> None:
    before = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    after = await sessions.change_password(caller(user_id=ada.id), PASSWORD, NEW)
    with pytest.raises(RefreshRejected):
        await sessions.refresh(before.refresh_token)
    assert (await sessions.refresh(after.refresh_token)).user_id == ada.id
    with pytest.raises(LoginFailed):
        await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    assert (await sessions.log_in(FIRST_PROJECT, "ada@example.com", NEW)).user_id == ada.id


async def test_a_stolen_token_changes_neither_password_nor_address(sessions: Sessions, ada: User) -> None:
    """Without the password it is worth 15 minutes, and no program has one at all."""
    thief = caller(user_id=ada.id)
    for refused in (
        sessions.change_password(thief, "a guess of the thief", NEW),
        sessions.change_email(thief, "another", "eve@example.com"),
    ):
        with pytest.raises(WrongPassword):
            await refused
    with pytest.raises(PersonNeeded):
        await sessions.change_password(ADMINISTRATOR, PASSWORD, NEW)
    assert (await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)).user_id == ada.id


async def test_a_new_password_is_held_to_the_rules(sessions: Sessions, ada: User) -> None:
    for poor in ("short", "passwordpassword", "ada@example.com"):
        with pytest.raises(InvalidArgument) as refused:
            await sessions.change_password(caller(user_id=ada.id), PASSWORD, poor)
        assert refused.value.violations[0].field == "new_password"


async def test_a_new_address_does_not_tell_who_is_known(sessions: Sessions, memory_stores: Stores, ada: User) -> None:
    """A member is refused another's address without a word about that person, and gets a free one."""
    await memory_stores.users.insert(FIRST_PROJECT, make_user(email="bob@example.com"), None)
    with pytest.raises(InvalidArgument) as refused:
        await sessions.change_email(caller(user_id=ada.id), PASSWORD, "bob@example.com")
    assert refused.value.reason == "ADDRESS_REFUSED"
    assert "another user" not in str(refused.value)
    await sessions.change_email(caller(user_id=ada.id), PASSWORD, "countess@example.com")
    assert (await sessions.log_in(FIRST_PROJECT, "countess@example.com", PASSWORD)).user_id == ada.id


async def test_a_deleted_person_cannot_refresh(sessions: Sessions, memory_stores: Stores, ada: User) -> None:
    """Their refresh tokens went with them."""
    tokens = await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)
    await memory_stores.users.delete(FIRST_PROJECT, ada.id)
    with pytest.raises(RefreshRejected):
        await sessions.refresh(tokens.refresh_token)
    with pytest.raises(LoginFailed):
        await sessions.log_in(FIRST_PROJECT, "ada@example.com", PASSWORD)


async def test_an_api_key_is_shown_once_and_kept_as_a_hash(
    administrator: Caller, api_keys: ApiKeys, memory_stores: Stores, real_clock: Clock
) -> None:
    """Its prefix stays visible, its scopes are sorted and unique."""
    key, secret = await api_keys.create_api_key(
        administrator, name="shop", scopes=["users:read", "notifications:send", "users:read"], expire_time=None, test=False
    )
    assert secret.startswith("clk_live_")
    assert len(secret) == len("clk_live_") + 43
    assert (key.prefix, key.scopes) == (secret[:13], ("notifications:send", "users:read"))
    stored = await memory_stores.api_keys.find(hashlib.sha256(secret.encode()).digest())
    assert stored == key
    assert secret not in repr(stored)


async def test_an_api_key_calls_with_its_scopes(administrator: Caller, api_keys: ApiKeys, authenticator: Authenticator) -> None:
    """It is nobody's own token, so it owns nothing."""
    key, secret = await api_keys.create_api_key(administrator, name="shop", scopes=["users:read"], expire_time=None, test=True)
    assert secret.startswith("clk_test_")
    proven = await authenticator.authenticate(f"Bearer {secret}")
    assert (proven.kind, proven.id, proven.scopes, proven.user_id) == (CallerKind.API_KEY, key.id, {"users:read"}, None)


async def test_an_api_key_stops_when_it_expires(administrator: Caller, api_keys: ApiKeys, real_clock: Clock) -> None:
    """It disappears from the list too."""
    until = real_clock.now + timedelta(hours=1)
    key, _ = await api_keys.create_api_key(administrator, name="shop", scopes=["users:read"], expire_time=until, test=False)
    assert (await api_keys.get_by_hash(key.sha256)).expire_time == until
    real_clock.advance(hours=1)
    assert (await api_keys.list_api_keys(administrator, 0, "")).items == ()


@pytest.mark.parametrize("scope", ["users:*", "admin", "", "USERS:READ"])
async def test_an_unknown_scope_is_refused(administrator: Caller, api_keys: ApiKeys, scope: str) -> None:
    """The message tells which there are."""
    with pytest.raises(InvalidArgument, match=r"^scopes\[1\]: is not a scope; there are apikeys:admin, apikeys:write, "):
        await api_keys.create_api_key(administrator, name="x", scopes=["users:read", scope], expire_time=None, test=False)


async def test_nobody_gives_a_scope_that_they_lack(api_keys: ApiKeys) -> None:
    """A key can't make a mightier key."""
    with pytest.raises(ScopeNotHeld, match="users:write"):
        await api_keys.create_api_key(
            caller("apikeys:write", "users:read"), name="x", scopes=["users:read", "users:write"], expire_time=None, test=False
        )


async def test_bad_descriptions_of_a_key_are_refused(administrator: Caller, api_keys: ApiKeys, real_clock: Clock) -> None:
    """A time that is not in the future, a name with control characters."""
    with pytest.raises(InvalidArgument, match="expire_time: must be in the future"):
        await api_keys.create_api_key(administrator, name="x", scopes=["users:read"], expire_time=real_clock.now, test=False)
    with pytest.raises(InvalidArgument, match="name"):
        await api_keys.create_api_key(administrator, name="a\nb", scopes=["users:read"], expire_time=None, test=False)


async def test_keys_are_listed_newest_first_and_revoked(administrator: Caller, api_keys: ApiKeys) -> None:
    """A revoked key is gone at once; revoking what is not there is told."""
    made = [
        (await api_keys.create_api_key(administrator, name=str(number), scopes=["users:read"], expire_time=None, test=False))[0]
        for number in range(3)
    ]
    page = await api_keys.list_api_keys(administrator, 2, "")
    rest = await api_keys.list_api_keys(administrator, 2, page.next_token)
    assert [key.name for key in (*page.items, *rest.items)] == ["2", "1", "0"]
    await api_keys.delete_api_key(administrator, made[0].id)
    assert (await api_keys.get_by_hash(made[0].sha256)).revoke_time is not None
    for key_id in (made[0].id, ids.new_id(), "guess"):
        with pytest.raises(ApiKeyNotFound):
            await api_keys.delete_api_key(administrator, key_id)


async def make_key(api_keys: ApiKeys, maker: Caller, *scopes: str, expire_time: datetime | None = None) -> tuple[Caller, str]:
    """A key as a caller, and its secret."""
    key, secret = await api_keys.create_api_key(maker, name="x", scopes=scopes, expire_time=expire_time, test=True)
    return Caller(CallerKind.API_KEY, key.id, frozenset(key.scopes)), secret


async def test_a_key_does_not_outlive_the_one_that_made_it(api_keys: ApiKeys, administrator: Caller, real_clock: Clock) -> None:
    """Its end is its maker's, unless it asks for an earlier one."""
    end = real_clock.now + timedelta(hours=1)
    maker, _ = await make_key(api_keys, administrator, "apikeys:write", "users:read", expire_time=end)
    made, _ = await api_keys.create_api_key(maker, name="x", scopes=["users:read"], expire_time=None, test=True)
    assert (made.expire_time, made.created_by) == (end, maker.id)
    with pytest.raises(ExpiresAfterMaker, match="expire_time: must not be after 20"):
        await make_key(api_keys, maker, "users:read", expire_time=end + timedelta(seconds=1))


async def test_revoking_a_key_revokes_all_that_were_made_with_it(
    api_keys: ApiKeys, administrator: Caller, authenticator: Authenticator
) -> None:
    """Down to the last, and no other."""
    root, root_secret = await make_key(api_keys, administrator, "apikeys:write", "users:read")
    child, child_secret = await make_key(api_keys, root, "apikeys:write", "users:read")
    _, grandchild_secret = await make_key(api_keys, child, "users:read")
    _, other_secret = await make_key(api_keys, administrator, "users:read")
    await api_keys.delete_api_key(administrator, root.id)
    for secret in (root_secret, child_secret, grandchild_secret):
        with pytest.raises(Unauthenticated) as refused:
            await authenticator.authenticate(f"Bearer {secret}")
        assert refused.value.reason == "CREDENTIAL_REVOKED"
    await authenticator.authenticate(f"Bearer {other_secret}")


async def test_a_revoked_key_or_a_deleted_person_makes_no_key(api_keys: ApiKeys, administrator: Caller, memory_stores: Stores) -> None:
    """Their token may still be believed for seconds: the writing of credentials looks at what is true now."""
    key, _ = await make_key(api_keys, administrator, "apikeys:write", "users:read")
    await api_keys.delete_api_key(administrator, key.id)
    await memory_stores.users.delete(FIRST_PROJECT, administrator.id)
    for gone in (key, administrator):
        with pytest.raises(MakerGone):
            await make_key(api_keys, gone, "users:read")


async def test_a_key_sees_and_revokes_its_own_family_only(api_keys: ApiKeys, administrator: Caller) -> None:
    """`apikeys:admin` opens the others'."""
    one, _ = await make_key(api_keys, administrator, "apikeys:write", "users:read")
    child, _ = await make_key(api_keys, one, "apikeys:write", "users:read")
    grandchild, _ = await make_key(api_keys, child, "users:read")
    other, _ = await make_key(api_keys, administrator, "users:read")
    assert [key.id for key in (await api_keys.list_api_keys(one, 0, "")).items] == [grandchild.id, child.id, one.id]
    assert len((await api_keys.list_api_keys(administrator, 0, "")).items) == 4
    for stranger in (other, one):
        with pytest.raises(ApiKeyNotFound):
            await api_keys.delete_api_key(child, stranger.id)
    await api_keys.delete_api_key(one, grandchild.id)


async def test_an_expired_key_says_so_to_its_holder(
    api_keys: ApiKeys, administrator: Caller, signing_keys: SigningKeys, real_clock: Clock
) -> None:
    """Who holds the secret may know what became of it."""
    end = real_clock.now + timedelta(hours=1)
    _, secret = await make_key(api_keys, administrator, "users:read", expire_time=end)
    source = LocalCredentials(signing_keys=signing_keys, api_keys=api_keys)
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET), clock=end.timestamp)
    with pytest.raises(Unauthenticated, match="has expired") as refused:
        await authenticator.authenticate(f"Bearer {secret}")
    assert refused.value.reason == "API_KEY_EXPIRED"
