"""What a suppression is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address (lower-case) that gets no e-mail, of whichever person. `reason` is a word such as "bounce", `evidence` what was seen."""

    address: str
    reason: str
    create_time: datetime
    evidence: str = ""
