"""Bearer credentials."""

import base64
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.context import CallerKind
from mesh.errors import Unauthenticated
from mesh.identity import Authenticator, ServiceIdentity
from mesh.testing import SECRET, FakeCredentials

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
