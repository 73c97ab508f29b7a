"""The rules of signing in at an issuer: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636, RFC 9700)."""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from mesh.errors import InvalidArgument, showable
from naming.email_address import check_email
from user_svc.audit.models import AuditKind, KeepEvent, NewEvent
from user_svc.auth.models import Grant, Tokens
from user_svc.sign_in.errors import AddressHeld, GroupMissing, IssuerNotFound, SignInRefused
from user_svc.sign_in.flows import FLOW_LIFE, Flows
from user_svc.sign_in.id_tokens import Key, KeyUnknown, check_id_token, find_key
from user_svc.sign_in.models import Answer, Claims, Flow, Issuer, Metadata, Person

_LONGEST_SUBJECT = 255
_LONGEST_NAME = 200
_MOST_GROUPS = 10_000
_NOTHING = Grant()


class Issuers(Protocol):
    """How issuers are asked. All raise IssuerUnavailable."""

    async def metadata(self, issuer: Issuer) -> Metadata: ...

    async def keys(self, issuer: Issuer, *, again: bool = False) -> Mapping[str, Any]: ...

    async def exchange(self, issuer: Issuer, code: str, verifier: str) -> Answer:
        """Raises SignInRefused where it does not take the code."""

    async def user_info(self, issuer: Issuer, access_token: str) -> Mapping[str, Any]: ...


class IdentityStore(Protocol):
    """Where it is kept who is who."""

    async def use_flow(self, flow_id: str, expire_time: datetime, now: datetime) -> bool:
        """Notes that a flow came back, and forgets those that have expired. False when it came back before."""

    async def withdraw(self, project: str, issuer_url: str, subject: str) -> None:
        """Whom the issuer names may do nothing here any more: what began there, and keys that they could not make now, end."""

    async def find_or_make(
        self, project: str, issuer_url: str, person: Person, now: datetime, *, link: bool, grant: Grant = _NOTHING
    ) -> str:
        """Our id of the person whom the issuer names; made at their first sign-in, or with `link` found by address.

        Keeps what they may do by it, and ends keys of theirs that may do more than they may by now.

        Raises AddressHeld or ProjectNotFound.
        """


# Opens a session for a person who may do this, which ends after so long, by an issuer of this id. Raises LoginFailed.
OpenSession = Callable[[str, Grant, timedelta, str], Awaitable[Tokens]]


class SignIns:
    """Leads people to their issuer, and in when they come back."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        client: Issuers,
        flows: Flows,
        identities: IdentityStore,
        *,
        open_session: OpenSession,
        audit: KeepEvent,
        now: Callable[[], datetime],
    ) -> None:
        self._issuers = {issuer.id: issuer for issuer in issuers}
        self._client = client
        self._flows = flows
        self._identities = identities
        self._open_session = open_session
        self._audit = audit
        self._now = now

    def list_issuers(self) -> Sequence[Issuer]:
        """In the order of the operator's file."""
        return tuple(self._issuers.values())

    async def begin(self, issuer_id: str) -> tuple[str, str]:
        """Where to send the browser, and what it keeps until it is back. Raises IssuerNotFound or IssuerUnavailable."""
        issuer = self._issuers.get(issuer_id)
        if issuer is None:
            raise IssuerNotFound
        metadata = await self._client.metadata(issuer)
        flow, kept = self._flows.begin(issuer.id, self._now())
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": issuer.client_id,
            "redirect_uri": issuer.redirect_url,
            "scope": " ".join(issuer.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        url = metadata.authorization_url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}", kept

    async def complete(self, kept: str, state: str, code: str, named_issuer: str) -> Tokens:
        """The session of whom the issuer names. Works once for what `begin` answered.

        Raises SignInRefused, IssuerNotFound, IssuerUnavailable, GroupMissing, AddressHeld or ProjectNotFound.
        """
        now = self._now()
        flow = self._flows.open(kept, now)
        issuer = self._issuers.get(flow.issuer)
        if issuer is None:
            raise IssuerNotFound
        try:
            if not hmac.compare_digest(flow.state.encode(), state.encode()):
                raise SignInRefused("state", "is that of another sign-in")
            return await self._finish(issuer, flow, code, named_issuer, now)
        except (SignInRefused, GroupMissing, AddressHeld) as error:
            await self._audit(NewEvent(issuer.project, AuditKind.SIGN_IN_FAILED, details={"by": issuer.id, "why": error.reason}))
            raise

    async def _finish(self, issuer: Issuer, flow: Flow, code: str, named_issuer: str, now: datetime) -> Tokens:
        metadata = await self._client.metadata(issuer)
        # mix-up (RFC 9207): another issuer's answer must not be taken to this one
        if named_issuer != issuer.url and (named_issuer or metadata.names_itself):
            raise SignInRefused("iss", "the answer is not from the issuer that was asked")
        if not await self._identities.use_flow(flow.id, flow.create_time + FLOW_LIFE, now):
            raise SignInRefused("state", "was used before")
        answer = await self._client.exchange(issuer, code, flow.verifier)
        claims = check_id_token(answer.id_token, await self._key(issuer, answer.id_token), issuer, flow.nonce)
        claims = await self._with_groups(issuer, claims, answer.access_token)
        granted = issuer.granted(_groups(claims.get(issuer.groups_claim)))
        person = _person(claims)
        if granted is None:
            await self._identities.withdraw(issuer.project, issuer.url, person.subject)
            raise GroupMissing
        user_id = await self._identities.find_or_make(issuer.project, issuer.url, person, now, link=issuer.link_by_email, grant=granted)
        return await self._open_session(user_id, granted, timedelta(hours=issuer.session_hours), issuer.id)

    async def _key(self, issuer: Issuer, token: str) -> Key:
        for again in (False, True):
            try:
                return find_key(token, await self._client.keys(issuer, again=again))
            except KeyUnknown:
                continue
        raise SignInRefused("id_token", "is signed with a key that is not the issuer's")

    async def _with_groups(self, issuer: Issuer, claims: Claims, access_token: str) -> Claims:
        """Some issuers name groups at the user info endpoint only, and what that says counts for the token's person only."""
        if issuer.groups_claim in claims:
            return claims
        more = await self._client.user_info(issuer, access_token)
        if more and more.get("sub") != claims["sub"]:
            raise SignInRefused("userinfo", "is about someone else (sub)")
        return {**more, **claims}


def _groups(claim: Any) -> frozenset[str]:
    named = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(group for group in named[:_MOST_GROUPS] if isinstance(group, str))


def _person(claims: Claims) -> Person:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not (subject.isascii() and subject.isprintable()):
        raise SignInRefused("id_token", f"has a sub that is no text of 1 to {_LONGEST_SUBJECT} ASCII characters")
    names = (claims.get(claim) for claim in ("name", "preferred_username"))
    name = next((name for name in names if isinstance(name, str) and name.strip()), subject)
    # what can't be shown is written out, which makes it longer
    return Person(subject, " ".join(showable(name).split())[:_LONGEST_NAME], _verified_address(claims))


def _verified_address(claims: Claims) -> str:
    """Some issuers write the truth of it as a text."""
    address = claims.get("email")
    verified = claims.get("email_verified")
    if not isinstance(address, str) or not (verified is True or verified == "true"):
        return ""
    try:
        return check_email("email", address)
    except InvalidArgument:
        return ""
