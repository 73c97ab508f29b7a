"""Field rules of the schema."""

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value

from clarion.channel.v1 import channel_pb2
from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed
from clarion.notification.v1 import notification_service_pb2
from clarion.template.v1 import template_service_pb2
from clarion.user.v1 import preference_pb2, user_service_pb2
from mesh.errors import InvalidArgument
from mesh.rpc.validation import validate

Send = notification_service_pb2.SendNotificationRequest


def _violations(request: Message) -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgument) as caught:
        validate(request)
    return [(violation.field, violation.description) for violation in caught.value.violations]


def test_every_missing_field_is_named() -> None:
    """All breaches are told at once."""
    missing = [("user_id", "is required where there is no to"), ("channel", "is required"), ("template", "is required")]
    assert _violations(Send()) == missing
    assert _violations(Send(to=notification_service_pb2.Addressee())) == [
        ("channel", "is required"),
        ("template", "is required"),
        ("to.email", "is required where there is no device_token"),
    ]


def test_a_complete_request_passes() -> None:
    """No rule is broken, nothing is raised."""
    validate(Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t", request_id="r-1", metadata={"a": "b"}))


def test_long_text_names_the_limit() -> None:
    """The limit counts characters."""
    request = Send(user_id="u" * 129, channel=channel_pb2.CHANNEL_EMAIL, template="t")
    assert _violations(request) == [("user_id", "must have at most 128 characters")]


def test_a_pattern_is_described_in_words() -> None:
    """The regular expression stays inside."""
    request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t", request_id="a\tb")
    assert _violations(request) == [("request_id", "must be printable ASCII")]


def test_map_values_are_checked_under_their_keys() -> None:
    """The path names the key."""
    request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t", metadata={"long": "x" * 501})
    assert _violations(request) == [("metadata.long", "must have at most 500 characters")]


def test_too_many_elements_are_refused() -> None:
    """The field is named, not its elements."""
    request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t", metadata={str(n): "x" for n in range(21)})
    assert _violations(request) == [("metadata", "must have at most 20 elements")]


def test_nested_messages_are_checked_under_their_path() -> None:
    """An element of a repeated field is named by its index."""
    request = preference_pb2.UpdatePreferencesRequest(
        user_id="u", rules=[preference_pb2.PreferenceRule(choice=preference_pb2.CHOICE_DENY), preference_pb2.PreferenceRule()]
    )
    assert _violations(request) == [("rules[1].choice", "is required")]


def test_message_maps_are_checked_under_their_keys() -> None:
    """A content of a version is named by its locale."""
    request = template_service_pb2.CreateVersionRequest(name="t")
    request.contents["pt-BR"].subject = "x" * 1001
    assert _violations(request) == [("contents.pt-BR.subject", "must have at most 1000 characters")]


def test_numbers_keep_their_bounds() -> None:
    """Both bounds are included; an unset number is 0."""
    validate(user_service_pb2.ListUsersRequest(page_size=200))
    assert _violations(user_service_pb2.ListUsersRequest(page_size=201)) == [("page_size", "must be at most 200")]
    assert _violations(user_service_pb2.ListUsersRequest(page_size=-1)) == [("page_size", "must be at least 0")]
    assert _violations(template_service_pb2.GetVersionRequest(name="t")) == [("version", "is required")]


def test_a_missing_message_is_named() -> None:
    """Presence counts for messages."""
    assert _violations(user_service_pb2.UpdateUserRequest(id="u")) == [("user", "is required")]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_free_json_holds_no_number_that_json_lacks(number: float) -> None:
    """Over gRPC as over REST, where the text can't say them: it would make the dead letter unreadable."""
    request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t")
    request.variables.update({"order": {"items": [1, {"price": number}]}, "fine": 1.5})
    assert _violations(request) == [("variables.order.items[1].price", "must be a finite number")]


def test_an_error_names_at_most_twenty_numbers_and_no_endless_path() -> None:
    """The caller chooses how many there are, and their keys."""
    request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t")
    request.variables.update({f"{index}" * 500: float("nan") for index in range(50)})
    found = _violations(request)
    assert len(found) == 20
    assert max(len(path) for path, _ in found) == 203  # 200 characters and the mark that it was cut


@pytest.mark.parametrize("kind", ["struct_value", "list_value"])
def test_free_json_is_nested_at_most_16_levels_deep(kind: str) -> None:
    """The deepest that is accepted survives the levels that messages on its way add; protobuf's parsers stop at 100."""

    def nested(levels: int) -> notification_service_pb2.SendNotificationRequest:
        value = Value(string_value="core")
        for _ in range(levels - 1):
            outer = Value()
            if kind == "struct_value":
                outer.struct_value.fields["a"].CopyFrom(value)
            else:
                outer.list_value.values.add().CopyFrom(value)
            value = outer
        request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t")
        request.variables.fields["deep"].CopyFrom(value)
        return request

    deepest = nested(16)
    validate(deepest)
    delivery = Delivery(variables=deepest.variables)
    failed = DeliveryFailed(delivery=delivery)
    assert DeliveryFailed.FromString(failed.SerializeToString()) == failed
    assert _violations(nested(17)) == [("variables", "must not nest lists and objects deeper than 16 levels")]


def test_free_json_takes_at_most_256_kib() -> None:
    """With the largest that is accepted, every message after the request stays below its limit."""

    def sized(size: int) -> notification_service_pb2.SendNotificationRequest:
        request = Send(user_id="u", channel=channel_pb2.CHANNEL_EMAIL, template="t")
        request.variables.fields["text"].string_value = "x" * size
        return request

    largest = 256 * 1024 - sized(256 * 1024).variables.ByteSize() + 256 * 1024
    validate(sized(largest))
    assert _violations(sized(largest + 1)) == [("variables", "takes 262,145 bytes as protobuf and must take at most 262,144")]
