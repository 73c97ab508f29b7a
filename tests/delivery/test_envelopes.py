"""Envelopes as bytes: whatever is in them, each item is read or named, and none costs another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryRequested
from delivery.envelopes import envelope, ids_header, ids_of, open_envelope
from mesh.ids import new_id
from tests.delivery.fakes import make_delivery


@given(
    items=st.lists(st.one_of(st.binary(max_size=60), st.integers(1, 99).map(lambda n: make_delivery(n).SerializeToString())), max_size=6)
)
def test_each_item_is_a_delivery_or_is_named(items: list[bytes]) -> None:
    named = [new_id() for _ in items]
    deliveries, unreadable = open_envelope(envelope(items), ids_header(named))
    good = [item for item in items if item and item.startswith(b"\x0a\x24")]
    assert len(deliveries) + len(unreadable) == max(1, len(items))
    for item in good:
        assert Delivery.FromString(item) in deliveries or any(one.body == item for one in unreadable)
    if items:
        assert all(one.notification_id for one in unreadable)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered(body: bytes) -> None:
    deliveries, unreadable = open_envelope(body, {})
    assert deliveries or unreadable


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "UNPARSABLE"),
        (b"", "EMPTY"),
        (DeliveryRequested(deliveries=[Delivery(attempt=1)]).SerializeToString(), "NOT_A_DELIVERY"),
        (DeliveryRequested(deliveries=[Delivery(notification_id="n")]).SerializeToString(), "NOT_A_DELIVERY"),
    ],
)
def test_what_is_no_delivery_has_a_reason_and_the_names_of_the_header(body: bytes, reason: str) -> None:
    name = new_id()
    assert open_envelope(body, {}) == ([], [(reason, open_envelope(body, {})[1][0].body, "")])
    assert [one.notification_id for one in open_envelope(body, ids_header([name]))[1]] == [name]


@pytest.mark.parametrize("said", [None, 7, "", "x,,y", "'; DROP"])
def test_a_header_of_another_maker_names_nothing(said: object) -> None:
    assert ids_of({"notification-ids": said}) == []
