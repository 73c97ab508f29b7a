"""What must exist before user_svc can serve: a signing key, and the administrator and API key that the environment names."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mesh.context import FIRST_PROJECT
from mesh.errors import ServiceError
from naming.email_address import email_key
from user_svc.auth.api_keys import ApiKeyStore, api_key
from user_svc.auth.models import Scope
from user_svc.auth.signing import SigningKeys
from user_svc.auth.use_cases import SessionStore
from user_svc.settings import BootstrapSettings
from user_svc.users.errors import EmailTaken
from user_svc.users.models import Role, UserChanges
from user_svc.users.use_cases import Users

log = logging.getLogger(__name__)


ADMINISTRATOR, API_KEY = "administrator", "api_key"


class BootstrapRecord(Protocol):
    """What was made at the first start of a database."""

    async def done(self, name: str) -> bool: ...

    async def record(self, name: str) -> None: ...


class Bootstrap:
    """Work that is done once. A health check repeats it until it succeeds, so that the process starts before its database.

    Administrator and API key are made once in the life of a database: what was deleted since is not made again by a restart.
    """

    def __init__(
        self,
        settings: BootstrapSettings,
        *,
        signing_keys: SigningKeys,
        users: Users,
        sessions: SessionStore,
        api_keys: ApiKeyStore,
        record: BootstrapRecord,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._signing_keys = signing_keys
        self._users = users
        self._sessions = sessions
        self._api_keys = api_keys
        self._record = record
        self._now = now
        self._done = False

    async def ensure(self) -> None:
        """Creates what is missing; replicas may do so together. Raises when the database does not let us."""
        if self._done:
            return
        try:
            await self._signing_keys.ensure()
            await self._ensure_administrator()
            await self._ensure_api_key()
        except ServiceError:
            raise
        except Exception:
            log.exception("start-up work failed")
            raise
        self._done = True

    async def _ensure_administrator(self) -> None:
        email = self._settings.admin_email
        if not email or await self._record.done(ADMINISTRATOR):
            return
        known = await self._sessions.find_login(FIRST_PROJECT, email_key(email) or "")
        if known is None:
            try:
                user = await self._users.create_user(
                    FIRST_PROJECT, UserChanges(email=email), self._settings.admin_password, Role.ADMINISTRATOR
                )
            except EmailTaken:
                log.info("another replica created the administrator")
            else:
                log.info("created the administrator", extra={"user_id": user.id})
        elif known.role is not Role.ADMINISTRATOR:
            log.warning("CLARION_ADMIN_EMAIL belongs to a member, who stays one", extra={"user_id": known.user_id})
            return
        await self._record.record(ADMINISTRATOR)

    async def _ensure_api_key(self) -> None:
        if not self._settings.api_key:
            return
        key = api_key(self._settings.api_key, name="bootstrap", scopes=list(Scope), created_by="environment", now=self._now())
        if not await self._record.done(API_KEY):
            await self._api_keys.add_first(key)
            await self._record.record(API_KEY)
            return
        known = await self._api_keys.find(key.sha256)
        if known is None or known.revoke_time is not None:
            log.warning("CLARION_BOOTSTRAP_API_KEY is ignored: this database has had its first key, and this one is revoked or unknown")
