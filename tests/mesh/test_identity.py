"""Bearer credentials."""

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
    token = ServiceIdentity("email_worker", SECRET).token()
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
