"""Redaction: what the schema marks as sensitive is masked, and the rest stays."""

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryRequested
from clarion.template.v1.render_service_pb2 import Rendered
from clarion.template.v1.template_pb2 import Content
from clarion.user.v1.recipient_service_pb2 import BatchResolveRecipientsResponse, PushTarget, Recipient
from mesh.rpc.redaction import mask, redacted, scrub


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com", "a***@example.com"),
        ("a@example.com", "***@example.com"),
        ('"ada b"@example.com', "***@example.com"),
        ("@example.com", "***"),
        ("ada@two words", "***"),
        ("Ada", "***"),
        ("", ""),
    ],
)
def test_an_address_keeps_its_first_letter_and_its_domain(text: str, expected: str) -> None:
    assert mask(text) == expected


def test_marked_fields_are_masked_however_deep_they_are() -> None:
    devices = [PushTarget(device_id="d1", token="secret")]
    answer = BatchResolveRecipientsResponse(recipients=[Recipient(email="ada@example.com", name="Ada", rule="default", devices=devices)])
    expected = Recipient(email="a***@example.com", name="***", rule="default", devices=[PushTarget(device_id="d1", token="***")])
    assert redacted(answer) == BatchResolveRecipientsResponse(recipients=[expected])
    assert answer.recipients[0].name == "Ada"


def test_values_keep_their_kind_and_their_shape() -> None:
    variables = ParseDict({"name": "Ada", "n": 7, "yes": True, "empty": "", "rows": [{"a": 1}, {"ada@example.com": [None]}]}, Struct())
    envelope = DeliveryRequested(deliveries=[Delivery(template="welcome", variables=variables)])
    [delivery] = redacted(envelope).deliveries
    assert delivery.template == "welcome"
    assert MessageToDict(delivery.variables) == {"name": "***", "n": 0, "yes": False, "empty": "", "rows": [{"a": 0}, {"***": [None]}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example/?token=1", "https://***"),
        ("HTTP://a.example", "http://***"),
        ("https:/a", "***"),
        ("mailto:ada@example.com", "mailto:***"),
        ("tel:+4930", "tel:***"),
        ("2030-02-03", "1970-01-01"),
        ("2030-02-03T04:05:06.7+02:00", "1970-01-01T00:00:00Z"),
        ("2030", "***"),
        ("ada@example.com", "***"),
    ],
)
def test_links_and_times_keep_their_kind_so_that_a_text_can_be_made_of_them(text: str, expected: str) -> None:
    delivery = Delivery(variables=ParseDict({"a": text}, Struct()))
    assert MessageToDict(redacted(delivery).variables) == {"a": expected}


def test_a_marked_message_is_left_out() -> None:
    assert redacted(Rendered(content=Content(subject="Ada"), locale="en")) == Rendered(locale="en")


def test_a_reply_is_freed_of_addresses_and_of_the_values_that_it_repeats() -> None:
    """Short values stay: hiding every "a" of a text would hide the text."""
    values = ParseDict({"name": "Ada Lovelace", "x": ["Lovelace", {"y": "a"}]}, Struct())
    reply = "550 <ada@example.com>: Ada Lovelace has no mailbox, says eve@b"
    assert scrub(reply, values) == "550 <***>: *** has no mailbox, says ***"
    assert scrub("a mailbox", values) == "a mailbox"
