"""A push as FCM HTTP v1's Message, and its size: the one place where it is made, so that what is counted is what is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# FCM's limit for a message. The device's token and the request around the message do not count.
MAX_PUSH_BYTES = 4096

_LONGEST_ID = "0" * 36
_LATEST = 9_999_999_999  # Unix time of ten digits


@dataclass(frozen=True, slots=True)
class PushText:
    """A finished text for all of a person's devices. `android`, `apns` and `webpush` are FCM's objects with FCM's field names."""

    title: str = field(repr=False)
    body: str = field(repr=False)
    data: Mapping[str, str] = field(default_factory=dict, repr=False)
    image: str = field(default="", repr=False)
    android: Mapping[str, Any] = field(default_factory=dict, repr=False)
    apns: Mapping[str, Any] = field(default_factory=dict, repr=False)
    webpush: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class PushEnvelope:
    """What the delivery adds. `id` is stable across attempts; `expire_s` is Unix time, `ttl_s` the seconds until then, or None."""

    id: str
    urgent: bool = False
    ttl_s: int | None = None
    expire_s: int | None = None


def message_of(text: PushText, envelope: PushEnvelope) -> dict[str, Any]:
    """The message without its device: set `token` on it. What the template says for a platform goes before what is the same for all,
    but nothing is kept beyond the notification's end.
    """
    notification = {"title": text.title, "body": text.body}
    if text.image:
        notification["image"] = text.image
    message: dict[str, Any] = {"notification": notification}
    if text.data:
        message["data"] = dict(text.data)
    message["android"] = _android(text, envelope)
    message["apns"] = _apns(text, envelope)
    message["webpush"] = _webpush(text, envelope)
    return message


def size_of(message: Mapping[str, Any]) -> int:
    """Bytes of the message as compact JSON in UTF-8, its token left out."""
    counted = {key: value for key, value in message.items() if key != "token"}
    return len(json.dumps(counted, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def greatest_size(text: PushText) -> int:
    """The bytes of the message with the largest envelope that a delivery may add: what fits here fits always."""
    return size_of(message_of(text, PushEnvelope(_LONGEST_ID, urgent=True, ttl_s=2_419_200, expire_s=_LATEST)))


def _android(text: PushText, envelope: PushEnvelope) -> dict[str, Any]:
    # the collapse key covers devices that are offline, the tag those that have shown it already
    android: dict[str, Any] = {"collapse_key": envelope.id}
    if envelope.urgent:
        android["priority"] = "high"
    android |= text.android
    if envelope.ttl_s is not None:
        own = float(str(android["ttl"]).removesuffix("s")) if "ttl" in android else envelope.ttl_s
        android["ttl"] = f"{envelope.ttl_s}s" if own >= envelope.ttl_s else android["ttl"]
    android["notification"] = {"tag": envelope.id, **text.android.get("notification", {})}
    return android


def _apns(text: PushText, envelope: PushEnvelope) -> dict[str, Any]:
    headers = {"apns-collapse-id": envelope.id}
    if envelope.urgent:
        headers["apns-priority"] = "10"
    headers |= text.apns.get("headers", {})
    if envelope.expire_s is not None:
        own = headers.get("apns-expiration", "")
        headers["apns-expiration"] = str(min(int(own), envelope.expire_s) if own.isdecimal() else envelope.expire_s)
    return {**text.apns, "headers": headers}


def _webpush(text: PushText, envelope: PushEnvelope) -> dict[str, Any]:
    # RFC 8030 allows a topic 32 characters of base64url: a UUID without its dashes
    headers = {"Topic": envelope.id.replace("-", "")[:32]}
    if envelope.urgent:
        headers["Urgency"] = "high"
    headers |= text.webpush.get("headers", {})
    if envelope.ttl_s is not None:
        own = headers.get("TTL", "")
        headers["TTL"] = str(min(int(own), envelope.ttl_s) if own.isdecimal() else envelope.ttl_s)
    return {**text.webpush, "headers": headers}
