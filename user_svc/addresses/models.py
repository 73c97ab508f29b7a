"""What an address of a person is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

MOST_FURTHER = 10
# How long one that was not verified is kept.
KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PersonAddress:
    """One of a person's. A further one that is not verified (no `verify_time`) is forgotten at `expire_time`."""

    address: str
    primary: bool = False
    becomes_primary: bool = False
    verify_time: datetime | None = None
    expire_time: datetime | None = None


class Wanted(NamedTuple):
    """An address that someone gives a person. With `open_refusal` who asks may know that it is another person's."""

    address: str
    primary: bool
    open_refusal: bool
