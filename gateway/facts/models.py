"""What a report is."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from gateway.notifications.models import Fact

# What forbids more mail to the address, and the word that the suppression list has for it.
SUPPRESSING = {Fact.HARD_BOUNCED: "bounce", Fact.COMPLAINED: "complaint"}
_ANY_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")
_MOST_DETAIL = 200


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


class Fresh(NamedTuple):
    """A report that is not recorded yet, and whom its notification is for."""

    report: Report
    project: str
    user_id: UUID


def scrub(text: str) -> str:
    """What a server says, without addresses, on one line, at most 200 characters."""
    return _ANY_ADDRESS.sub("(address)", " ".join(text.replace("\0", "").split()))[:_MOST_DETAIL]


def reason_of(text: str, default: str) -> str:
    """A word in UPPER_SNAKE made of a provider's own, such as "5.1.1" or "mailbox-full"."""
    return re.sub(r"[^A-Z0-9]+", "_", text.upper()).strip("_")[:64] or default
