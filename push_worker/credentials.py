"""Access tokens for FCM, fetched in a thread ahead of their expiry: google-auth blocks, a second and more when Google is slow."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC
from functools import partial
from pathlib import Path

import requests
from firebase_admin import credentials
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from mesh.process.settings import SettingsError
from push_worker.errors import FcmSenderRefused, FcmUnavailable
from push_worker.settings import FcmSettings

log = logging.getLogger(__name__)

_AHEAD_S = 300.0
_LAST_S = 30.0
_AGAIN_S = 10.0
_FETCH_TIMEOUT_S = 10.0

Fetch = Callable[[], tuple[str, float]]


class AccessTokens:
    """One token for all senders. `fetch` returns a token with the Unix time of its expiry; it blocks, in a thread, once at a time."""

    def __init__(self, fetch: Fetch, *, clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token = ""
        self._expires_at = 0.0
        self._not_before = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._failure = FcmUnavailable("FCM_AUTH")

    async def get(self) -> str:
        """A valid token; waits only when there is none. Raises FcmUnavailable when none can be had."""
        now = self._clock()
        if now >= self._expires_at - _AHEAD_S and self._refreshing is None and now >= self._not_before:
            self._refreshing = asyncio.create_task(self._refresh(), name="fcm-access-token")
            self._refreshing.add_done_callback(self._refreshed)
        if now < self._expires_at - _LAST_S:
            return self._token
        if self._refreshing is None:
            raise type(self._failure)("FCM_AUTH", "no access token: the last try failed a moment ago")
        await asyncio.shield(self._refreshing)
        return self._token

    def drop(self, token: str) -> None:
        """FCM has refused this token: the next caller gets another one."""
        if token == self._token:
            self._expires_at = self._not_before = 0.0

    async def close(self) -> None:
        """Stops waiting for a refresh; its thread ends by itself."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            self._token, self._expires_at = await asyncio.to_thread(self._fetch)
        except (GoogleAuthError, requests.RequestException, OSError, ValueError) as error:
            self._not_before = self._clock() + _AGAIN_S
            log.warning("no access token for FCM", extra={"error": type(error).__name__})
            if isinstance(error, RefreshError) and not error.retryable:
                self._failure = FcmSenderRefused("FCM_AUTH", "no access token: Google refuses the service account")
            else:
                self._failure = FcmUnavailable("FCM_AUTH", "no access token: Google can't be reached")
            raise self._failure from error

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()  # those who wait get it; a refresh ahead of time that fails has been logged


def load_credential(settings: FcmSettings) -> Credentials:
    """The service account. Raises SettingsError, which names the variable and not what the file holds."""
    try:
        credential: Credentials = credentials.Certificate(settings.credentials_file).get_credential()
        # noticed now and not at the first push
        if settings.ca_file and not Path(settings.ca_file).is_file():
            raise SettingsError(["CLARION_FCM_CA_FILE: must be a file of PEM certificates"])
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(["CLARION_FCM_CREDENTIALS_FILE: must be a readable JSON file with a service account"]) from error
    return credential


def fetcher(credential: Credentials, settings: FcmSettings) -> Fetch:
    """Fetches with google-auth over its own connection."""
    session = requests.Session()
    if settings.ca_file:
        session.verify = settings.ca_file
        # else REQUESTS_CA_BUNDLE would win over it
        session.trust_env = False
    request = partial(Request(session), timeout=_FETCH_TIMEOUT_S)

    def fetch() -> tuple[str, float]:
        credential.refresh(request)  # type: ignore[no-untyped-call]  # google-auth is typed in parts
        if credential.token is None or credential.expiry is None:
            raise ValueError("the token endpoint gave no token")
        return str(credential.token), credential.expiry.replace(tzinfo=UTC).timestamp()

    return fetch
