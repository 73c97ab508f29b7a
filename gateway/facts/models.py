"""What a report is."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from gateway.notifications.models import Fact

# What forbids more mail to the address, and the word that the suppression list has for it.
SUPPRESSING = {Fact.HARD_BOUNCED: "bounce", Fact.COMPLAINED: "complaint"}
# What may be an address: read once from left to right. A pattern with the @ in it would begin anew at each letter of a long word.
_WORD = re.compile(r"[^\s<>()\[\]:;,\"']+")
_MOST_READ = 10_000
_HIDDEN = "(address)"
# A name of less letters may stand for anything.
_SHORTEST_NAME = 2
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DETAIL = 200
# A person who got a mail could report it without end: facts of one notification by one reporter that signs nothing.
MAX_UNTRUSTED = 50


@dataclass(frozen=True, slots=True)
class Report:
    """One fact about one notification. `source_key` is the same for a report that is repeated, and for no other.

    `trusted` says that the provider has signed it: then the address is the one that it sent the mail to.
    """

    notification_id: UUID
    source_key: str
    fact: Fact
    time: datetime
    provider: str
    reason: str = ""
    detail: str = ""
    address: str = field(default="", repr=False)
    trusted: bool = False

    @property
    def rationed(self) -> bool:
        """Whether there might be no end of them. A complaint is one by its key, and counts after however many bounces."""
        return not self.trusted and self.fact is not Fact.COMPLAINED


class Fresh(NamedTuple):
    """A report that is not recorded yet, and whom its notification is for."""

    report: Report
    project: str
    user_id: UUID


def scrub(text: str, address: str = "") -> str:
    """What a server says, without addresses and the name in the one that it is about, on one line, at most 200 characters."""
    plain = " ".join(text[:_MOST_READ].replace("\0", "").split())
    plain = _WORD.sub(lambda word: _HIDDEN if "@" in word[0].strip("@") else word[0], plain)
    name = address.rpartition("@")[0]
    if len(name) > _SHORTEST_NAME:
        plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _HIDDEN, plain, flags=re.IGNORECASE)
    return plain[:_MOST_DETAIL]


def settled(time: datetime) -> datetime:
    """A time that someone reports, in UTC where it says nothing else; now where it lies ahead, or further back than any mail of ours."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    now = datetime.now(UTC)
    return aware if _EARLIEST < aware < now else now


def reason_of(text: str, default: str) -> str:
    """A word in UPPER_SNAKE made of a provider's own, such as "5.1.1" or "mailbox-full"."""
    return re.sub(r"[^A-Z0-9]+", "_", text.upper()).strip("_")[:64] or default
