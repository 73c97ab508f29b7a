"""What is handed over to the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What can have happened; the names are those of clarion.user.v1.AuditEventKind."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """That something was done to the `subject`, such as "sender:billing". `actor` is None for the caller. No text of it is an address."""

    project: str
    kind: Kind
    subject: str
    details: Mapping[str, str] = field(default_factory=dict)
    actor: str | None = None


class WaitingEntry(NamedTuple):
    """An entry that is to be handed over, under an id of its own. `time` is when it happened, by this service's database."""

    seq: int
    id: str
    entry: Entry
    correlation_id: str
    time: datetime
