"""What a suppression is, and when it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

MAX_CATEGORIES = 100


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address (lower-case) that gets no e-mail, of whichever person. `reason` is a word such as "bounce", `evidence` what was seen.

    It is about one `category`, or about all where that is empty, and ends at `expire_time`; None for never.
    """

    address: str
    reason: str
    create_time: datetime
    evidence: str = ""
    category: str = ""
    expire_time: datetime | None = None

    def outlasts(self, other: "Suppression") -> bool:
        """Whether it goes on when the other one has ended."""
        return other.expire_time is not None and (self.expire_time is None or self.expire_time > other.expire_time)


class Hold(NamedTuple):
    """What of a suppression decides about a mail."""

    category: str
    reason: str
    expire_time: datetime | None = None


def hold_on(holds: Sequence[Hold], category: str, now: datetime) -> Hold | None:
    """What forbids mail of the category at that time; first what forbids all mail."""
    found = [hold for hold in holds if hold.category in {"", category} and (hold.expire_time is None or hold.expire_time > now)]
    return min(found, key=lambda hold: hold.category, default=None)
