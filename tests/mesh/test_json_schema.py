"""JSON Schema: what it asks is said by place and rule, and nothing is fetched for it."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.json_schema import InvalidSchema, JsonSchema

ORDER = JsonSchema(
    {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 1, "examples": [3]},
            "email": {"type": ["string", "null"], "format": "email"},
            "order": {
                "type": "object",
                "required": ["id"],
                "additionalProperties": False,
                "properties": {"id": {"type": "string", "pattern": "^A-", "default": "A-1"}},
            },
            "items": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/size"}},
        },
        "required": ["count"],
        "$defs": {"size": {"enum": ["s", "m"], "examples": ["m"]}},
    }
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"count": 1, "items": ["s"]}, []),
        ({}, ["variables.count: is required"]),
        ({"count": 0}, ["variables.count: must be at least 1"]),
        ({"count": "x"}, ["variables.count: must be a whole number"]),
        ({"count": 1, "email": 5}, ["variables.email: must be null or a string"]),
        ({"count": 1, "email": "secret"}, ["variables.email: must be of the format email"]),
        ({"count": 1, "order": {"id": "B", "more": 1}}, ["variables.order.id: must match ^A-", "variables.order.more: is not declared"]),
        (
            {"count": 1, "items": ["s", "xl", "m"]},
            ["variables.items: must have at most 2 elements", "variables.items[1]: must be one of s, m"],
        ),
        ([], ["variables: must be an object"]),
    ],
)
def test_a_violation_names_the_place_and_the_rule_and_no_value(value: Any, said: list[str]) -> None:
    found = [f"{violation.field}: {violation.description}" for violation in ORDER.violations("variables", value)]
    assert sorted(found) == sorted(said)


def test_an_example_is_made_of_examples_and_defaults() -> None:
    assert ORDER.example() == {"count": 3, "order": {"id": "A-1"}}
    assert ORDER.names() == {"count", "email", "order", "items"}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "strin"}, "type"),
        ({"properties": {"a": {"minimum": "1"}}}, "properties.a.minimum"),
        ({"properties": {"a": {"$ref": "https://example.com/schema.json"}}}, "properties.a.$ref"),
        ({"$ref": "file:///etc/passwd"}, "$ref"),
        ({"$ref": "#/$defs/none"}, "$ref"),
        ({"$defs": {"x": {"$anchor": "x"}}, "$ref": "#x"}, "$defs.x.$anchor"),
        ({"$ref": "#x"}, "$ref"),
        ({"$defs": {f"d{at}": {"items": {"$ref": f"#/$defs/d{at + 1}"}} for at in range(3000)}}, ""),
        ({"$ref": "#"}, "$ref"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "$defs.a.items.$ref"),
        ({"pattern": r"^(\w{1,100}){1,100}$"}, "pattern"),
        ({"$id": "https://example.com/schema.json"}, "$id"),
        ({"allOf": [{"$dynamicRef": "other"}]}, "allOf[0].$dynamicRef"),
        ({"pattern": "("}, "pattern"),
        ({"pattern": "(?=a)b"}, "pattern"),
        ({"properties": 5}, "properties"),
    ],
)
def test_what_is_no_schema_or_refers_elsewhere_is_refused(schema: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        JsonSchema(schema)
    assert caught.value.path == path


def doubling(times: int) -> dict[str, Any]:
    """A schema whose check takes twice as long with each of the times."""
    twice = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(times)}
    return {"$defs": {**twice, f"d{times}": {"type": "object"}}, "$ref": "#/$defs/d0"}


def test_a_schema_that_would_hold_its_process_up_is_refused() -> None:
    assert JsonSchema(doubling(5)).violations("x", {}) == []
    for heavy in (doubling(60), {"allOf": [{"pattern": "a"}] * 201}, {"enum": list(range(20_000))}):
        with pytest.raises(InvalidSchema, match="must have at most"):
            JsonSchema(heavy)


def test_what_would_take_too_long_to_check_is_refused_unchecked() -> None:
    said = ["x: must be fewer or shorter: they are too much to be checked"]
    for schema, value in (
        ({"items": {"enum": [f"x{at}" for at in range(6000)]}}, [0] * 100_000),
        ({"pattern": "^[ab]*a[ab]{1000}$"}, "ab" * 100_000),
        ({"items": {"allOf": [{"minimum": 0}] * 3000}}, [1] * 100_000),
    ):
        assert [f"{one.field}: {one.description}" for one in JsonSchema(schema).violations("x", value)] == said


def test_of_a_large_value_the_first_fault_is_said_and_none_of_a_choice() -> None:
    items = {"items": {"type": "string"}}
    assert [one.field for one in JsonSchema(items).violations("x", [1] * 50_000)] == ["x[0]"]
    [one] = JsonSchema({"anyOf": [items] * 50}).violations("x", [1] * 5_000)
    assert (one.field, one.description) == ("x", "does not keep to the schema, and is too large to say where")


def test_a_pattern_that_backtracks_elsewhere_takes_no_time() -> None:
    schema = JsonSchema({"type": "string", "pattern": "^(a+)+$"})
    assert schema.violations("x", "a" * 50_000 + "!")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
WORDS = st.sampled_from(["type", "properties", "items", "enum", "$ref", "required", "anyOf", "not", "pattern", "const", "$defs", "if"])


@given(schema=st.dictionaries(WORDS, JSON, max_size=4), value=JSON)
def test_any_document_is_a_schema_or_is_refused(schema: dict[str, Any], value: Any) -> None:
    with suppress(InvalidSchema):
        made = JsonSchema(schema)
        assert all(violation.field.startswith("variables") for violation in made.violations("variables", value))
        assert isinstance(made.example(), dict)
        assert made.names() is not None
        assert made.required() is not None
