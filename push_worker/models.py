"""A push message, where it goes, and what happened to each device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from delivery.errors import DeliveryError


@dataclass(frozen=True, slots=True)
class Push:
    """One text for all of a person's devices. `id` is stable across attempts: devices show a message that comes twice once.

    `ttl_s` is how long FCM keeps it for a device that is offline, `expire_s` when that ends (Unix time); None means as long as it can.
    `android`, `apns` and `webpush` are FCM's own objects.
    """

    id: str
    title: str = field(repr=False)
    body: str = field(repr=False)
    data: Mapping[str, str] = field(default_factory=dict, repr=False)
    image: str = field(default="", repr=False)
    urgent: bool = False
    ttl_s: int | None = None
    template: str = ""
    expire_s: int | None = None
    android: Mapping[str, Any] = field(default_factory=dict, repr=False)
    apns: Mapping[str, Any] = field(default_factory=dict, repr=False)
    webpush: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A device."""

    device_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceOutcome:
    """What happened to one device; no error means that FCM has taken the message for it."""

    device_id: str
    error: DeliveryError | None = None


@dataclass(frozen=True, slots=True)
class PushReport:
    """What happened to all of them. `error` sums up those that were not reached; `pending` may be reached later."""

    settled: tuple[DeviceOutcome, ...]
    pending: tuple[str, ...] = ()
    error: DeliveryError | None = None
