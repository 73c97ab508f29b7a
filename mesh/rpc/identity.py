"""Who a bearer credential stands for: access tokens (RFC 9068), API keys, and the tokens of services (checked as RFC 8725 says)."""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from mesh.context import FIRST_PROJECT, Bounds, Caller, CallerKind
from mesh.errors import DeadlineExceeded, Unauthenticated, Unavailable
from mesh.resilience.single_flight import SingleFlight
from mesh.rpc.revocations import Revocations, key_subject, session_subject, user_subject
from mesh.rpc.service_keys import ServiceKeys

log = logging.getLogger(__name__)

AUDIENCE = "clarion"
ISSUER = "clarion"
ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105  a media type, not a secret
SERVICE_TOKEN_INVALID = "SERVICE_TOKEN_INVALID"  # noqa: S105  the reason of an error, not a secret
SERVICE_TOKEN_TYPE = "svc+jwt"  # noqa: S105  a media type, not a secret
API_KEY_PREFIX = "clk_"

_SERVICE_TOKEN_S = 60
# clocks of two machines may differ by a minute
_LEEWAY_S = 60
# how long a proven credential is believed without asking again: the most that a revocation can lag where Redis does not bring it sooner
_KEY_CACHE_S = 4.0
# and how long while user_svc is down; nothing can be revoked then either
_KEY_STALE_S = 600.0
_TOKEN_CACHE_S = 30.0
_CACHE_SIZE = 10_000
# An unknown key id makes us ask for the key set again, at most this often: forged ids must not become load on user_svc.
# A new key is published for longer than this before it signs.
JWKS_REFETCH_S = 5.0
_JWKS_RETRY_S = 1.0
_JWKS_MAX_AGE_S = 600.0


@dataclass(frozen=True, slots=True)
class ApiKeyInfo:
    """What a presented API key stands for. `expires_at` is seconds since the epoch; None means never."""

    id: str
    name: str
    scopes: frozenset[str]
    expires_at: float | None = None
    revoked: bool = False
    project: str = FIRST_PROJECT
    test: bool = False
    bounds: Bounds = ()


class CredentialSource(Protocol):
    """Where keys come from: user_svc's own database there, its RPCs everywhere else."""

    async def jwks(self) -> Sequence[dict[str, Any]]:
        """The public keys of access tokens as JWK dictionaries."""

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        """The key with this SHA-256, working or not; None when it is unknown."""


class ServiceIdentity:
    """Makes and checks the tokens (EdDSA) by which services know each other, signed with a service's own key for one callee and a minute.

    `keys` is a `ServiceKeys`, or the secret from which development derives everyone's.
    """

    def __init__(
        self, service: str, keys: ServiceKeys | str, *, lifetime_s: int = _SERVICE_TOKEN_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._keys = ServiceKeys.derived(service, keys) if isinstance(keys, str) else keys
        self._tokens: dict[str, tuple[str, float]] = {}

    def token(self, *audience: str) -> str:
        """This process's own token for the service that is called, renewed at half its life."""
        now = self._clock()
        place = ",".join(audience)
        token, renew_at = self._tokens.get(place, ("", 0.0))
        if now >= renew_at:
            claims = {"iss": self._service, "aud": list(audience), "iat": int(now), "exp": int(now) + self._lifetime_s}
            headers = {"typ": SERVICE_TOKEN_TYPE, "kid": self._keys.key_id}
            token = jwt.encode(claims, self._keys.private_key, algorithm="EdDSA", headers=headers)
            self._tokens[place] = token, now + self._lifetime_s / 2
        return token

    def verify(self, token: str) -> tuple[Caller, float]:
        """The service behind a token that was made for this one, and when the token expires. Raises Unauthenticated."""
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
            issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
            key = self._keys.public_key(kid, issuer)
            if key is None:
                raise _service_rejected()
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self._service,
                issuer=issuer,
                leeway=_LEEWAY_S,
                options={"require": ["iss", "exp", "iat", "aud"]},
            )
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
            # the signature is right, so it is a service's: it renews its token long before the end, by its own clock
            log.warning("a service's token is out of time here: compare clarion_clock_skew_seconds", extra={"cause": type(error).__name__})
            raise _service_rejected() from None
        except (jwt.InvalidTokenError, ValueError):
            raise _service_rejected() from None
        return Caller(CallerKind.SERVICE, issuer), float(claims["exp"])


@dataclass(frozen=True, slots=True)
class _Proven:
    """A caller, until when it is believed, and until when while user_svc is down; seconds since the epoch."""

    caller: Caller
    until: float
    stale_until: float


class Authenticator:
    """Turns an Authorization value into a caller. What was proven is kept for seconds, so that a busy caller costs a look-up rarely.

    While the source is down API keys that it has confirmed are believed for minutes, and its public keys go on being used.
    """

    def __init__(
        self,
        source: CredentialSource,
        identity: ServiceIdentity,
        *,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._identity = identity
        self._revocations = revocations
        self._clock = clock
        self._proven: OrderedDict[bytes, _Proven] = OrderedDict()
        self._jwks: dict[str, jwt.PyJWK] = {}
        self._jwks_at = float("-inf")
        self._jwks_failed_at = float("-inf")
        self._look_ups: SingleFlight[bytes, ApiKeyInfo | None] = SingleFlight(source.look_up_api_key)
        self._fetches: SingleFlight[None, None] = SingleFlight(self._fetch_jwks)

    async def authenticate(self, authorization: str) -> Caller:
        """The caller. Raises Unauthenticated when the credential is malformed, unknown, revoked or expired."""
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise _rejected("the Authorization header must be 'Bearer' and an access token or API key")
        credential = credential.strip()
        digest = hashlib.sha256(credential.encode()).digest()
        known = self._proven.get(digest)
        if known is not None and self._clock() < known.until:
            self._refuse_revoked(known.caller)
            return known.caller
        try:
            proven = await (self._api_key(digest) if credential.startswith(API_KEY_PREFIX) else self._token(credential))
        except Unauthenticated:
            self._proven.pop(digest, None)
            raise
        except (Unavailable, DeadlineExceeded):
            if known is None or self._clock() >= known.stale_until:
                raise
            self._refuse_revoked(known.caller)
            return known.caller
        self._refuse_revoked(proven.caller)
        self._proven[digest] = proven
        self._proven.move_to_end(digest)
        if len(self._proven) > _CACHE_SIZE:
            self._proven.popitem(last=False)
        return proven.caller

    def _refuse_revoked(self, caller: Caller) -> None:
        if self._revocations is not None and self._revocations.includes(caller.subjects):
            raise _revoked()

    async def _api_key(self, digest: bytes) -> _Proven:
        info = await self._look_ups(digest)
        now = self._clock()
        if info is None:
            raise _rejected("the API key is not valid")
        if info.revoked:
            raise _revoked()
        end = float("inf") if info.expires_at is None else info.expires_at
        if end <= now:
            raise Unauthenticated("the API key has expired; create a new one", reason="API_KEY_EXPIRED")
        caller = Caller(
            CallerKind.API_KEY,
            info.id,
            info.scopes,
            name=info.name,
            subjects=(key_subject(info.id),),
            expires_at=info.expires_at,
            project=info.project,
            test=info.test,
            bounds=info.bounds,
        )
        return _Proven(caller, min(now + _KEY_CACHE_S, end), min(now + _KEY_STALE_S, end))

    async def _token(self, token: str) -> _Proven:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise _rejected("the access token is not valid") from None
        if header.get("typ") == SERVICE_TOKEN_TYPE:
            caller, expires_at = self._identity.verify(token)
        elif header.get("typ") == ACCESS_TOKEN_TYPE:
            caller, expires_at = _verify_access_token(token, await self._key(str(header.get("kid", ""))))
        else:
            raise _rejected("the access token is not valid")
        until = min(expires_at, self._clock() + _TOKEN_CACHE_S)
        return _Proven(caller, until, until)

    async def _key(self, kid: str) -> jwt.PyJWK:
        """The key set is fetched once for all who wait, at most once in an interval, whatever ids are presented."""
        now = time.monotonic()
        age = now - self._jwks_at
        if age > _JWKS_MAX_AGE_S or (kid not in self._jwks and age > JWKS_REFETCH_S):
            if now - self._jwks_failed_at > _JWKS_RETRY_S:
                try:
                    await self._fetches(None)
                except (Unavailable, DeadlineExceeded):
                    if kid not in self._jwks:
                        raise
            elif kid not in self._jwks:
                raise Unavailable("the keys of access tokens can't be read now", reason="KEYS_UNAVAILABLE", retry_after_s=_JWKS_RETRY_S)
        if kid not in self._jwks:
            raise _rejected("the access token is not valid")
        return self._jwks[kid]

    async def _fetch_jwks(self, _: None) -> None:
        try:
            keys = await self._source.jwks()
        except (Unavailable, DeadlineExceeded):
            self._jwks_failed_at = time.monotonic()
            raise
        self._jwks = {str(key["kid"]): jwt.PyJWK(key, algorithm="EdDSA") for key in keys}
        self._jwks_at = time.monotonic()


def _verify_access_token(token: str, key: jwt.PyJWK) -> tuple[Caller, float]:
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=_LEEWAY_S,
            options={"require": ["iss", "sub", "exp", "iat", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("the access token has expired", reason="TOKEN_EXPIRED") from None
    except jwt.InvalidTokenError:
        raise _rejected("the access token is not valid") from None
    scopes = frozenset(str(claims.get("scope", "")).split())
    user_id, expires_at = str(claims["sub"]), float(claims["exp"])
    caller = Caller(
        CallerKind.USER,
        user_id,
        scopes,
        user_id=user_id,
        subjects=(user_subject(user_id), session_subject(str(claims.get("sid", "")))),
        expires_at=expires_at,
        project=str(claims.get("project", FIRST_PROJECT)),
    )
    return caller, expires_at


def _service_rejected() -> Unauthenticated:
    return Unauthenticated("the service token is not valid", reason=SERVICE_TOKEN_INVALID)


def _revoked() -> Unauthenticated:
    return Unauthenticated("the credential was revoked", reason="CREDENTIAL_REVOKED")


def _rejected(message: str) -> Unauthenticated:
    return Unauthenticated(message, reason="CREDENTIALS_INVALID")
