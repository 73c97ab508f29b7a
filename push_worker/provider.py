"""FCM through firebase-admin over HTTP/2, and what each kind of refusal means. Raises DeliveryError only."""

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from firebase_admin import exceptions, messaging

from delivery.errors import DeliveryError
from push_worker.answers import FCM_ERROR, Answer, refusal
from push_worker.credentials import AccessTokens, fetcher, load_credential
from push_worker.errors import FcmOutcomeUnknown, FcmRejected, FcmUnavailable
from push_worker.message import build_message
from push_worker.models import Push
from push_worker.settings import FcmSettings

log = logging.getLogger(__name__)

# FCM asks for a minute where a 429 names no time
_THROTTLED_S = 60.0
_MAX_RETRY_AFTER_S = 24 * 3600.0
# One connection carries 100 streams at FCM; more than a few do not help.
_CONNECTIONS = 4
_URGENT_SHARE = 4
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Messaging(messaging._MessagingService):  # type: ignore[misc]  # noqa: SLF001  see below
    """firebase-admin's error mapping over a client of ours, for messages that are in FCM's form already.

    Its own client refreshes credentials inside the event loop and retries 7 s long whatever Retry-After says (7.7), and there
    is no public way to switch either off. A test holds these names against the installed version.
    """

    def __init__(self, url: str, client: "_Client") -> None:
        self._fcm_url = url
        self._fcm_headers = {"X-GOOG-API-FORMAT-VERSION": "2"}
        self._async_client = client

    def _message_data(self, message: dict[str, Any], dry_run: bool) -> dict[str, Any]:  # noqa: ARG002  the base class's signature
        return {"message": message}


class _Client:
    """One request, one attempt, with a token that is there already."""

    def __init__(self, http: httpx.AsyncClient, tokens: AccessTokens) -> None:
        self._http = http
        self._tokens = tokens

    async def request(self, method: str, url: str, headers: Mapping[str, str], json: Any) -> httpx.Response:
        """Raises httpx.HTTPStatusError for anything but 2xx, always with a body that firebase-admin can read."""
        response = await self._authorized(method, url, headers, json)
        if response.status_code == httpx.codes.UNAUTHORIZED and not _details(response):
            # the token, not the message: once more with a new one, since tokens may be revoked before they expire
            self._tokens.drop(response.request.headers["authorization"].removeprefix("Bearer "))
            response = await self._authorized(method, url, headers, json)
        if response.is_success:
            return _readable(response, {"name": "accepted"})
        readable = _readable(response, {"error": {}})
        raise httpx.HTTPStatusError(f"HTTP {response.status_code}", request=response.request, response=readable)

    async def _authorized(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> httpx.Response:
        token = await self._tokens.get()
        return await self._http.request(method, url, headers={**headers, "authorization": f"Bearer {token}"}, json=body)


class FcmProvider:
    """Sends single messages, at most `concurrency` at a time, a part of which is kept for urgent ones."""

    def __init__(self, service: _Messaging, *, concurrency: int) -> None:
        self._service = service
        urgent = max(1, concurrency // _URGENT_SHARE)
        self._slots = {True: asyncio.Semaphore(urgent), False: asyncio.Semaphore(max(1, concurrency - urgent))}

    async def send(self, push: Push, token: str) -> None:
        """Returns when FCM has taken the message for this device.

        Raises one of `push_worker/errors.py`, as `push_worker/answers.py` decides.
        """
        async with self._slots[push.urgent]:
            message = build_message(push)
            message["token"] = token
            try:
                batch = await self._service.send_each_async([message], dry_run=False)
            except ValueError:
                raise FcmRejected("INVALID_ARGUMENT", "the message is not one that FCM can carry") from None
            except exceptions.FirebaseError as error:
                raise _unexpected(error) from error
        failure = batch.responses[0].exception
        if failure is not None:
            raise classify(failure, token) from failure


@asynccontextmanager
async def open_provider(settings: FcmSettings) -> AsyncIterator[FcmProvider]:
    """The provider with its HTTP/2 client. Raises SettingsError for credentials that can't be read."""
    credential = await asyncio.to_thread(load_credential, settings)
    project = settings.project_id or credential.project_id
    tokens = AccessTokens(fetcher(credential, settings))
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=300)
    timeout = httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s)
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    # a server with a CA of its own is on this side of any proxy that the environment names
    environment = not settings.ca_file
    try:
        async with httpx.AsyncClient(http2=True, verify=context, limits=limits, timeout=timeout, trust_env=environment) as http:
            service = _Messaging(f"{settings.endpoint}/v1/projects/{project}/messages:send", _Client(http, tokens))
            yield FcmProvider(service, concurrency=settings.concurrency)
    finally:
        await tokens.close()


def classify(error: exceptions.FirebaseError, token: str) -> DeliveryError:
    """What an answer of FCM, or the lack of one, means for the message and its device."""
    response = error.http_response
    if response is None:
        return _unanswered(error.cause)
    details = _details(response)
    code = next((str(detail.get("errorCode")) for detail in details if detail.get("@type") == FCM_ERROR), "")
    wait_s = retry_after_s(response.headers.get("retry-after"), now_s=time.time())
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS and wait_s is None:
        wait_s = _THROTTLED_S
    return refusal(Answer(response.status_code, code, _words(response), details, bool(_error(response))), token, wait_s)


def retry_after_s(header: str | None, *, now_s: float) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date; None when it holds neither."""
    if not header:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header):
        return min(_MAX_RETRY_AFTER_S, float(header))
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return min(_MAX_RETRY_AFTER_S, max(0.0, moment.timestamp() - now_s))


def _unexpected(error: exceptions.FirebaseError) -> DeliveryError:
    """firebase-admin wraps whatever it did not expect, also what our own client raises."""
    if isinstance(error.cause, DeliveryError):
        return error.cause
    return _unanswered(error.cause)


def _unanswered(cause: BaseException | None) -> DeliveryError:
    if isinstance(cause, _NEVER_SENT):
        reason = "FCM_TIMEOUT" if isinstance(cause, httpx.TimeoutException) else "FCM_CONNECT"
        return FcmUnavailable(reason, "can't connect to FCM")
    if isinstance(cause, httpx.TimeoutException):
        return FcmOutcomeUnknown("FCM_TIMEOUT", "FCM did not answer in time")
    return FcmOutcomeUnknown("FCM_DISCONNECTED", f"the connection to FCM broke: {type(cause).__name__}")


def _error(response: httpx.Response) -> dict[str, Any]:
    """Google's object of an error; empty where there is none."""
    body = _parse(response)
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _words(response: httpx.Response) -> str:
    message = _error(response).get("message")
    return message if isinstance(message, str) and message else f"HTTP {response.status_code}"


def _details(response: httpx.Response) -> list[dict[str, Any]]:
    details = _error(response).get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _readable(response: httpx.Response, otherwise: dict[str, Any]) -> httpx.Response:
    """The response, or one with `otherwise` as its body where firebase-admin would stumble over the real one."""
    body = _parse(response)
    ((key, example),) = otherwise.items()
    value = body.get(key) if isinstance(body, dict) else None
    if isinstance(value, type(example)) and (not isinstance(value, dict) or len(value.get("details", [])) == len(_details(response))):
        return response
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    return httpx.Response(response.status_code, headers=headers, json=otherwise, request=response.request)


def _parse(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
