"""Checks an ID token (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725).

PyJWT checks signature and times, as it does for our own tokens: one library for tokens, which docs/decisions/0013 gives the reasons for.
The algorithm follows from the key, never from the token, and no key is taken out of a token or from an address that one names.
"""

import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
from jwt import PyJWK

from user_svc.sign_in.errors import SignInRefused
from user_svc.sign_in.models import Claims, Issuer

# What keys of a kind sign with, beside the `alg` that a key may name itself. No secret that both sides share is among them.
_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
# Clocks of two machines may differ by a minute.
_LEEWAY_S = 60
_FIELD = "id_token"
_RULES: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "has expired; if this happens always, the clocks of the issuer and of Clarion differ"),
    (jwt.ImmatureSignatureError, "is not valid yet; if this happens always, the clocks of the issuer and of Clarion differ"),
    (jwt.InvalidAudienceError, "is for another client (aud)"),
    (jwt.InvalidIssuerError, "is of another issuer (iss)"),
    (jwt.MissingRequiredClaimError, "lacks one of iss, sub, aud, exp, iat and nonce"),
    (jwt.InvalidAlgorithmError, "is signed with an algorithm that its key is not for"),
    (jwt.InvalidSignatureError, "is not signed by the issuer"),
)


class KeyUnknown(Exception):
    """The token names a key that is not in the set: the issuer may have a new one."""


class Key(NamedTuple):
    """A public key, and what it signs with."""

    key: PyJWK
    algorithms: tuple[str, ...]


def find_key(token: str, keys: Mapping[str, Any]) -> Key:
    """The issuer's key that a token names, out of a JWK Set. Raises KeyUnknown, or SignInRefused for what is no token."""
    try:
        wanted = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise SignInRefused(_FIELD, "is no signed token") from None
    listed = keys.get("keys")
    fitting = [jwk for jwk in listed if _fits(jwk, wanted)] if isinstance(listed, list) else []
    if len(fitting) != 1:
        raise KeyUnknown
    kinds, named = _ALGORITHMS[fitting[0]["kty"]], fitting[0].get("alg")
    if named is not None and named not in kinds:
        raise KeyUnknown
    try:
        return Key(PyJWK(fitting[0]), kinds if named is None else (named,))
    except jwt.PyJWTError:
        raise KeyUnknown from None


def _fits(jwk: Any, kid: str | None) -> bool:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kty"), str) or jwk["kty"] not in _ALGORITHMS:
        return False
    return jwk.get("use") != "enc" and (kid is None or kid == jwk.get("kid"))


def check_id_token(token: str, key: Key, issuer: Issuer, nonce: str) -> Claims:
    """What the token says. Raises SignInRefused with the rule that it breaks."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key.key,
            algorithms=key.algorithms,
            audience=issuer.client_id,
            issuer=issuer.url,
            leeway=_LEEWAY_S,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )
    except jwt.PyJWTError as error:
        rule = next((words for kind, words in _RULES if isinstance(error, kind)), "is malformed")
        raise SignInRefused(_FIELD, rule) from None
    named = claims["nonce"]
    if not isinstance(named, str) or not named.isascii() or not hmac.compare_digest(named, nonce):
        raise SignInRefused(_FIELD, "was made for another sign-in (nonce)")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else issuer.client_id) != issuer.client_id:
        raise SignInRefused(_FIELD, "was given to another client (azp)")
    return claims
