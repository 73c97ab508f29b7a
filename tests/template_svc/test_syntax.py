"""What a source says before it is run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import meta

from template_svc.filters import template_filters, template_tests
from template_svc.language import language_functions
from template_svc.sandbox import TemplateEnvironment
from template_svc.syntax import check, variables_of

ENVIRONMENT = TemplateEnvironment(autoescape=True, filters=template_filters(), tests=template_tests(), functions=language_functions())


def required(source: str) -> str:
    """The required variables, sorted, with spaces between them."""
    return " ".join(sorted(variables_of(ENVIRONMENT.parse(source)).required))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nothing", ""),
        ("{{ name }}", "name"),
        ("{{ order.id }} {{ items[0].price }}", "items order"),
        ("{{ name|default('friend') }}", ""),
        ("{{ name|d('friend')|upper }}", ""),
        ("{{ name|upper|default('friend') }}", "name"),
        ("{{ name|default(other) }}", "other"),
        ("{{ order.note|default('') }}", "order"),
        ("{% if name is defined %}{{ name }}{% endif %}", ""),
        ("{% if name is defined %}{{ name }}{% endif %}{{ name }}", "name"),
        ("{% if name is not defined %}x{% else %}{{ name }}{% endif %}", ""),
        ("{% if name is undefined %}{{ name }}{% endif %}", "name"),
        ("{% if a is defined and a %}{{ a }}{% endif %}", ""),
        ("{% if a is defined or b is defined %}{{ a }}{% endif %}", "a"),
        ("{% if a is undefined or a == 1 %}x{% endif %}", ""),
        ("{% if not (a is defined and b is defined) %}x{% elif a %}{{ b }}{% endif %}", ""),
        ("{{ a if a is defined else b }}", "b"),
        ("{{ a if a is defined }}", ""),
        ("{% if promo %}{{ promo }}{% endif %}", "promo"),
        ("{% for item in items %}{{ loop.index }} {{ item.name }}{% endfor %}", "items"),
        ("{% for key, value in pairs %}{{ key }}{{ value }}{% else %}{{ empty }}{% endfor %}", "empty pairs"),
        ("{% for item in items|default([]) if item.ok %}{{ item }}{% endfor %}{{ item }}", "item"),
        ("{% set total = price * 2 %}{{ total }}", "price"),
        ("{% set a, b = pair %}{{ a }}{{ b }}", "pair"),
        ("{% set x %}{{ inner }}{% endset %}{{ x }}", "inner"),
        ("{% if who is not defined %}{% set who = 'you' %}{% endif %}{{ who }}", ""),
        ("{% if f %}{% set t = 'Ms' %}{% else %}{% set t = 'Mr' %}{% endif %}{{ t }}", "f"),
        ("{% if f %}{% set t = 'Ms' %}{% endif %}{{ t }}", "f t"),
        ("{% with a = b %}{{ a }}{% endwith %}{{ a }}", "a b"),
        ("{% macro row(a, b=c) %}{{ a }}{{ b }}{{ d }}{% endmacro %}{{ row(e) }}", "c d e"),
        ("{% filter upper %}{{ a }}{% endfilter %}", "a"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", ""),
        ("{{ range }}", "range"),
        ("{% raw %}{{ no }}{% endraw %}{# {{ no }} #}", ""),
    ],
)
def test_required_variables_are_what_the_template_may_need(source: str, expected: str) -> None:
    assert required(source) == expected


def test_what_is_mentioned_is_known_even_when_it_is_not_required() -> None:
    tree = ENVIRONMENT.parse("{{ a }}{{ b|default('') }}{% if c is defined %}{{ c }}{% endif %}{% set d = 1 %}{{ d }}")
    assert variables_of(tree).known == {"a", "b", "c"}


EXPRESSIONS = st.sampled_from(
    ["a", "b.x", "c|default(a)", "a is defined", "a if b else c", "a ~ b", "[a, b]", "f(a)", "c is undefined and c"]
)
BLOCKS = st.recursive(
    st.one_of(st.just("text"), EXPRESSIONS.map("{{{{ {} }}}}".format), EXPRESSIONS.map("{{% set a = {} %}}".format)),
    lambda inner: st.one_of(
        st.tuples(EXPRESSIONS, inner, inner).map(lambda p: f"{{% if ({p[0]}) %}}{p[1]}{{% else %}}{p[2]}{{% endif %}}"),
        st.tuples(EXPRESSIONS, inner).map(lambda p: f"{{% for b in ({p[0]}) %}}{p[1]}{{% endfor %}}"),
        st.tuples(EXPRESSIONS, inner).map(lambda p: f"{{% with c = {p[0]} %}}{p[1]}{{% endwith %}}"),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=8,
)


@given(BLOCKS)
def test_nothing_is_required_that_jinja_would_not_look_up(source: str) -> None:
    """Jinja2's own finder answers every name that may be looked up: ours leaves out the guarded ones, and adds none."""
    found = variables_of(ENVIRONMENT.parse(source))
    looked_up = meta.find_undeclared_variables(ENVIRONMENT.parse(source))
    assert found.required <= found.known <= looked_up


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("\n{% include 'x' %}", 2, "include is not available"),
        ("{% extends 'x' %}", 1, "extends is not available"),
        ("{% import 'x' as y %}", 1, "import is not available"),
        ("{% block x %}{% endblock %}", 1, "block is not available"),
        ("{% macro m() %}{% endmacro %}\n\n{% call m() %}{% endcall %}", 3, "call is not available"),
        ("{% autoescape false %}{{ x }}{% endautoescape %}", 1, "autoescape is not available"),
        ("{{ 2 ** 3 }}", 1, "**"),
        ("{% for i in x recursive %}{% endfor %}", 1, "recursive"),
        ("{{ f(*x) }}", 1, "`*` and `**`"),
        ("{{ self }}", 1, "'self' is reserved"),
        ("{% macro m() %}{{ varargs }}{% endmacro %}", 1, "'varargs' is reserved"),
        ("{{ {a: 1} }}", 1, "constant"),
        ("{{ " + "9" * 100 + " }}", 1, "too large"),
        ("{{ x }}" * 10_000, 1, "too complex"),
    ],
)
def test_a_construct_outside_the_language_is_named_with_its_line(source: str, line: int, words: str) -> None:
    fault = check(ENVIRONMENT.parse(source), template_filters(), template_tests(), "en")[0]
    assert fault.line == line
    assert words in fault.description
