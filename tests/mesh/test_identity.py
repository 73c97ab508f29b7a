"""Bearer credentials."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.context import CallerKind
from mesh.errors import Unauthenticated, Unavailable
from mesh.rpc.identity import ApiKeyInfo, Authenticator, ServiceIdentity
from mesh.rpc.revocations import Revocations, user_subject
from mesh.testing import SECRET, FakeClock, FakeCredentials

KEY = Ed25519PrivateKey.generate()


def _jwk(key: Ed25519PrivateKey, kid: str) -> dict[str, Any]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), "alg": "EdDSA"}


def _token(key: Any = KEY, *, kid: str = "k1", typ: str = "at+jwt", algorithm: str = "EdDSA", **claims: Any) -> str:
    now = int(time.time())
    body = {"iss": "clarion", "aud": "clarion", "sub": "user-1", "iat": now, "exp": now + 60, "scope": "", **claims}
    return jwt.encode({k: v for k, v in body.items() if v is not None}, key, algorithm=algorithm, headers={"kid": kid, "typ": typ})


def _authenticator() -> Authenticator:
    source = FakeCredentials()
    source.public = [_jwk(KEY, "k1")]
    return Authenticator(source, ServiceIdentity("test", SECRET))


async def test_a_good_access_token_names_the_person_and_scopes() -> None:
    """The subject becomes the user id."""
    caller = await _authenticator().authenticate(f"Bearer {_token(scope='users:read templates:read')}")
    assert (caller.kind, caller.user_id) == (CallerKind.USER, "user-1")
    assert caller.scopes == {"users:read", "templates:read"}
    assert caller.confined_to("users:read") is None
    assert caller.confined_to("users:write") == "user-1"


@pytest.mark.parametrize(
    "credential",
    [
        _token(exp=int(time.time()) - 60),
        _token(aud="other"),
        _token(iss="other"),
        _token(kid="unknown"),
        _token(typ="JWT"),
        _token(sub=None),
        _token(Ed25519PrivateKey.generate()),
        _token("0123456789abcdef0123456789abcdef", algorithm="HS256"),
        _token(SECRET, algorithm="HS256", typ="svc+jwt"),
        "clk_live_unknown",
        "not.a.token",
        "é",
    ],
    ids=[
        "expired",
        "audience",
        "issuer",
        "kid",
        "typ",
        "no subject",
        "other key",
        "hmac",
        "service",
        "key",
        "noise",
        "é",
    ],
)
async def test_every_other_credential_is_refused(credential: str) -> None:
    """RFC 8725: algorithm, type, issuer, audience, time and key are all ours to say."""
    with pytest.raises(Unauthenticated) as caught:
        await _authenticator().authenticate(f"Bearer {credential}")
    assert credential not in caught.value.message


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic dTpw", "token"])
async def test_a_header_of_another_form_is_refused(authorization: str) -> None:
    """Only 'Bearer <credential>' is understood."""
    with pytest.raises(Unauthenticated):
        await _authenticator().authenticate(authorization)


async def test_a_service_token_names_the_service() -> None:
    """Services hold every scope."""
    token = ServiceIdentity("email_worker", SECRET).token("test")
    caller = await _authenticator().authenticate(f"bearer {token}")
    assert (caller.kind, caller.id) == (CallerKind.SERVICE, "email_worker")
    assert caller.has("users:read")


class Fragile(FakeCredentials):
    """A source that can be down."""

    down = False

    async def jwks(self) -> Sequence[dict[str, Any]]:
        self._check()
        return await super().jwks()

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        self._check()
        return await super().look_up_api_key(sha256)

    def _check(self) -> None:
        if self.down:
            raise Unavailable("down", reason="DATABASE_UNAVAILABLE", retry_after_s=1)


@pytest.mark.parametrize(("expires_s", "believed_s"), [(None, 600.0), (60.0, 60.0)])
async def test_while_nobody_can_be_asked_a_confirmed_key_is_believed_for_minutes(expires_s: float | None, believed_s: float) -> None:
    """Never beyond its own end; one that was not confirmed gets the error, which says when to come again."""
    source, clock = Fragile(), FakeClock()
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET), clock=clock)
    for name in ("clk_test_known", "clk_test_new"):
        end = None if expires_s is None else clock.now + expires_s
        source.keys[hashlib.sha256(name.encode()).digest()] = ApiKeyInfo(name, name, frozenset({"users:read"}), end)
    known = await authenticator.authenticate("Bearer clk_test_known")
    source.down = True
    clock.advance(believed_s - 1)
    assert await authenticator.authenticate("Bearer clk_test_known") == known
    with pytest.raises(Unavailable):
        await authenticator.authenticate("Bearer clk_test_new")
    clock.advance(1)
    with pytest.raises(Unavailable):
        await authenticator.authenticate("Bearer clk_test_known")


async def test_a_key_that_was_found_revoked_is_not_believed_later() -> None:
    source, clock = Fragile(), FakeClock()
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET), clock=clock)
    digest = hashlib.sha256(b"clk_test_known").digest()
    source.keys[digest] = ApiKeyInfo("id", "name", frozenset())
    await authenticator.authenticate("Bearer clk_test_known")
    del source.keys[digest]
    clock.advance(10)
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate("Bearer clk_test_known")
    source.down = True
    with pytest.raises(Unavailable):
        await authenticator.authenticate("Bearer clk_test_known")


class Slow(FakeCredentials):
    """Counts and holds up what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0
        self.go_on = asyncio.Event()

    async def jwks(self) -> Sequence[dict[str, Any]]:
        self.fetches += 1
        await self.go_on.wait()
        return await super().jwks()

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        await self.go_on.wait()
        return await super().look_up_api_key(sha256)


async def test_a_burst_of_unknown_key_ids_asks_for_the_keys_once() -> None:
    """One fetch for all who wait, and none before the interval is over; a good token among them is served."""
    source = Slow()
    source.public = [_jwk(KEY, "k1")]
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET))
    forged = [asyncio.create_task(authenticator.authenticate(f"Bearer {_token(kid=f'forged-{n}')}")) for n in range(300)]
    good = asyncio.create_task(authenticator.authenticate(f"Bearer {_token()}"))
    await asyncio.sleep(0)
    forged[0].cancel()
    source.go_on.set()
    answers = await asyncio.gather(*forged, return_exceptions=True)
    assert all(isinstance(answer, Unauthenticated) for answer in answers[1:])
    assert (await good).user_id == "user-1"
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(f"Bearer {_token(kid='one-more')}")
    assert source.fetches == 1


async def test_many_calls_with_one_key_look_it_up_once() -> None:
    """Also when they arrive together."""
    source = Slow()
    source.keys[hashlib.sha256(b"clk_test_busy").digest()] = ApiKeyInfo("id", "name", frozenset())
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET))
    calls = [asyncio.create_task(authenticator.authenticate("Bearer clk_test_busy")) for _ in range(50)]
    await asyncio.sleep(0)
    source.go_on.set()
    await asyncio.gather(*calls)
    assert source.look_ups == 1


@pytest.mark.parametrize("subject", [user_subject("user-1"), "session:s-1", "key:key-1"])
async def test_what_is_revoked_is_refused_at_once_while_its_source_is_down(subject: str) -> None:
    """A person, a session or a key, proven before or not; others go on."""
    source, revoked = Fragile(), list[str]()
    source.public = [_jwk(KEY, "k1")]
    source.keys = {hashlib.sha256(name.encode()).digest(): ApiKeyInfo(name[4:], name, frozenset()) for name in ("clk_key-1", "clk_key-2")}

    async def fetch() -> list[str]:
        return revoked

    revocations = Revocations(fetch)
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET), revocations=revocations)
    credential = "clk_key-1" if subject.startswith("key:") else _token(sid="s-1")
    others = ["clk_key-2", _token(sub="user-2", sid="s-2")]
    for each in (credential, *others):
        await authenticator.authenticate(f"Bearer {each}")
    source.down = True
    revoked.append(subject)
    await revocations.poll()
    with pytest.raises(Unauthenticated) as refused:
        await authenticator.authenticate(f"Bearer {credential}")
    assert refused.value.reason == "CREDENTIAL_REVOKED"
    for each in others:
        await authenticator.authenticate(f"Bearer {each}")


async def test_a_key_that_is_known_as_revoked_or_expired_says_so() -> None:
    """To who holds it; an unknown one is only not valid."""
    source, clock = FakeCredentials(), FakeClock()
    authenticator = Authenticator(source, ServiceIdentity("test", SECRET), clock=clock)
    source.keys[hashlib.sha256(b"clk_old").digest()] = ApiKeyInfo("1", "old", frozenset(), clock.now - 1)
    source.keys[hashlib.sha256(b"clk_revoked").digest()] = ApiKeyInfo("2", "revoked", frozenset(), revoked=True)
    for key, reason in {"clk_old": "API_KEY_EXPIRED", "clk_revoked": "CREDENTIAL_REVOKED", "clk_none": "CREDENTIALS_INVALID"}.items():
        with pytest.raises(Unauthenticated) as refused:
            await authenticator.authenticate(f"Bearer {key}")
        assert refused.value.reason == reason
