"""What credentials are."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from mesh.context import Bounds
from user_svc.users.models import Role

LIVE_PREFIX, TEST_PREFIX = "clk_live_", "clk_test_"
# Two tabs, or a client whose answer was lost, use one refresh token again within moments; a thief has as long too.
REFRESH_GRACE = timedelta(seconds=10)
BY_PASSWORD = "password"  # noqa: S105  how a person has signed in, and no password


class Scope(StrEnum):
    """Everything that a token or an API key can be allowed to do."""

    NOTIFICATIONS_SEND = "notifications:send"
    NOTIFICATIONS_READ = "notifications:read"
    NOTIFICATIONS_CONTENT = "notifications:content"
    DEADLETTERS_REVIEW = "deadletters:review"
    DEADLETTERS_CONTENT = "deadletters:content"
    DEADLETTERS_REDIRECT = "deadletters:redirect"
    OPERATIONS_WRITE = "operations:write"
    SAGAS_READ = "sagas:read"
    SAGAS_WRITE = "sagas:write"
    APIKEYS_WRITE = "apikeys:write"
    APIKEYS_ADMIN = "apikeys:admin"
    PROJECTS_ADMIN = "projects:admin"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    USERS_WRITE = "users:write"
    USERS_ADMIN = "users:admin"
    USERS_READ = "users:read"
    USERS_EXPORT = "users:export"
    TEMPLATES_WRITE = "templates:write"
    TEMPLATES_READ = "templates:read"
    SENDERS_WRITE = "senders:write"
    AUDIT_READ = "audit:read"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"


# What a narrowed key can have: with any other it would send, or let others send, beyond what it is narrowed to.
NARROWABLE = frozenset({Scope.NOTIFICATIONS_SEND, Scope.NOTIFICATIONS_READ, Scope.TEMPLATES_READ})

# A member's token carries no scope but those of a role that was assigned: it reaches that person's own objects, where a method allows it.
SCOPES_OF_ROLE: dict[Role, frozenset[str]] = {Role.MEMBER: frozenset(), Role.ADMINISTRATOR: frozenset(Scope)}


@dataclass(frozen=True, slots=True)
class Login:
    """What a password is checked against. `password_hash` is None for a person who never logs in.

    `known_words` are what a guesser tries first for this person: address and name. `credential_version` grows with each change of their
    password or second factor. `scopes` are those of their roles.
    """

    user_id: str
    project: str
    role: Role
    password_hash: str | None
    known_words: tuple[str, ...] = ()
    credential_version: int = 0
    scopes: frozenset[str] = frozenset()


class Grant(NamedTuple):
    """What an issuer's groups let a person do: scopes, and roles of the project by their ids."""

    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SessionOwner:
    """Whom new tokens are for. `scopes` are what the session may do: by the person's roles, or `by_issuer`; then it has an `end`."""

    user_id: str
    project: str
    role: Role
    session_id: str
    scopes: frozenset[str] = frozenset()
    by_issuer: bool = False
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as it is kept: its hash. A `family` is all that came from one login.

    `scopes`, and those of the `roles`, are those of its session; None where the person's own roles say it. No token outlives
    `session_end`, where there is one.
    `signed_in_by` is how it began, for the audit log only: by password, or the id of an issuer.
    """

    sha256: bytes
    user_id: str
    family: str
    create_time: datetime
    expire_time: datetime
    scopes: tuple[str, ...] | None = None
    session_end: datetime | None = None
    signed_in_by: str = BY_PASSWORD
    roles: tuple[str, ...] = ()


class RotationOutcome(StrEnum):
    """What became of a refresh token that was presented."""

    ROTATED = "rotated"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The outcome, and the owner when the outcome is ROTATED."""

    outcome: RotationOutcome
    owner: SessionOwner | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a person gets for credentials. `expires_in_s` is the access token's life."""

    access_token: str
    refresh_token: str
    expires_in_s: int
    user_id: str
    second_factor_missing: bool = False


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key as it is kept: the private half sealed. `retire_time` is None for the one that signs."""

    kid: str
    public_key: bytes
    sealed_private_key: bytes
    create_time: datetime
    retire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key as it is kept. `prefix` is what may be shown of it; `expire_time` None means never.

    `created_by` is the id of the person or key that made it. A key with a `revoke_time` is its own tombstone.
    `bounds` are what it is narrowed to (`naming.bounds`).
    """

    id: str
    project: str
    name: str
    prefix: str
    sha256: bytes
    scopes: tuple[str, ...]
    created_by: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None = None
    bounds: Bounds = ()

    @property
    def test(self) -> bool:
        """Whether what it sends reaches no provider."""
        return self.prefix.startswith(TEST_PREFIX)
