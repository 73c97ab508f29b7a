"""The codec follows the proto3 JSON mapping, as google.protobuf.json_format does, and says clearly what is wrong."""

import json
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.transcoding.schema import message_class
from tests.transcoding.strategies import messages, objects
from transcoding.codec import Codec
from transcoding.json_enum import enum_names
from transcoding.json_scalar import BadValue
from transcoding.json_struct import INEXACT
from transcoding.json_text import JsonError, read_json

LETTER = Codec()
EDGE = Codec(short_enums=True, print_defaults=True)
Kinds: Any = message_class("Kinds")
THOROUGH = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def wire(message: Message) -> bytes:
    """Compares messages where == does not: NaN is not itself."""
    return message.SerializeToString(deterministic=True)


def theirs(value: Any) -> Message | None:
    try:
        return json_format.Parse(json.dumps(value), Kinds())  # type: ignore[no-any-return]  # messages are untyped here
    except json_format.ParseError:
        return None


def ours(value: Any, codec: Codec = LETTER) -> Message | None:
    try:
        return codec.parse(json.dumps(value).encode(), Kinds)  # type: ignore[no-any-return]  # messages are untyped here
    except BadValue:
        return None


def problems(value: Any, codec: Codec = EDGE) -> dict[str, str]:
    with pytest.raises(BadValue) as caught:
        codec.parse(json.dumps(value).encode(), Kinds)
    return dict(caught.value.problems)


@THOROUGH
@given(messages(Kinds.DESCRIPTOR))
def test_any_message_prints_as_json_format_prints_it(message: Message) -> None:
    assert json.loads(LETTER.print(message)) == json.loads(json_format.MessageToJson(message))


@THOROUGH
@given(messages(Kinds.DESCRIPTOR, unknown_enums=False))
def test_defaults_print_as_json_format_prints_them(message: Message) -> None:
    printed = Codec(print_defaults=True).print(message)
    assert json.loads(printed) == json.loads(json_format.MessageToJson(message, always_print_fields_with_no_presence=True))


@THOROUGH
@given(messages(Kinds.DESCRIPTOR))
def test_what_is_printed_parses_to_the_same_message(message: Message) -> None:
    assert wire(LETTER.parse(LETTER.print(message), Kinds)) == wire(message)


@THOROUGH
@given(messages(Kinds.DESCRIPTOR, unknown_enums=False))
def test_the_edges_own_spelling_parses_to_the_same_message(message: Message) -> None:
    assert wire(EDGE.parse(EDGE.print(message), Kinds)) == wire(message)


@settings(THOROUGH, max_examples=examples(500))
@given(objects(Kinds.DESCRIPTOR))
def test_json_is_taken_or_refused_as_json_format_does(value: Any) -> None:
    mine, other = ours(value), theirs(value)
    assert (mine is None) == (other is None), value
    if mine is not None and other is not None:
        assert wire(mine) == wire(other)


@THOROUGH
@given(objects(Kinds.DESCRIPTOR))
def test_every_refusal_names_rules_without_internals(value: Any) -> None:
    try:
        EDGE.parse(json.dumps(value).encode(), Kinds)
    except BadValue as bad:
        for path, rule in bad.problems:
            assert rule.startswith(("must ", "is "))
            assert "edgetest" not in rule
            assert "Kinds" not in path + rule


@pytest.mark.parametrize(
    "value",
    [
        {"anInt32": "1_0"},
        {"anInt32": "+1"},
        {"anInt32": "01"},
        {"anInt32": "٣"},
        {"int32Map": {"1e2": "x"}},
        {"aDouble": True},
        {"aDouble": "1_0"},
        {"aDouble": "inf"},
        {"aDouble": " 1"},
        {"aDouble": ".5"},
        {"aDouble": "1e999"},
        {"aFloat": "1e39"},
        {"aFloat": 10**39},
        {"aBytes": "a b c d"},
        {"aBytes": "YQ=a"},
        {"aColor": "1"},
        {"aColor": True},
        {"aColor": 1.5},
        {"aTime": "2020-1-1T0:0:0Z"},
        {"aTime": "2020-01-01T00:00:00+1:5"},
        {"aDuration": "1.0000000001s"},
        {"aDuration": "1_0s"},
        {"aMask": "a,,b"},
        {"aMask": "a b"},
        {"aString": "x", "a_string": "y"},
        {"anAny": {"@type": "google.protobuf.Empty"}},
        {"anAny": {"@type": "x/google.protobuf.Int32Value", "value": 1, "more": 2}},
        {"choiceString": "x", "choiceNull": None},
        {"aKinds": []},
    ],
)
def test_what_json_format_takes_against_the_mapping_is_refused(value: Any) -> None:
    assert theirs(value) is not None, "json_format has become strict: move the case to the strategies"
    assert ours(value) is None


@pytest.mark.parametrize("value", [{"valueMap": {"a": None}}, {"values": [None]}, {"choiceNull": None}, {"aNull": None}, {"aValue": None}])
def test_null_is_a_value_where_the_type_says_so(value: Any) -> None:
    message = ours(value)
    assert message is not None
    assert json.loads(LETTER.print(message)) == ({} if value == {"aNull": None} else value)


def test_null_means_unset_elsewhere() -> None:
    assert wire(LETTER.parse(b'{"aString": null, "aKinds": null, "int32s": null, "stringMap": null, "aTime": null}', Kinds)) == b""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"foo": 1}, {"foo": "is not a field of this request"}),
        ({"a_kinds": {"x": 1}}, {"a_kinds.x": "is not a field of this request"}),
        ({"kindss": [{}, {"x": 1}]}, {"kindss[1].x": "is not a field of this request"}),
        ({"kinds_map": {"k": {"x": 1}}}, {"kinds_map.k.x": "is not a field of this request"}),
        ({"aString": 1}, {"a_string": "must be a string"}),
        ({"a_bool": "true"}, {"a_bool": "must be true or false"}),
        ({"a_sint32": 1.5}, {"a_sint32": "must be a whole number from -2147483648 to 2147483647"}),
        ({"a_uint64": -1}, {"a_uint64": "must be a whole number from 0 to 18446744073709551615"}),
        ({"a_double": "x"}, {"a_double": "must be a number"}),
        ({"a_float": 1e39}, {"a_float": "must be a number within the range of the field"}),
        ({"a_bytes": "%"}, {"a_bytes": "must be a string in base64"}),
        ({"a_color": "green"}, {"a_color": "must be one of: red, dark_blue"}),
        ({"a_color": 77}, {"a_color": "must be one of: red, dark_blue"}),
        ({"color_map": {"k": "x"}}, {"color_map.k": "must be one of: red, dark_blue"}),
        ({"a_version": "3"}, {"a_version": "must be one of: 1, 2"}),
        ({"a_kinds": []}, {"a_kinds": "must be an object"}),
        ({"int32s": 1}, {"int32s": "must be a list"}),
        ({"int32s": [1, None]}, {"int32s[1]": "must not be null"}),
        ({"string_map": {"k": 1}}, {"string_map.k": "must be a string"}),
        ({"int32_map": {"x": "y"}}, {"int32_map.x": "must have whole numbers as keys"}),
        ({"a_time": "now"}, {"a_time": "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z"}),
        ({"a_time": "0001-01-01T00:00:00+01:00"}, {"a_time": "must be a time in the years 0001 to 9999"}),
        ({"a_duration": 5}, {"a_duration": "must be a duration in seconds, such as 1.5s"}),
        ({"a_duration": "999999999999s"}, {"a_duration": "must be a duration of at most 10,000 years"}),
        ({"a_mask": 5}, {"a_mask": "must be field paths separated by commas"}),
        ({"a_struct": []}, {"a_struct": "must be an object"}),
        ({"a_struct": {"a": [10**400]}}, {"a_struct.a[0]": "must be a finite number"}),
        ({"a_list": {}}, {"a_list": "must be a list"}),
        ({"an_any": {"value": 1}}, {"an_any.@type": "must be the URL of a type"}),
        ({"an_any": {"@type": "x/y"}}, {"an_any.@type": "must be the URL of a known type"}),
        ({"wrapped_int32": "x"}, {"wrapped_int32": "must be a whole number from -2147483648 to 2147483647"}),
        ({"choice_string": "x", "choice_int64": 1}, {"choice_int64": "must not be set together with choice_string or choice_kinds"}),
        ({"aString": "x", "a_string": "x"}, {"a_string": "is given twice, as aString and as a_string"}),
        ({"a_string": "\ud800"}, {"a_string": "must be Unicode text; it has half of a surrogate pair"}),
        ({"a_struct": {"k": "\ud800"}}, {"a_struct.k": "must be Unicode text; it has half of a surrogate pair"}),
        ([], {"": "must be an object"}),
    ],
)
def test_an_error_names_the_path_and_the_rule(value: Any, expected: dict[str, str]) -> None:
    found = problems(value)
    assert list(found) == list(expected)
    for path, rule in expected.items():
        assert found[path].startswith(rule)


@pytest.mark.parametrize(
    "number",
    [
        "9007199254740993",
        "-9007199254740993",
        "9007199254740993.0",
        "123456789012345678901234567890",
        "0.12345678901234567890123",
        "1.0000000000000000001",
        "9007199254740993e0",
        "1e-400",
        "1e-40000000000000000000000000",
        "4.9e-324",
    ],
)
def test_free_json_refuses_numbers_that_would_lose_digits(number: str) -> None:
    with pytest.raises(BadValue) as caught:
        EDGE.parse(b'{"a_struct": {"order": {"ids": [%b]}}}' % number.encode(), Kinds)
    assert caught.value.problems == [("a_struct.order.ids[0]", INEXACT)]


@pytest.mark.parametrize(
    "number",
    ["9007199254740992", "-9007199254740992", "0.1", "1e22", "1e300", "1.7976931348623157e308", "5e-324", "100000000000000.000", "0"],
)
def test_free_json_takes_numbers_that_keep_their_digits(number: str) -> None:
    message = EDGE.parse(b'{"a_struct": {"n": %b}}' % number.encode(), Kinds)
    assert json.loads(EDGE.print(message))["a_struct"]["n"] == json.loads(number)


@pytest.mark.parametrize("number", ["3", "0", "-7", "9007199254740992", "0.5", "-0.0", "1e+22"])
def test_a_whole_number_in_free_json_comes_back_as_one(number: str) -> None:
    """A typed client reads an integer, where protobuf for Python would print 3.0."""
    message = EDGE.parse(b'{"a_struct": {"n": %b}}' % number.encode(), Kinds)
    assert b'"n":%b}' % number.replace("e+", "e").encode() in EDGE.print(message).replace(b"e+", b"e")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_free_json_takes_every_number_as_json_writes_it(number: float) -> None:
    message = EDGE.parse(json.dumps({"a_struct": {"n": number}}).encode(), Kinds)
    assert message.a_struct["n"] == number


@pytest.mark.parametrize("text", ["9007199254740993.0", "1.0000000000000000001"])
def test_a_whole_number_is_not_rounded_to_fit(text: str) -> None:
    with pytest.raises(BadValue, match="whole number"):
        EDGE.parse(b'{"an_int64": %b}' % text.encode(), Kinds)
    assert EDGE.parse(b'{"a_double": %b}' % text.encode(), Kinds).a_double == float(text)


def test_all_problems_of_a_request_are_told_at_once_up_to_twenty() -> None:
    found = problems({"foo": 1, "a_string": 1, "kindss": [{"bar": 2}, {"a_bool": 3}]})
    assert list(found) == ["foo", "a_string", "kindss[0].bar", "kindss[1].a_bool"]
    assert len(problems({"int32s": ["x"] * 1000, "string_map": {str(i): 1 for i in range(1000)}})) == 20


def test_an_error_repeats_only_the_start_of_a_long_key() -> None:
    assert list(problems({"x" * 1000: 1})) == ["x" * 64]


@pytest.mark.parametrize("spelling", ["COLOR_DARK_BLUE", "dark_blue", "DARK_BLUE", "Dark_Blue", 2])
def test_the_edge_takes_an_enum_in_its_short_and_its_full_form(spelling: Any) -> None:
    message = EDGE.parse(json.dumps({"a_color": spelling}).encode(), Kinds)
    assert message.a_color == 2
    assert json.loads(Codec(short_enums=True).print(message)) == {"a_color": "dark_blue"}


@pytest.mark.parametrize("spelling", ["dark_blue", "color_dark_blue"])
def test_to_the_letter_only_the_full_form_is_taken(spelling: str) -> None:
    assert problems({"aColor": spelling}, LETTER) == {"aColor": "must be one of: COLOR_RED, COLOR_DARK_BLUE"}
    assert problems({"a_color": spelling}, LETTER) == {"aColor": "must be one of: COLOR_RED, COLOR_DARK_BLUE"}


def test_the_edge_leaves_out_an_enum_that_is_not_chosen() -> None:
    printed = json.loads(EDGE.print(Kinds()))
    assert "a_color" not in printed
    assert printed["a_version"] == "1"
    assert printed["strings"] == []
    assert "maybe_int32" not in printed


def test_an_enum_whose_short_names_would_clash_keeps_the_full_ones() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="clash.proto", package="edgetest.clash", syntax="proto2")
    kind = file.enum_type.add(name="Kind")
    for name, number in (("KIND_ONE", 0), ("ONE", 1)):
        kind.value.add(name=name, number=number)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    names = enum_names(pool.FindEnumTypeByName("edgetest.clash.Kind"), short=True)
    assert names.by_number == {0: "KIND_ONE", 1: "ONE"}


def test_field_masks_come_in_both_spellings_and_go_out_in_the_proto_s() -> None:
    message = EDGE.parse(b'{"a_mask": "fooBar,baz_qux.x,*"}', Kinds)
    assert list(message.a_mask.paths) == ["foo_bar", "baz_qux.x", "*"]
    assert json.loads(Codec(short_enums=True).print(message)) == {"a_mask": "foo_bar,baz_qux.x,*"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "Expecting value at line 1, column 1"),
        (b'{"a": 1', "Expecting ',' delimiter at line 1, column 8"),
        (b"{'a': 1}", "Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1} x', "Extra data at line 1, column 10"),
        (b'{"a": "\xff"}', "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b"9" * 5000, "a number has too many digits"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "is given twice"),
        ('{"a": 1}'.encode("utf-16-le"), "it is not UTF-8"),
        ('{"a": 1}'.encode("utf-32-be"), "it is not UTF-8"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "Expecting value at line 1, column 1"),
    ],
)
def test_text_that_is_no_json_is_told_with_its_place(body: bytes, problem: str) -> None:
    with pytest.raises(JsonError) as caught:
        LETTER.parse(body, Kinds)
    assert caught.value.problem == problem


def test_a_byte_order_mark_is_ignored() -> None:
    """RFC 8259, section 8.1, lets a parser do so."""
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@given(st.binary(max_size=40))
def test_no_bytes_make_the_codec_fail_otherwise_than_by_its_own_errors(body: bytes) -> None:
    with suppress(JsonError, BadValue):
        LETTER.parse(body, Kinds)


def nested(levels: int, wrap: Any) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"a_kinds": inner},
        lambda inner: {"kindss": [inner]},
        lambda inner: {"kinds_map": {"k": inner}},
    ],
)
def test_what_is_taken_is_never_too_deep_for_the_wire(wrap: Any) -> None:
    depth = max(levels for levels in range(100) if ours(nested(levels, wrap)) is not None)
    assert depth > 20
    message = ours(nested(depth, wrap))
    assert message is not None
    Kinds.FromString(wire(message))
    assert "is nested too deeply" in problems(nested(depth + 1, wrap)).values()


@pytest.mark.parametrize("wrap", [lambda inner: {"k": inner}, lambda inner: [inner]])
@pytest.mark.parametrize("field", ["a_value", "values"])
def test_free_json_is_never_too_deep_for_the_wire(wrap: Any, field: str) -> None:
    def request(levels: int) -> Any:
        value = nested(levels, wrap)
        return {field: [value] if field == "values" else value}

    depth = max(levels for levels in range(100) if ours(request(levels)) is not None)
    assert depth > 15
    message = ours(request(depth))
    assert message is not None
    Kinds.FromString(wire(message))
    assert list(problems(request(depth + 1)).values()) == ["is nested too deeply"]


def test_what_json_can_not_carry_is_an_error_and_no_guess() -> None:
    for message in (
        Kinds(a_time={"seconds": 10**15}),
        Kinds(a_duration={"seconds": 1, "nanos": -1}),
        Kinds(a_mask={"paths": ["a__b"]}),
        Kinds(a_value={"number_value": float("inf")}),
        Kinds(an_any={"type_url": "x/no.such.Type", "value": b"x"}),
    ):
        with pytest.raises(ValueError, match=r"a time|a duration|a field mask|a number|an Any"):
            LETTER.print(message)
