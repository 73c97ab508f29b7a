"""The bound of a text's size: never below what rendering makes, and low enough for ordinary templates."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from delivery.push_message import PushText, greatest_size
from gateway.accepting.models import TextSize
from gateway.accepting.sizes import may_exceed
from mesh.errors import ServiceError
from template_svc.messages import variables_from_struct
from template_svc.models import Channel, Content
from template_svc.renderer import MAX_SUBJECT, Renderer
from template_svc.sizes import size_of_text
from tests.template_svc.factories import READER

RENDERER = Renderer()
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "b"]), inner, max_size=2),
    max_leaves=6,
)
PIECES = st.sampled_from((
    "{{ a }}", "{{ a.id }}", "{{a.b.id}}", "{{- b -}}", "{{ b | upper }}", "{{ a|default('x \" y')|title }}", "{{ b | truncate(9) }}",
    "{{ a | first }}",
    "{% if a %}yes{% else %}{{ b }}{% endif %}", "{# {{ a }} #}", 'plain " \\ text ', "é\n",
))  # fmt: skip
SOURCES = st.lists(PIECES, max_size=6).map("".join)


def greatest(size: TextSize, variables: Struct) -> int:
    """The least limit that the bound keeps."""
    low, high = 0, 1_000_000
    while low < high:
        middle = (low + high) // 2
        if may_exceed(size._replace(limit=middle), variables):
            low = middle + 1
        else:
            high = middle
    return low


@given(title=SOURCES, body=SOURCES, link=SOURCES, a=VALUES, b=VALUES)
def test_no_push_is_larger_than_its_bound(title: str, body: str, link: str, a: Any, b: Any) -> None:
    content = Content(title="t" + title, body="b" + body, data={"link": link}, android={"notification": {"tag": link}})
    variables = Struct()
    variables.update({"a": a, "b": b})
    size = size_of_text([content], Channel.PUSH)
    assert size.fixed <= size.limit
    try:
        made = RENDERER.render(RENDERER.compile(content, Channel.PUSH, "en"), variables_from_struct(variables), "contents.en", READER)
    except ServiceError as error:
        assert error.reason != "OUTPUT_TOO_LARGE" or may_exceed(TextSize(*size), variables)  # noqa: PT017  the other errors show nothing
        return
    rendered = PushText(made.title, made.body, made.data, made.image, made.android, made.apns, made.webpush)
    assert greatest_size(rendered) <= greatest(TextSize(*size), variables)


@given(subject=SOURCES, a=VALUES, b=VALUES)
def test_no_subject_is_longer_than_its_bound(subject: str, a: Any, b: Any) -> None:
    content = Content(subject="s" + subject, text="t")
    variables = Struct()
    variables.update({"a": a, "b": b})
    size = size_of_text([content], Channel.EMAIL)
    try:
        made = RENDERER.render(RENDERER.compile(content, Channel.EMAIL, "en"), variables_from_struct(variables), "contents.en", READER)
    except ServiceError:
        return
    assert len(made.subject) <= greatest(TextSize(*size), variables)


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in a %}{{ x }}{% endfor %}",
        "{% set b = a ~ a %}{{ b }}",
        "{% macro m() %}x{% endmacro %}{{ m() }}",
        "{{ a * 100 }}",
        "{{ a ~ a }}",
        "{{ a | join('long') }}",
        "{{ a | replace('a', 'aaaa') }}",
        "{{ '}}' * 99 }}",
        "{{ a | default(b) }}",
        "{% raw %}{{ a }}{% endraw %}",
    ],
)
def test_what_reading_can_not_bound_is_left_to_rendering(source: str) -> None:
    size = size_of_text([Content(subject=source, text="t")], Channel.EMAIL)
    assert size.fixed > size.limit


def test_an_ordinary_text_with_ordinary_values_needs_no_rendering() -> None:
    content = Content(
        title="Order {{ order.id }}", body="{{ name }}, it is on its way", data={"link": "https://example.com/{{ order.id }}"}
    )
    size = TextSize(*size_of_text([content, content], Channel.PUSH))
    variables = Struct()
    variables.update({"name": "Ada", "order": {"id": "17", "lines": ["x" * 900]}})
    assert sorted(size.paths) == ["name", "order.id", "order.id"]
    assert not may_exceed(size, variables)
    variables.update({"name": "x" * 4000})
    assert may_exceed(size, variables)


def test_every_locale_counts() -> None:
    short, long = Content(subject="{{ a }}", text="t"), Content(subject="x" * 900 + "{{ b }}", text="t")
    size = size_of_text([short, long], Channel.EMAIL)
    assert (size.limit, size.fixed, size.paths) == (MAX_SUBJECT, len(long.subject), ("a", "b"))
