"""The objects that FCM HTTP v1 takes per platform, as data: field names, kinds and limits, and the check of a block against them.

Sources: AndroidConfig, ApnsConfig and WebpushConfig of the reference of projects.messages (firebase.google.com/docs/reference/fcm/rest/v1),
Apple's "Generating a remote notification" (payload keys) and "Sending notification requests to APNs" (headers),
RFC 8030, sections 5.2 to 5.4 (headers of a web push).
A string that holds template syntax stands for any kind until it is rendered; `finish` then makes numbers and booleans of finished texts.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Fault = tuple[str, str]  # the field's path below the block, and what is wrong with it
_Kind = Callable[[Any], str]  # empty, or what the value must be

_TEMPLATE = re.compile(r"\{[{%#]")
_DURATION = re.compile(r"\d{1,10}(\.\d{1,9})?s")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_COLOR = re.compile("#[0-9a-fA-F]{6}")
_HTTPS = re.compile(r"https://[^\s/?#]+\S*")
_INTEGER = re.compile(r"-?\d{1,15}")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
_APNS_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "must be a string"


def _matching(pattern: re.Pattern[str], must: str) -> _Kind:
    return lambda value: "" if isinstance(value, str) and pattern.fullmatch(value) else must


def _one_of(*words: str) -> _Kind:
    return lambda value: "" if value in words else f"must be one of {', '.join(words)}"


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _integer(least: int = -(2**31), most: int = 2**31 - 1) -> _Kind:
    def check(value: Any) -> str:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most and value == int(value)
        return "" if fits else f"must be a whole number from {least} to {most}"

    return check


def _number(least: float, most: float) -> _Kind:
    def check(value: Any) -> str:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
        return "" if fits else f"must be a number from {least} to {most}"

    return check


class _Map(dict[str, Any]):
    """An object with these keys and no others."""


class _Open(dict[str, Any]):
    """An object with these keys and any others beside them."""


class _Of:
    """An object with any keys, or an array, all of whose values have one kind."""

    def __init__(self, kind: Any, *, array: bool = False) -> None:
        self.kind = kind
        self.array = array


class _Either:
    """A string, or an object."""

    def __init__(self, other: _Map) -> None:
        self.other = other


_https = _matching(_HTTPS, "must be an https URL")
_duration = _matching(_DURATION, 'must be seconds such as "3.5s"')
_color = _matching(_COLOR, 'must be a color such as "#1a2b3c"')
_flag = _integer(0, 1)
_texts = _Of(_text, array=True)
_ANALYTICS = {
    "analytics_label": _matching(re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}"), "must be 1 to 50 of the characters a-z A-Z 0-9 - _ . ~ %")
}
_PRIORITIES = tuple(f"PRIORITY_{word}" for word in ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX"))

_ANDROID_NOTIFICATION = _Map(
    title=_text, body=_text, icon=_text, color=_color, sound=_text, tag=_text, click_action=_text, channel_id=_text, ticker=_text,
    title_loc_key=_text, title_loc_args=_texts, body_loc_key=_text, body_loc_args=_texts, image=_https, sticky=_boolean,
    local_only=_boolean,
    event_time=_matching(_TIME, "must be a time such as 2026-01-31T12:00:00Z"), notification_priority=_one_of(*_PRIORITIES),
    visibility=_one_of("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"), notification_count=_integer(0),
    proxy=_one_of("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"), bypass_proxy_notification=_boolean,
    default_sound=_boolean, default_vibrate_timings=_boolean, default_light_settings=_boolean, vibrate_timings=_Of(_duration, array=True),
    light_settings=_Map(
        color=_Map(red=_number(0, 1), green=_number(0, 1), blue=_number(0, 1), alpha=_number(0, 1)),
        light_on_duration=_duration, light_off_duration=_duration,
    ),
)  # fmt: skip
_ALERT = _Map({
    "title": _text, "subtitle": _text, "body": _text, "launch-image": _text, "title-loc-key": _text, "title-loc-args": _texts,
    "subtitle-loc-key": _text, "subtitle-loc-args": _texts, "loc-key": _text, "loc-args": _texts, "action-loc-key": _text,
    "summary-arg": _text, "summary-arg-count": _integer(0),
})  # fmt: skip
_APS = _Map({
    "alert": _Either(_ALERT), "badge": _integer(0), "sound": _Either(_Map(critical=_flag, name=_text, volume=_number(0, 1))),
    "thread-id": _text, "category": _text, "content-available": _flag, "mutable-content": _flag, "target-content-id": _text,
    "interruption-level": _one_of("passive", "active", "time-sensitive", "critical"), "relevance-score": _number(0, 1e9),
    "filter-criteria": _text, "url-args": _texts, "stale-date": _integer(0, 2**53), "dismissal-date": _integer(0, 2**53),
    "timestamp": _integer(0, 2**53), "event": _one_of("start", "update", "end"), "content-state": _Open(), "attributes": _Open(),
    "attributes-type": _text,
})  # fmt: skip
_APNS_HEADERS = _Map({
    "apns-priority": _one_of("1", "5", "10"), "apns-expiration": _matching(re.compile(r"\d{1,12}"), "must be a Unix time in a string"),
    "apns-collapse-id": lambda value: "" if isinstance(value, str) and len(value.encode()) <= 64 else "must have at most 64 bytes",
    "apns-push-type": _one_of("alert", "background", "location", "voip", "complication", "fileprovider", "liveactivity", "pushtotalk"),
    "apns-topic": _text, "apns-id": _matching(_APNS_ID, "must be a UUID"),
})  # fmt: skip
# A push service refuses a message with another value here, and does so after FCM has taken it: it would never arrive.
_WEBPUSH_HEADERS = _Map({
    "TTL": _matching(re.compile(r"\d{1,10}"), 'must be seconds in a string, such as "3600"'),
    "Urgency": _one_of("very-low", "low", "normal", "high"),
    "Topic": _matching(re.compile(r"[A-Za-z0-9_-]{1,32}"), "must be 1 to 32 of the characters a-z A-Z 0-9 - _"),
})  # fmt: skip

BLOCKS: Mapping[str, _Map] = {
    "android": _Map(
        collapse_key=_text, priority=_one_of("NORMAL", "HIGH", "normal", "high"), ttl=_duration, restricted_package_name=_text,
        data=_Of(_text), notification=_ANDROID_NOTIFICATION, fcm_options=_Map(_ANALYTICS), direct_boot_ok=_boolean,
        bandwidth_constrained_ok=_boolean, restricted_satellite_ok=_boolean,
    ),
    "apns": _Map(
        headers=_APNS_HEADERS, payload=_Open(aps=_APS), fcm_options=_Map(image=_https, **_ANALYTICS), live_activity_token=_text,
    ),
    "webpush": _Map(
        headers=_WEBPUSH_HEADERS, data=_Of(_text), fcm_options=_Map(link=_https, **_ANALYTICS),
        # the Web Notification API grows with the browsers; FCM hands on whatever it is given
        notification=_Open(
            title=_text, body=_text, icon=_text, badge=_text, image=_text, tag=_text, lang=_text, dir=_one_of("auto", "ltr", "rtl"),
            renotify=_boolean, requireInteraction=_boolean, silent=_boolean, timestamp=_integer(0, 2**53),
        ),
    ),
}  # fmt: skip
_DEPTH = 12


def faults(platform: str, block: Mapping[str, Any]) -> Iterator[Fault]:
    """What FCM would refuse in a platform's block (`android`, `apns` or `webpush`), by path: unknown fields and values of a wrong kind."""
    yield from _faults(BLOCKS[platform], block, "", _DEPTH)


def finish(platform: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """The rendered block: finished texts in the place of a number or a boolean become one, whole numbers lose their fraction."""
    finished: dict[str, Any] = _finish(BLOCKS[platform], block)
    return finished


def _faults(kind: Any, value: Any, path: str, depth: int) -> Iterator[Fault]:
    if depth == 0:
        yield path, "is nested too deeply"
    elif isinstance(value, str) and _TEMPLATE.search(value) and not isinstance(kind, _Map | _Open | _Of):
        return
    elif isinstance(kind, _Either):
        yield from () if isinstance(value, str) else _faults(kind.other, value, path, depth)
    elif isinstance(kind, _Of) and kind.array:
        if not isinstance(value, list | tuple):
            yield path, "must be an array"
            return
        for index, item in enumerate(value):
            yield from _faults(kind.kind, item, f"{path}[{index}]", depth - 1)
    elif isinstance(kind, _Map | _Open | _Of):
        if not isinstance(value, Mapping):
            yield path, "must be an object"
            return
        for key, item in value.items():
            below = f"{path}.{key}" if path else key
            if isinstance(kind, _Of):
                yield from _faults(kind.kind, item, below, depth - 1)
            elif key in kind:
                yield from _faults(kind[key], item, below, depth - 1)
            elif isinstance(kind, _Map):
                yield below, _unknown(key, kind)
    elif problem := kind(value):
        yield path, problem


def _unknown(key: str, kind: _Map) -> str:
    spelled = re.sub("(?<=[a-z])(?=[A-Z])", "_", key).lower()
    near = next((name for name in kind if name.replace("-", "_") == spelled.replace("-", "_")), "")
    near = near or next(iter(difflib.get_close_matches(key, list(kind), 1)), "")
    return f"is not a field of FCM's; did you mean {near}?" if near else f"is not a field of FCM's; it knows {', '.join(sorted(kind))}"


def _finish(kind: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = kind.other if isinstance(kind, _Either) else kind
        known: Mapping[str, Any] = inner if isinstance(inner, _Map | _Open) else {}
        return {key: _finish(inner.kind if isinstance(inner, _Of) else known.get(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finish(kind.kind if isinstance(kind, _Of) else None, item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and callable(kind) and not isinstance(kind, dict) and kind(value):
        return _from_text(value.strip())
    return value


def _from_text(text: str) -> Any:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
