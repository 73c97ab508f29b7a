"""Attachments, and what is asked of them."""

import hashlib
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

MAX_TOGETHER = 10 * 1024 * 1024
UNUSED_S = 24 * 3600.0
# Files of a project that no notification has carried yet: 3 GiB, where each is as large as may be.
MAX_UNUSED = 1_000


class AttachmentKey(NamedTuple):
    """Names an attachment; `digest` is SHA-256 of its content."""

    project: str
    digest: bytes


def digest_of(identifier: str) -> bytes | None:
    """The digest that callers write as hexadecimal; None for what can't be one."""
    try:
        digest = bytes.fromhex(identifier)
    except ValueError:
        return None
    return digest if len(digest) == hashlib.sha256().digest_size else None


class File(NamedTuple):
    """A content and what names it."""

    digest: bytes
    content: bytes

    @classmethod
    def of(cls, content: bytes) -> "File":
        """Hashes the content."""
        return cls(hashlib.sha256(content).digest(), content)


class Attachment(NamedTuple):
    """What is kept, without the content."""

    digest: bytes
    size_bytes: int
    keep_until: datetime

    @property
    def id(self) -> str:
        """As callers write it."""
        return self.digest.hex()


class Use(NamedTuple):
    """A notification that carries attachments, and for how many seconds it may need them."""

    project: str
    notification_id: UUID
    user_id: UUID
    keep_for_s: float
