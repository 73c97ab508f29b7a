"""Calls to issuers: their description, their keys, and what they give for a code. Each has a deadline; redirects are not followed."""

import asyncio
import base64
import logging
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from mesh.resilience.single_flight import SingleFlight
from user_svc.sign_in.errors import IssuerUnavailable, SignInRefused
from user_svc.sign_in.models import Answer, Issuer, Metadata
from user_svc.sign_in.settings import OidcSettings, is_safe_url

log = logging.getLogger(__name__)

_CALL_S = 4.0
_CONNECT_S = 2.0
_MOST_BYTES = 256 * 1024
_FRESH_S = 600.0
# Keys of an issuer are asked for anew no more often than this, whatever keys tokens name.
_KEYS_PAUSE_S = 30.0
_DISCOVERY = "/.well-known/openid-configuration"


class IssuerClient:
    """Implements `sign_in.use_cases.Issuers`. `open_issuers` makes one."""

    def __init__(self, session: aiohttp.ClientSession, issuers: tuple[Issuer, ...]) -> None:
        self._session = session
        self._issuers = {issuer.id: issuer for issuer in issuers}
        self._described: dict[str, tuple[float, Metadata]] = {}
        self._keys: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._describe = SingleFlight(self._discover)
        self._fetch_keys = SingleFlight(self._load_keys)

    async def metadata(self, issuer: Issuer) -> Metadata:
        """What the issuer says of itself, at most ten minutes old. Raises IssuerUnavailable."""
        known = self._described.get(issuer.id)
        if known is not None and time.monotonic() - known[0] < _FRESH_S:
            return known[1]
        return await self._describe(issuer.id)

    async def keys(self, issuer: Issuer, *, again: bool = False) -> Mapping[str, Any]:
        """Its JWK Set; `again` where a token names a key that is not in it. Raises IssuerUnavailable."""
        known = self._keys.get(issuer.id)
        if known is not None and time.monotonic() - known[0] < (_KEYS_PAUSE_S if again else _FRESH_S):
            return known[1]
        return await self._fetch_keys(issuer.id)

    async def exchange(self, issuer: Issuer, code: str, verifier: str) -> Answer:
        """What it gives for a code. Raises IssuerUnavailable, or SignInRefused where it does not take the code."""
        metadata = await self.metadata(issuer)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": issuer.redirect_url, "code_verifier": verifier}
        headers = {}
        if issuer.client_secret and not metadata.secret_in_body:
            headers["authorization"] = _basic(issuer)
        else:
            form["client_id"] = issuer.client_id
            if issuer.client_secret:
                form["client_secret"] = issuer.client_secret
        status, answer = await self._call("POST", issuer, metadata.token_url, data=form, headers=headers)
        if status == HTTPStatus.BAD_REQUEST and answer.get("error") == "invalid_grant":
            raise SignInRefused("code", "is not accepted by the issuer: it was used before, is too old, or is for another client")
        if status != HTTPStatus.OK:
            raise self._bad(issuer, f"does not give a token ({status}): look at client_id, client_secret and the redirect address")
        tokens = answer.get("id_token"), answer.get("access_token")
        if not isinstance(tokens[0], str) or not isinstance(tokens[1], str):
            raise self._bad(issuer, "gives no ID token")
        return Answer(tokens[0], tokens[1])

    async def user_info(self, issuer: Issuer, access_token: str) -> Mapping[str, Any]:
        """What it says about the person beside the ID token; nothing where it says nothing. Raises IssuerUnavailable."""
        url = (await self.metadata(issuer)).user_info_url
        if not url:
            return {}
        status, answer = await self._call("GET", issuer, url, headers={"authorization": f"Bearer {access_token}"})
        if status != HTTPStatus.OK:
            raise self._bad(issuer, f"does not say who it is ({status})")
        return answer

    async def _discover(self, issuer_id: str) -> Metadata:
        issuer = self._issuers[issuer_id]
        status, found = await self._call("GET", issuer, issuer.url.rstrip("/") + _DISCOVERY)
        if status != HTTPStatus.OK:
            raise self._bad(issuer, f"does not describe itself ({status}): look at its url")
        if found.get("issuer") != issuer.url:
            raise self._bad(issuer, "calls itself something else than its url")
        urls = [str(found.get(name) or "") for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")]
        if not all(is_safe_url(url) for url in urls[:3]) or not (is_safe_url(urls[3]) or not urls[3]):
            raise self._bad(issuer, "names endpoints that are not https")
        listed = found.get("token_endpoint_auth_methods_supported")
        methods = listed if isinstance(listed, list) else ["client_secret_basic"]
        metadata = Metadata(
            authorization_url=urls[0],
            token_url=urls[1],
            keys_url=urls[2],
            user_info_url=urls[3],
            secret_in_body="client_secret_basic" not in methods and "client_secret_post" in methods,
            names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        )
        self._described[issuer_id] = time.monotonic(), metadata
        return metadata

    async def _load_keys(self, issuer_id: str) -> Mapping[str, Any]:
        issuer = self._issuers[issuer_id]
        status, keys = await self._call("GET", issuer, (await self.metadata(issuer)).keys_url)
        if status != HTTPStatus.OK:
            raise self._bad(issuer, f"does not show its keys ({status})")
        self._keys[issuer_id] = time.monotonic(), keys
        return keys

    async def _call(self, method: str, issuer: Issuer, url: str, **given: Any) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON object of an answer. Raises IssuerUnavailable."""
        try:
            async with (
                asyncio.timeout(_CALL_S),
                self._session.request(method, url, allow_redirects=False, **given) as response,
            ):
                body = bytearray()
                while len(body) <= _MOST_BYTES and (part := await response.content.read(_MOST_BYTES + 1 - len(body))):
                    body += part
                status = response.status
        except TimeoutError:
            raise self._bad(issuer, f"does not answer within {_CALL_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # an error's own words may hold addresses
            raise self._bad(issuer, f"is not reached ({type(error).__name__})") from None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._bad(issuer, f"answers {status}")
        try:
            answer = orjson.loads(bytes(body[:_MOST_BYTES]))
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            if status == HTTPStatus.OK:
                raise self._bad(issuer, "answers something that is no JSON object")
            answer = {}
        return status, answer

    @staticmethod
    def _bad(issuer: Issuer, what: str) -> IssuerUnavailable:
        log.warning("an issuer did not serve a sign-in", extra={"issuer": issuer.id, "what": what})
        return IssuerUnavailable(issuer.id, what)


@asynccontextmanager
async def open_issuers(settings: OidcSettings) -> AsyncIterator[IssuerClient]:
    """Never goes through a proxy of the environment, and keeps no cookies."""
    trust = ssl.create_default_context(cafile=settings.ca_file or None)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
        headers={"accept": "application/json", "user-agent": "Clarion"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as session:
        yield IssuerClient(session, settings.issuers)


def _basic(issuer: Issuer) -> str:
    """Each half is encoded as a form's value first (RFC 6749, section 2.3.1)."""
    both = f"{quote(issuer.client_id, safe='')}:{quote(issuer.client_secret, safe='')}"
    return "Basic " + base64.b64encode(both.encode()).decode()
