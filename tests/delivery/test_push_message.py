"""What a push is made of for each platform, what it weighs, and which platform blocks FCM would take."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.fcm_fields import BLOCKS, faults, finish
from delivery.push_message import MAX_PUSH_BYTES, PushEnvelope, PushText, greatest_size, message_of, size_of

ID = "0190b1f0-0000-7000-8000-000000000001"


def test_an_end_reaches_every_platform() -> None:
    message = message_of(PushText("Hello", "Ada"), PushEnvelope(ID, ttl_s=600, expire_s=1_800_000_000))
    assert message["android"]["ttl"] == "600s"
    assert message["apns"]["headers"]["apns-expiration"] == "1800000000"
    assert message["webpush"]["headers"]["TTL"] == "600"


def test_a_template_may_shorten_the_time_and_never_lengthen_it() -> None:
    short = PushText("a", "b", android={"ttl": "60s"}, apns={"headers": {"apns-expiration": "0"}}, webpush={"headers": {"TTL": "60"}})
    long = PushText("a", "b", android={"ttl": "6000s"}, apns={"headers": {"apns-expiration": "1900000000"}})
    envelope = PushEnvelope(ID, ttl_s=600, expire_s=1_800_000_000)
    first, second = message_of(short, envelope), message_of(long, envelope)
    assert (first["android"]["ttl"], first["apns"]["headers"]["apns-expiration"], first["webpush"]["headers"]["TTL"]) == ("60s", "0", "60")
    assert (second["android"]["ttl"], second["apns"]["headers"]["apns-expiration"]) == ("600s", "1800000000")


def test_platform_blocks_go_out_as_fcm_spells_them() -> None:
    aps = {
        "alert": {"title": "T", "subtitle": "S"},
        "sound": "default",
        "badge": 3,
        "thread-id": "o",
        "mutable-content": 1,
        "category": "ORDER",
    }
    text = PushText(
        "a", "b", android={"notification": {"channel_id": "orders", "click_action": "OPEN"}}, apns={"payload": {"aps": aps}},
        webpush={"fcm_options": {"link": "https://example.com/o"}},
    )  # fmt: skip
    message = message_of(text, PushEnvelope(ID))
    assert message["android"] == {"collapse_key": ID, "notification": {"tag": ID, "channel_id": "orders", "click_action": "OPEN"}}
    assert message["apns"] == {"payload": {"aps": aps}, "headers": {"apns-collapse-id": ID}}
    assert message["webpush"]["fcm_options"] == {"link": "https://example.com/o"}


@given(
    st.text(max_size=3000),
    st.dictionaries(st.text(max_size=9), st.text(max_size=99), max_size=5),
    st.booleans(),
    st.none() | st.integers(0, 2_419_200),
)
def test_what_fits_when_it_is_accepted_fits_when_it_is_sent(body: str, data: dict[str, str], urgent: bool, ttl_s: int | None) -> None:
    text = PushText("title", body.encode("utf-8", "replace").decode(), {k: v for k, v in data.items() if (k + v).isprintable()})
    expire_s = None if ttl_s is None else 1_800_000_000
    message = message_of(text, PushEnvelope(ID, urgent, ttl_s, expire_s))
    assert size_of(message) <= greatest_size(text)
    assert size_of({**message, "token": "x" * 200}) == len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def test_the_size_counts_bytes_and_not_characters() -> None:
    assert greatest_size(PushText("a", "ö" * 1800)) - greatest_size(PushText("a", "o" * 1800)) == 1800
    assert greatest_size(PushText("a", "o" * MAX_PUSH_BYTES)) > MAX_PUSH_BYTES


@pytest.mark.parametrize(
    ("platform", "block"),
    [
        (
            "android",
            {"priority": "HIGH", "ttl": "3.5s", "data": {"a": "b"}, "notification": {"color": "#1a2b3c", "notification_count": "{{ n }}"}},
        ),
        (
            "android",
            {"notification": {"visibility": "PRIVATE", "vibrate_timings": ["1s", "0.5s"], "light_settings": {"color": {"red": 1}}}},
        ),
        ("apns", {"payload": {"aps": {"alert": "Hi", "badge": "{{ unread }}", "interruption-level": "active"}, "order": {"id": 7}}}),
        ("apns", {"headers": {"apns-push-type": "alert", "apns-priority": "5"}, "fcm_options": {"image": "https://e.com/{{ a }}.png"}}),
        ("webpush", {"notification": {"actions": [{"action": "x"}], "icon": "/i.png"}, "fcm_options": {"link": "{{ link }}"}}),
    ],
)
def test_what_fcm_knows_is_taken(platform: str, block: dict[str, object]) -> None:
    assert list(faults(platform, block)) == []


@pytest.mark.parametrize(
    ("platform", "block", "path", "words"),
    [
        ("android", {"notification": {"channelId": "orders"}}, "notification.channel_id".replace("channel_id", "channelId"), "channel_id"),
        ("android", {"notification": {"color": "red"}}, "notification.color", "#1a2b3c"),
        ("android", {"ttl": 60}, "ttl", "3.5s"),
        ("android", {"data": {"a": 1}}, "data.a", "string"),
        ("android", {"notification": "hello"}, "notification", "object"),
        ("android", {"notification": {"sticky": "yes"}}, "notification.sticky", "true or false"),
        ("apns", {"aps": {"badge": 1}}, "aps", "payload"),
        ("apns", {"payload": {"aps": {"thread_id": "x"}}}, "payload.aps.thread_id", "thread-id"),
        ("apns", {"payload": {"aps": {"badge": -1}}}, "payload.aps.badge", "whole number"),
        ("apns", {"payload": {"aps": {"mutable-content": True}}}, "payload.aps.mutable-content", "from 0 to 1"),
        ("apns", {"headers": {"apns-priority": "7"}}, "headers.apns-priority", "1, 5, 10"),
        ("webpush", {"fcm_options": {"link": "http://e.com"}}, "fcm_options.link", "https"),
        ("webpush", {"link": "https://e.com"}, "link", "fcm_options"),
        ("webpush", {"headers": {"Urgency": "urgent"}}, "headers.Urgency", "very-low, low, normal, high"),
        ("webpush", {"headers": {"TTL": "1h"}}, "headers.TTL", "seconds"),
        ("webpush", {"headers": {"Topic": "x" * 33}}, "headers.Topic", "1 to 32"),
        ("webpush", {"headers": {"ttl": "60"}}, "headers.ttl", "TTL"),
    ],
)
def test_what_fcm_would_refuse_is_named(platform: str, block: dict[str, object], path: str, words: str) -> None:
    ((found, description),) = faults(platform, block)
    assert found == path
    assert words in description


def test_finished_texts_become_the_kind_that_fcm_wants() -> None:
    block = {"payload": {"aps": {"badge": "3", "sound": "1", "mutable-content": 1.0, "alert": {"loc-args": ["7"]}}, "id": "8"}}
    done = finish("apns", block)
    assert done == {"payload": {"aps": {"badge": 3, "sound": "1", "mutable-content": 1, "alert": {"loc-args": ["7"]}}, "id": "8"}}
    assert finish("android", {"notification": {"sticky": "True", "notification_count": " 4 "}}) == {
        "notification": {"sticky": True, "notification_count": 4}
    }
    assert list(faults("apns", finish("apns", {"payload": {"aps": {"badge": "many"}}}))) == [
        ("payload.aps.badge", "must be a whole number from 0 to 2147483647")
    ]


@given(
    st.sampled_from(sorted(BLOCKS)),
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=5) | st.sampled_from(["notification", "payload", "aps", "headers", "alert", "data"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ),
)
def test_any_block_is_checked_without_a_failure(platform: str, block: object) -> None:
    if isinstance(block, dict):
        list(faults(platform, block))
        list(faults(platform, finish(platform, block)))
