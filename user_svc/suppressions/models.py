"""What a suppression is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that gets no e-mail, whoever it belongs to. The address is lower-case; `reason` is a word such as "bounce"."""

    address: str
    reason: str
    create_time: datetime
