"""What an entry of the audit log is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class AuditKind(StrEnum):
    """What can have happened."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SESSIONS_ENDED = "sessions_ended"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  the name of an event
    EMAIL_CHANGED = "email_changed"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    DATA_EXPORTED = "data_exported"
    USER_ERASED = "user_erased"
    ROLE_CHANGED = "role_changed"
    SUPPRESSION_REMOVED = "suppression_removed"
    CATEGORY_CHANGED = "category_changed"
    PASSWORD_RESET_REQUESTED = "password_reset_requested"  # noqa: S105  the name of an event
    PASSWORD_RESET = "password_reset"  # noqa: S105  the name of an event
    EMAIL_VERIFIED = "email_verified"
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_CREATED = "recovery_codes_created"
    ROLE_CREATED = "role_created"
    ROLE_UPDATED = "role_updated"
    ROLE_DELETED = "role_deleted"
    PROJECT_ARCHIVED = "project_archived"
    PROJECT_RESTORED = "project_restored"
    PROJECT_ERASED = "project_erased"
    CONTENT_READ = "content_read"
    SENDER_CHANGED = "sender_changed"
    SENDER_DELETED = "sender_deleted"
    SENDER_DOMAIN_ADDED = "sender_domain_added"
    SENDER_DOMAIN_VERIFIED = "sender_domain_verified"
    SENDER_DOMAIN_DELETED = "sender_domain_deleted"
    SENDER_DOMAIN_KEY_CHANGED = "sender_domain_key_changed"
    TEMPLATE_PUBLISHED = "template_published"
    TEMPLATE_UPDATED = "template_updated"
    TEMPLATE_ARCHIVED = "template_archived"
    TEMPLATE_RESTORED = "template_restored"
    TEMPLATE_DELETED = "template_deleted"
    CANARY_STARTED = "canary_started"
    CANARY_STOPPED = "canary_stopped"
    ADDRESS_ADDED = "address_added"
    ADDRESS_REMOVED = "address_removed"
    SIGNING_KEY_ROTATED = "signing_key_rotated"


# What other services hand over: about anything else an entry is written here, with what it is about.
HANDED_OVER = frozenset(kind for kind in AuditKind if kind.startswith(("sender_", "template_", "canary_")))


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An entry before it is kept. `actor` is who did it ("user:…", "api_key:…"), None for the caller; `subject` what it was done to.

    One with an `origin` (a UUID) is kept once, however often it is given: calls between our services are repeated, and made twice at once.
    No text of it may be an address, a name or a secret.
    """

    project: str
    kind: AuditKind
    subject: str = ""
    actor: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None


class HandedOver(NamedTuple):
    """An entry of another service, under its id there."""

    id: str
    event: NewEvent
    correlation_id: str


# Keeps an entry that belongs to no other change. Raises Unavailable.
KeepEvent = Callable[[NewEvent], Awaitable[None]]


def person(user_id: str | None) -> str:
    """A person as actor or subject of an entry, as `mesh.context.Caller.label` writes one; empty for no one."""
    return "" if user_id is None else f"user:{user_id}"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An entry as it is kept."""

    id: int
    time: datetime
    kind: str
    actor: str
    subject: str
    details: Mapping[str, str]
    correlation_id: str


class Filters(NamedTuple):
    """Which entries are wanted; None and empty mean all. From `start_time` on, and before `end_time`."""

    project: str
    kinds: tuple[str, ...] = ()
    actor: str = ""
    subject: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
