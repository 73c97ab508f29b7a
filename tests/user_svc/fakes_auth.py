"""In-memory stand-ins for where credentials are kept, over the same `fakes.Memory` as people."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from tests.user_svc.factories import START
from tests.user_svc.fakes import Memory
from user_svc.auth.api_keys import within_maker
from user_svc.auth.errors import MakerGone
from user_svc.auth.models import (
    REFRESH_GRACE,
    SCOPES_OF_ROLE,
    ApiKey,
    Login,
    RefreshToken,
    Rotation,
    RotationOutcome,
    SessionOwner,
    SigningKey,
)


class MemorySessions:
    """Implements SessionStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def find_login(self, project: str, email_key: str) -> Login | None:
        for user in self._memory.users.values():
            if user.email and user.email.lower() == email_key and self._memory.projects[user.id] == project:
                return await self.find_login_by_id(user.id)
        return None

    async def find_login_by_id(self, user_id: str) -> Login | None:
        user = self._memory.users.get(user_id)
        if user is None:
            return None
        words, version, role = (user.email, user.name), self._memory.credential_versions[user.id], user.role
        project, password_hash = self._memory.projects[user.id], self._memory.password_hashes[user.id]
        return Login(user.id, project, role, password_hash, words, version, SCOPES_OF_ROLE[role])

    async def change_password(self, user_id: str, *, old: str, new: str, token: RefreshToken) -> bool:
        if self._memory.password_hashes.get(user_id) != old:
            return False
        self._memory.password_hashes[user_id] = new
        self._memory.credential_versions[user_id] += 1
        self._memory.refresh_tokens = {key: each for key, each in self._memory.refresh_tokens.items() if each.user_id != user_id}
        self._store(token)
        return True

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        if self._memory.password_hashes.get(user_id) == old:
            self._memory.password_hashes[user_id] = new

    async def add_refresh_token(self, token: RefreshToken, credential_version: int) -> bool:
        if token.user_id not in self._memory.users or self._memory.credential_versions[token.user_id] != credential_version:
            return False
        self._store(token)
        return True

    async def rotate_refresh_token(self, sha256: bytes, next_sha256: bytes, *, now: datetime, expire_time: datetime) -> Rotation:
        token = self._memory.refresh_tokens.get(sha256)
        if token is None:
            return Rotation(RotationOutcome.UNKNOWN)
        role, project = self._memory.users[token.user_id].role, self._memory.projects[token.user_id]
        held = SCOPES_OF_ROLE[role] if token.scopes is None else frozenset(token.scopes)
        owner = SessionOwner(token.user_id, project, role, token.family, held, by_issuer=token.scopes is not None, end=token.session_end)
        if sha256 in self._memory.used:
            successor = self._memory.refresh_tokens.get(next_sha256)
            if now - self._memory.used[sha256] < REFRESH_GRACE and successor is not None and successor.family == token.family:
                return Rotation(RotationOutcome.ROTATED, owner)
            await self.revoke_family_of(sha256)
            return Rotation(RotationOutcome.REUSED)
        if token.expire_time <= now:
            return Rotation(RotationOutcome.EXPIRED)
        self._memory.used[sha256] = now
        end = expire_time if token.session_end is None else min(expire_time, token.session_end)
        self._store(RefreshToken(next_sha256, token.user_id, token.family, now, end, token.scopes, token.session_end, roles=token.roles))
        return Rotation(RotationOutcome.ROTATED, owner)

    async def revoke_family_of(self, sha256: bytes) -> None:
        token = self._memory.refresh_tokens.get(sha256)
        if token is not None:
            kept = {key: each for key, each in self._memory.refresh_tokens.items() if each.family != token.family}
            self._memory.refresh_tokens = kept

    async def scopes_of_roles(self, project: str, names: Collection[str]) -> frozenset[str]:
        return frozenset().union(*(self._memory.roles[project, name] for name in names if (project, name) in self._memory.roles))

    def _store(self, token: RefreshToken) -> None:
        tokens = self._memory.refresh_tokens
        for key in [key for key, each in tokens.items() if each.user_id == token.user_id and each.expire_time <= token.create_time]:
            del tokens[key]
        tokens[token.sha256] = token


class MemoryApiKeys:
    """Implements ApiKeyStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add_first(self, key: ApiKey) -> bool:
        new = all(each.sha256 != key.sha256 for each in self._memory.api_keys.values())
        if new:
            self._memory.api_keys[key.id] = key
        return new

    async def add(self, key: ApiKey, now: datetime) -> ApiKey:
        maker, person = self._memory.api_keys.get(key.created_by), self._memory.users.get(key.created_by)
        if maker is not None and maker in self._working(now):
            kept = within_maker(key, frozenset(maker.scopes), maker.expire_time)
        elif person is not None:
            kept = within_maker(key, SCOPES_OF_ROLE[person.role], None)
        else:
            raise MakerGone
        self._memory.api_keys[key.id] = kept
        return kept

    async def find(self, sha256: bytes) -> ApiKey | None:
        return next((key for key in self._memory.api_keys.values() if key.sha256 == sha256), None)

    async def list_working(
        self, project: str, before_id: str | None, limit: int, now: datetime, *, family_of: str | None = None
    ) -> Sequence[ApiKey]:
        newest = sorted((key for key in self._working(now) if key.project == project), key=lambda key: key.id, reverse=True)
        family = None if family_of is None else self._family(family_of)
        return [key for key in newest if (before_id is None or key.id < before_id) and (family is None or key.id in family)][:limit]

    async def revoke(self, project: str, key_id: str, *, family_of: str | None = None) -> bool:
        key = self._memory.api_keys.get(key_id)
        if (
            key is None
            or key.project != project
            or key.revoke_time is not None
            or (family_of is not None and key_id not in self._family(family_of))
        ):
            return False
        for each in self._family(key_id):
            found = self._memory.api_keys[each]
            self._memory.api_keys[each] = replace(found, revoke_time=found.revoke_time or START)
        return True

    def _family(self, of: str) -> set[str]:
        family = {of} & self._memory.api_keys.keys()
        makers = {of}
        while made := {key.id for key in self._memory.api_keys.values() if key.created_by in makers} - family:
            family |= made
            makers = made
        return family

    def _working(self, now: datetime) -> list[ApiKey]:
        keys = self._memory.api_keys.values()
        return [key for key in keys if key.revoke_time is None and (key.expire_time is None or key.expire_time > now)]


class MemoryBootstraps:
    """Implements BootstrapRecord."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    async def done(self, name: str) -> bool:
        return name in self._done

    async def record(self, name: str) -> None:
        self._done.add(name)


class MemorySigningKeys:
    """Implements SigningKeyStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def find_active(self) -> SigningKey | None:
        return next((key for key in self._memory.signing_keys.values() if key.retire_time is None), None)

    async def activate(self, key: SigningKey, *, instead_of: str | None, note_in: str | None = None) -> SigningKey:
        active = await self.find_active()
        if active is not None and active.kid != instead_of:
            return active
        if active is not None:
            self._memory.signing_keys[active.kid] = replace(active, retire_time=key.create_time)
        self._memory.signing_keys[key.kid] = key
        return key

    async def list_published(self, retired_since: datetime) -> Sequence[SigningKey]:
        newest = sorted(self._memory.signing_keys.values(), key=lambda key: key.create_time, reverse=True)
        return [key for key in newest if key.retire_time is None or key.retire_time > retired_since]
