"""What is kept of a second factor."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Kept:
    """A person's second factor: its secret, sealed. `wait_s` is how long no code of the app is looked at, since too many were wrong."""

    sealed_secret: bytes = field(repr=False)
    confirmed: bool
    wait_s: float = 0.0


class Standing(NamedTuple):
    """What may be shown of it. Without `confirm_time` there is none."""

    confirm_time: datetime | None
    recovery_codes_left: int


class Enrolment(NamedTuple):
    """What an app needs. It is shown once."""

    secret: str
    otpauth_uri: str
