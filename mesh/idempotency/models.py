"""A call that is safe to repeat, as it is remembered."""

from dataclasses import dataclass
from enum import Enum, auto


class Claimed(Enum):
    """What became of a claim on a key."""

    MINE = auto()
    IN_PROGRESS = auto()
    OTHER_REQUEST = auto()
    ANSWERED = auto()


@dataclass(frozen=True, slots=True)
class Claim:
    """A key of a caller and method (`digest`), what is asked under it, who asks now, and for how long the claim holds, in seconds."""

    digest: bytes
    fingerprint: bytes
    token: bytes
    lease_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What a claim met; `sealed` is the first answer where there is one."""

    claimed: Claimed
    sealed: bytes = b""
