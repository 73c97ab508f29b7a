"""What an author has marked as sensitive is nowhere in the variables that others see, whatever way the schema says it."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from mesh.json_schema import JsonSchema
from template_svc.errors import InvalidVariables
from template_svc.masking import check, masked, misspelt

HIDDEN = {"type": "string", "sensitive": True}


def struct(values: dict[str, Any]) -> bytes:
    made = Struct()
    made.update(values)
    return made.SerializeToString()


def shown(schema: dict[str, Any], values: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """What is left, and the paths of what was masked."""
    JsonSchema(schema)
    data, paths = masked(schema, struct(values))
    return MessageToDict(Struct.FromString(data)), paths


@pytest.mark.parametrize(
    ("schema", "values", "left", "paths"),
    [
        ({}, {"a": "x"}, {"a": "x"}, ()),
        ({"properties": {"a": {"type": "string"}}}, {"a": "x"}, {"a": "x"}, ()),
        ({"properties": {"a": HIDDEN}}, {"a": "x", "b": "y"}, {"a": "***", "b": "y"}, ("a",)),
        ({"properties": {"a": {"sensitive": False}}}, {"a": "x"}, {"a": "x"}, ()),
        ({"properties": {"a": {"sensitive": "yes"}}}, {"a": "x"}, {"a": "***"}, ("a",)),
        ({"properties": {"sensitive": {"type": "string"}}}, {"sensitive": "x"}, {"sensitive": "x"}, ()),
        ({"properties": {"a": {"sensitive": True}}}, {"a": {"n": 5, "t": ["x", True]}}, {"a": {"n": 0.0, "t": ["***", False]}}, ("a",)),
        ({"properties": {"a": {"properties": {"b": HIDDEN}}}}, {"a": {"b": "x", "c": "y"}}, {"a": {"b": "***", "c": "y"}}, ("a.b",)),
        ({"properties": {"a": {"items": HIDDEN}}}, {"a": ["x", "y"]}, {"a": ["***", "***"]}, ("a[0]", "a[1]")),
        ({"properties": {"a": {"prefixItems": [{}, HIDDEN]}}}, {"a": ["x", "y", "z"]}, {"a": ["x", "***", "z"]}, ("a[1]",)),
        ({"properties": {"a": {"prefixItems": [{}], "items": HIDDEN}}}, {"a": ["x", "y"]}, {"a": ["x", "***"]}, ("a[1]",)),
        ({"$defs": {"s": HIDDEN}, "properties": {"a": {"$ref": "#/$defs/s"}}}, {"a": "x"}, {"a": "***"}, ("a",)),
        ({"properties": {"a": {"anyOf": [{"type": "number"}, HIDDEN]}}}, {"a": "x"}, {"a": "***"}, ("a",)),
        ({"allOf": [{"properties": {"a": HIDDEN}}]}, {"a": "x"}, {"a": "***"}, ("a",)),
        ({"if": {"required": ["b"]}, "then": {"properties": {"a": HIDDEN}}}, {"a": "x"}, {"a": "***"}, ("a",)),
        ({"dependentSchemas": {"b": {"properties": {"a": HIDDEN}}}}, {"a": "x"}, {"a": "***"}, ("a",)),
        ({"additionalProperties": HIDDEN, "properties": {"b": {}}}, {"a": "x", "b": "y"}, {"a": "***", "b": "y"}, ("a",)),
        ({"patternProperties": {"^code": HIDDEN}}, {"code1": "x"}, {"code1": "***"}, ("code1",)),
        ({"sensitive": True}, {"a": "x", "b": 1}, {"a": "***", "b": 0.0}, ("a", "b")),
    ],
)
def test_what_is_marked_is_masked_and_nothing_else(
    schema: dict[str, Any], values: dict[str, Any], left: dict[str, Any], paths: tuple[str, ...]
) -> None:
    assert shown(schema, values) == (left, paths)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ({"contentMediaType": "application/json", "contentSchema": {"properties": {"b": HIDDEN}}}, '{"b": "s3cr3t-word"}'),
        ({"not": HIDDEN}, "s3cr3t-word"),
        ({"dependencies": {"b": {"properties": {"c": HIDDEN}}}}, {"b": 1, "c": "s3cr3t-word"}),
        ({"prefixItems": [{}], "additionalItems": HIDDEN}, ["x", "s3cr3t-word"]),
        ({"x-of-ours": {"deep": [{"sensitive": True}]}}, "s3cr3t-word"),
        ({"x-of-ours": {"$ref": "#/$defs/s"}}, "s3cr3t-word"),
        ({"propertyNames": HIDDEN}, {"s3cr3t-word": 1, "more": 2}),
        ({"propertyNames": {"$ref": "#/$defs/s"}}, {"plain": 1, "s3cr3t_word": 2}),
        ({"additionalProperties": HIDDEN}, {"s3cr3t-word": 1}),
        ({"patternProperties": {"-word$": HIDDEN}}, {"s3cr3t-word": {"s3cr3t-word": 1}}),
    ],
)
def test_a_mark_is_kept_to_wherever_in_the_schema_it_stands(place: dict[str, Any], value: Any) -> None:
    left, paths = shown({"$defs": {"s": HIDDEN}, "properties": {"a": place}}, {"a": value})
    assert paths
    assert "s3cr3t" not in json.dumps([left, paths])


@pytest.mark.parametrize("place", [{"enum": [{"sensitive": True}]}, {"default": {"sensitive": True}}, {"$defs": {"s": HIDDEN}}])
def test_a_value_in_a_schema_is_no_mark(place: dict[str, Any]) -> None:
    assert shown({"properties": {"a": place}}, {"a": "x"}) == ({"a": "x"}, ())


def test_names_that_the_schema_has_stay_however_they_look() -> None:
    schema = {"properties": {"a": {"properties": {"card-number": HIDDEN}}}}
    assert shown(schema, {"a": {"card-number": "4111"}}) == ({"a": {"card-number": "***"}}, ("a.card-number",))


SECRET = "s3cr3t-word"
VALUES = st.recursive(
    st.just(SECRET),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_planted_word_below_a_mark_is_gone_however_deep_it_is(value: Any) -> None:
    left, paths = shown({"properties": {"a": {"sensitive": True}}}, {"a": value, "open": SECRET})
    assert paths == ("a",)
    assert SECRET not in json.dumps(left["a"])
    assert left["open"] == SECRET


def test_a_long_list_is_walked_once() -> None:
    many = {"lines": [{"name": "x", "card": "4111"} for _ in range(5000)]}
    schema = {"properties": {"lines": {"items": {"properties": {"card": HIDDEN, **{f"f{n}": {} for n in range(500)}}}}}}
    left, paths = shown(schema, many)
    assert len(paths) == 5000
    assert left["lines"][-1] == {"name": "x", "card": "***"}


def test_variables_are_checked_without_the_person() -> None:
    schema = {"type": "object", "properties": {"order": {"pattern": "^A-"}}, "additionalProperties": False}
    check(schema, struct({"order": "A-1", "user": {"name": "Ada"}}))
    check({}, struct({"order": "B-1"}))
    with pytest.raises(InvalidVariables) as caught:
        check(schema, struct({"order": "B-1"}))
    assert caught.value.violations[0].field == "variables.order"
    assert "B-1" not in str(caught.value)


@pytest.mark.parametrize(
    "word", ["Sensitive", "SENSITIVE", "sensitve", "senstive", "sensitiv", "is_sensitive", "x-sensitive", "sensitivity"]
)
def test_a_misspelt_mark_is_named_and_hides_what_an_older_version_has(word: str) -> None:
    schema = {"properties": {"a": {"type": "string", word: True}, word: {"type": "string"}}, "$defs": {word: {"items": [{word: True}]}}}
    assert sorted(misspelt(schema)) == sorted([(f"properties.a.{word}", word), (f"$defs.{word}.items[0].{word}", word)])
    assert shown({"properties": {"a": {"type": "string", word: True}, "b": {word: False}}}, {"a": "x", "b": "y"}) == (
        {"a": "***", "b": "y"},
        ("a",),
    )


def test_other_words_are_no_marks() -> None:
    schema = {
        "properties": {"Sensitive": {"sensitive": True, "description": "Sensitive", "examples": [{"Sensitive": 1}], "sensible": True}}
    }
    assert list(misspelt({**schema, "caseInsensitive": True, "required": ["Sensitive"], "x-note": {"positive": True}})) == []
