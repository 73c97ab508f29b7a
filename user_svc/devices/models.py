"""What a device is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_DEVICES = 50


class Platform(StrEnum):
    """The operating system of a device."""

    UNSPECIFIED = ""
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Device:
    """An app installation of a person, reached by its FCM registration token."""

    id: str
    user_id: str
    token: str
    platform: Platform
    create_time: datetime
