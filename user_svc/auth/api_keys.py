"""The rules about API keys: made within the reach of their maker, revoked with it, and never working again."""

import hashlib
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from mesh import ids
from mesh.context import FIRST_PROJECT, Bounds, Caller
from mesh.errors import InvalidArgument, ScopeMissing
from mesh.rpc.identity import ApiKeyInfo
from mesh.rpc.paging import Cursor, Page, page_size
from naming.text import check_name
from user_svc.auth.errors import ApiKeyNotFound, ExpiresAfterMaker, ScopeNotHeld, TestKeyOnly
from user_svc.auth.models import LIVE_PREFIX, NARROWABLE, TEST_PREFIX, ApiKey, Scope
from user_svc.auth.signing import SigningKeys

_PAGES = Cursor("api_keys", str)
_BASE62 = string.ascii_letters + string.digits
# 43 characters of base 62 hold 256 bits.
_KEY_LENGTH = 43
_SHOWN_LENGTH = len(LIVE_PREFIX) + 4


class ApiKeyStore(Protocol):
    """Where API keys are kept."""

    async def add_first(self, key: ApiKey) -> bool:
        """Stores a key that no caller makes. False when a key with this secret is there or was, revoked or not."""

    async def add(self, key: ApiKey, now: datetime) -> ApiKey:
        """Stores and answers the key as `within_maker` makes it, if its maker (`created_by`), a key or a person, works at this moment.

        Raises MakerGone, ScopeNotHeld, ExpiresAfterMaker or ProjectNotFound.
        """

    async def find(self, sha256: bytes) -> ApiKey | None:
        """Also one that is revoked or expired."""

    async def list_working(
        self, project: str, before_id: str | None, limit: int, now: datetime, *, family_of: str | None = None
    ) -> Sequence[ApiKey]:
        """Those of the project, newest first; with `family_of` only that key, and what it or that person has made, directly or not."""

    async def revoke(self, project: str, key_id: str, *, family_of: str | None = None) -> bool:
        """Revokes the project's key and all that were made with it. False when there is no such key that works (in the family)."""


class ApiKeys:
    """Makes, lists, finds and revokes the keys of programs."""

    def __init__(self, store: ApiKeyStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def create_api_key(
        self,
        caller: Caller,
        *,
        name: str,
        scopes: Sequence[str],
        expire_time: datetime | None,
        test: bool,
        project: str = "",
        bounds: Bounds = (),
    ) -> tuple[ApiKey, str]:
        """The key's description and the key itself, which is not kept. It lives no longer than its maker.

        A test key makes test keys only. Raises InvalidArgument, ScopeNotHeld, ScopeMissing, TestKeyOnly, ExpiresAfterMaker, MakerGone or
        ProjectNotFound.
        """
        reached = _project(caller, project)
        if caller.test and not test:
            raise TestKeyOnly
        _check_scopes(caller, scopes, narrowed=bool(bounds))
        now = self._now()
        if expire_time is not None and expire_time <= now:
            raise InvalidArgument.of("expire_time", "must be in the future")
        secret = (TEST_PREFIX if test else LIVE_PREFIX) + "".join(secrets.choice(_BASE62) for _ in range(_KEY_LENGTH))
        key = api_key(
            secret,
            project=reached,
            name=check_name("name", name),
            scopes=scopes,
            created_by=caller.id,
            now=now,
            expire_time=expire_time,
            bounds=bounds,
        )
        return await self._store.add(key, now), secret

    async def list_api_keys(self, caller: Caller, requested_size: int, token: str, *, project: str = "") -> Page[ApiKey]:
        """A page of the project's keys that work, newest first: the caller's family, or all for `apikeys:admin`.

        Raises ScopeMissing, or InvalidArgument for a size or token that does not fit.
        """
        size, filters = page_size(requested_size), {"project": _project(caller, project)}
        position = _PAGES.position(token, filters)
        before_id = _canonical_key_id(str(position[0])) if position else None
        keys = await self._store.list_working(filters["project"], before_id, size + 1, self._now(), family_of=_family(caller))
        return _PAGES.page([((key.id,), key) for key in keys], size, filters)

    async def delete_api_key(self, caller: Caller, key_id: str, *, project: str = "") -> None:
        """Revokes a key of the caller's family, or any of the project for `apikeys:admin`, and all that were made with it.

        Raises ScopeMissing or ApiKeyNotFound.
        """
        reached = _project(caller, project)
        if not await self._store.revoke(reached, _canonical_key_id(key_id), family_of=_family(caller)):
            raise ApiKeyNotFound

    async def get_by_hash(self, sha256: bytes) -> ApiKey:
        """The key that a caller presented, also where it is revoked or expired. Raises ApiKeyNotFound when it is unknown."""
        key = await self._store.find(sha256)
        if key is None:
            raise ApiKeyNotFound
        return key


class LocalCredentials:
    """This service's own `mesh.rpc.identity.CredentialSource`: the database, without an RPC to itself."""

    def __init__(self, *, signing_keys: SigningKeys, api_keys: ApiKeys) -> None:
        self._signing_keys = signing_keys
        self._api_keys = api_keys

    async def jwks(self) -> Sequence[dict[str, Any]]:
        """The public keys of access tokens."""
        return await self._signing_keys.jwks()

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        """The key with this SHA-256; None when it is unknown."""
        try:
            key = await self._api_keys.get_by_hash(sha256)
        except ApiKeyNotFound:
            return None
        expires_at = key.expire_time.timestamp() if key.expire_time else None
        revoked = key.revoke_time is not None
        return ApiKeyInfo(
            key.id, key.name, frozenset(key.scopes), expires_at, revoked=revoked, project=key.project, test=key.test, bounds=key.bounds
        )


def api_key(
    secret: str,
    *,
    name: str,
    scopes: Sequence[str],
    created_by: str,
    now: datetime,
    expire_time: datetime | None = None,
    project: str = FIRST_PROJECT,
    bounds: Bounds = (),
) -> ApiKey:
    """The description of a key: all of it that is kept."""
    sha256 = hashlib.sha256(secret.encode()).digest()
    shown, held = secret[:_SHOWN_LENGTH], tuple(sorted(set(scopes)))
    return ApiKey(ids.new_id(), project, name, shown, sha256, held, created_by, now, expire_time, bounds=bounds)


def within_maker(key: ApiKey, scopes: frozenset[str], expire_time: datetime | None) -> ApiKey:
    """The key, ending with a maker of these scopes and this end at the latest. Raises ScopeNotHeld or ExpiresAfterMaker."""
    for scope in key.scopes:
        if scope not in scopes:
            raise ScopeNotHeld(scope)
    if expire_time is None:
        return key
    if key.expire_time is not None and key.expire_time > expire_time:
        raise ExpiresAfterMaker(expire_time)
    return replace(key, expire_time=key.expire_time or expire_time)


def _project(caller: Caller, project: str) -> str:
    """The project that is meant. Raises ScopeMissing unless the caller reaches it."""
    if project in {"", caller.project} or (caller.has(Scope.PROJECTS_ADMIN) and caller.project == FIRST_PROJECT):
        return project or caller.project
    raise ScopeMissing(Scope.PROJECTS_ADMIN)


def _family(caller: Caller) -> str | None:
    return None if caller.has(Scope.APIKEYS_ADMIN) else caller.id


def _check_scopes(caller: Caller, scopes: Sequence[str], *, narrowed: bool) -> None:
    known = frozenset(Scope)
    for index, scope in enumerate(scopes):
        if scope not in known:
            raise InvalidArgument.of(f"scopes[{index}]", f"is not a scope; there are {', '.join(sorted(known))}")
        if not caller.has(scope):
            raise ScopeNotHeld(scope)
        if narrowed and scope not in NARROWABLE:
            reaches_around = f"reaches beyond any restrictions; a key with restrictions can have {', '.join(sorted(NARROWABLE))}"
            raise InvalidArgument.of(f"scopes[{index}]", reaches_around)


def _canonical_key_id(key_id: str) -> str:
    canonical = ids.canonical(key_id)
    if canonical is None:
        raise ApiKeyNotFound
    return canonical
