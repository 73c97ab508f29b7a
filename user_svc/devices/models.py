"""What a device is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_DEVICES = 50
TOMBSTONE_DAYS = 90
# Why one is a tombstone that no provider has reported.
YIELDED = "TOO_MANY_DEVICES"


class Platform(StrEnum):
    """The operating system of a device."""

    UNSPECIFIED = ""
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Device:
    """An app installation of a person, reached by its FCM registration token until that is reported as gone (`remove_time`).

    `last_seen_time` is when it was registered last.
    """

    id: str
    user_id: str
    token: str
    platform: Platform
    create_time: datetime
    last_seen_time: datetime
    app: str = ""
    remove_time: datetime | None = None
    remove_reason: str = ""
