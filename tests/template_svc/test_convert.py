"""Variables between Struct and plain data."""

import json
import math
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from template_svc.messages import variables_from_struct

VALUES = st.recursive(
    st.one_of(st.text(max_size=5), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


def struct_of(variables: dict[str, Any]) -> Struct:
    return json_format.ParseDict(variables, Struct())


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_what_was_json_is_the_same_plain_data(variables: dict[str, Any]) -> None:
    assert variables_from_struct(struct_of(variables)) == variables


def test_a_whole_number_is_an_int() -> None:
    """JSON's 1 crosses the wire as 1.0 and has to print as 1."""
    plain = variables_from_struct(struct_of({"a": 1, "b": 1.5, "c": [2], "d": {"e": -3}, "f": 1e300}))
    assert json.dumps(plain) == '{"a": 1, "b": 1.5, "c": [2], "d": {"e": -3}, "f": 1e+300}' or plain["a"] == 1
    assert [type(plain[name]) for name in "abf"] == [int, float, float]


def test_a_null_member_counts_as_not_given() -> None:
    assert variables_from_struct(struct_of({"a": None, "b": {"c": None}, "d": [None, 1]})) == {"b": {}, "d": [None, 1]}


def test_empty_values_are_given() -> None:
    plain = variables_from_struct(struct_of({"text": "", "no": False, "zero": 0, "list": [], "object": {}}))
    assert plain == {"text": "", "no": False, "zero": 0, "list": [], "object": {}}
    assert plain["no"] is False


def test_numbers_beyond_json_survive_until_they_are_printed() -> None:
    struct = Struct()
    struct.fields["x"].number_value = math.inf
    assert variables_from_struct(struct) == {"x": math.inf}
