"""What templates can do, what they can't, and that nothing they try takes long, takes much memory or shows Python."""

import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import ServiceError
from template_svc.models import Channel, Content
from template_svc.processes.cpu_limit import CpuLimit
from template_svc.renderer import PartFault, Renderer
from tests.examples import examples
from tests.template_svc.factories import READER
from tests.template_svc.fakes import LimitedRenderer

VARIABLES: dict[str, Any] = {
    "name": "Ada <b>",
    "big": "x" * 200_000,
    "order": {"id": 12, "items": "a member, no method", "price": 9.5, "paid": True},
    "items": [{"name": "pen", "qty": 3}, {"name": "ink", "qty": 1}, {"name": "cup", "qty": 2}],
    "nested": [[1, 2], [3]],
    "empty": [],
}


def render(renderer: Renderer, source: str) -> str:
    compiled = renderer.compile(Content(subject="s", text=f"{source}|"), Channel.EMAIL, "en")
    return renderer.render(compiled, VARIABLES, "contents.en", READER).text[:-1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ name }}", "Ada <b>"),
        ("{{ order.id }} {{ order['id'] }}", "12 12"),
        ("{{ order.items }}", "a member, no method"),
        ("{% for key in order.keys()|sort %}{{ key }} {% endfor %}", "id items paid price "),
        ("{{ order.get('none', 'other') }}", "other"),
        ("{{ order.paid }} {{ not order.paid }}", "true false"),
        ("{{ 8 / 2 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ 2 * 3 - 1 + 0.5 }} {{ -order.id }}", "4 3.5 3 1 5.5 -12"),
        ("{{ 1e21 }} {{ 1e20 }}", "1e+21 100000000000000000000"),
        ("{{ '%.2f'|format(order.price) }} {{ '%05d' % order.id }}", "9.50 00012"),
        ("{{ '%s of %s' % (1, 2) }} {{ '100%%'|format }}", "1 of 2 100%"),
        ("{{ 'a' ~ 1 ~ true ~ 2.0 }} {{ 'a' + 'b' }}", "a1true2 ab"),
        ("{{ name.upper() }} {{ name|lower }} {{ 'a,b'.split(',')|last }}", "ADA <B> ada <b> b"),
        ("{{ items|map(attribute='name')|join(', ') }} {{ items|join(' ', 'qty') }}", "pen, ink, cup 3 1 2"),
        ("{{ items|sort(attribute='qty')|map(attribute='name')|join }} {{ items|sum('qty') }} {{ items|length }}", "inkcuppen 6 3"),
        ("{{ (items|max(attribute='qty')).name }} {{ [3, 1]|min }} {{ ['b', 'a', 'b']|unique|sort|join }}", "pen 1 ab"),
        ("{% for group in items|groupby('qty') %}{{ group.grouper }}={{ group.list|length }} {% endfor %}", "1=1 2=1 3=1 "),
        ("{% for k, v in order|dictsort %}{{ k }} {% endfor %}", "id items paid price "),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{% for row in items|batch(2) %}[{{ row|map(attribute='qty')|join(',') }}]{% endfor %}", "[3,1][2]"),
        ("{{ items|selectattr('qty', 'gt', 1)|map(attribute='name')|list|join(' ') }}", "pen cup"),
        ("{{ [1, 2, 3]|select('odd')|join }} {{ ['a', '']|reject('eq', '')|join }}", "13 a"),
        ("{{ items|map('length')|sum }}", "6"),
        ("{{ name|replace('<b>', '!') }} {{ 'long texts here'|truncate(6, true) }}", "Ada ! lon..."),
        ("{{ ' x '|trim }} {{ name|urlencode }} {{ 'a b'|wordcount }}", "x Ada%20%3Cb%3E 2"),
        ("{{ 'a\nb'|indent(2) }} {{ 'one two three four'|wordwrap(10)|replace('\n', '/') }}", "a\n  b one two/three four"),
        ("{{ 3.7|int }} {{ '12'|int + 1 }} {{ '1.5'|float }} {{ 2.345|round(1) }} {{ -1|abs }} {{ 2.0|round }}", "3 13 1.5 2.3 1 2"),
        ("{{ 'pen' in ['pen'] }} {{ 'Ad' in name }} {{ 'id' in order }}", "true true true"),
        ("{{ 1 < 2 < 3 }} {{ 4 is divisibleby 2 }}", "true true"),
        ("{{ name[:3] }} {{ [1, 2, 3][1:]|join }} {{ items[-1].name }} {{ name[0] }}", "Ada 23 cup A"),
        ("{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %} {{ 'x' if false }}", "1,2,3 "),
        ("{% set j = joiner(', ') %}{% for i in range(3) %}{{ j() }}{{ i }}{% endfor %}", "0, 1, 2"),
        ("{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + i.qty %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro row(a, b='-') %}{{ a }}{{ b }}{% endmacro %}{{ row(1) }}{{ row(2, b=3) }}", "1-23"),
        ("{% macro row(a) %}{{ a if a is defined else 'no' }}{% endmacro %}{{ row() }}", "no"),
        ("{% filter upper %}a{{ order.id }}b{% endfilter %} {% set x %}<{{ 1 }}>{% endset %}{{ x }}", "A12B <1>"),
        ("{{ missing|default('friend') }} {{ missing is defined }}", "friend false"),
        # a member that is not given is missing, also where Python has a method of its name
        ("{{ items[0].items|default('none') }} {{ items[0].values is defined }} {{ items[0].get is defined }}", "none false false"),
        ("{{ order.note|default('none') }} {{ empty|first|default('nothing') }}", "none nothing"),
        ("{% for x in empty %}{{ x }}{% else %}nothing{% endfor %} {{ ''|default('blank', true) }}", "nothing blank"),
        ("{{ 1 == 1.0 }} {{ 'a' != 'b' }} {{ 'a' ~ missing|default('') }} {{ [1, 2]|reverse|join }}", "true true a 21"),
    ],
)
def test_the_language_does_what_authors_expect(renderer: Renderer, source: str, expected: str) -> None:
    assert render(renderer, source) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ items }}", "a list or an object can't be printed"),
        ("{{ order }}", "a list or an object can't be printed"),
        ("{{ order.get('none') }}", "null can't be printed"),
        ("{{ name ~ items }}", "can't be printed"),
        ("{{ items|join }}", "can't be printed"),
        ("{{ items|string }}", "can't be printed"),
        ("{{ order.keys }}", "variables.order.keys: is missing"),
        ("{{ items == nested }}", "only texts and numbers can be compared"),
        ("{{ nested|sort|length }}", "only texts and numbers can be compared"),
        ("{{ nested in nested }}", "only texts and numbers can be compared"),
        ("{{ nested|unique|list|length }}", "only texts and numbers can be compared"),
        ("{{ nested|selectattr('0', 'eq', nested)|list|length }}", "only texts and numbers can be compared"),
        ("{{ 'x' * 5 }}", "`*` needs two numbers"),
        ("{{ [1] * 5 }}", "`*` needs two numbers"),
        ("{{ name + 1 }}", "`+` needs two numbers or two texts"),
        ("{{ nested + nested }}", "`+` needs two numbers or two texts"),
        ("{{ name[0:2:0] }}", "an expression does not fit its values"),
        ("{{ order.id[0:1] }}", "only texts and lists can be sliced"),
        ("{{ '%1000d' % 1 }}", "the format must be like"),
        ("{{ '%*d'|format(9999999, 1) }}", "the format must be like"),
        ("{{ '%(a)s' % name }}", "the format must be like"),
        ("{{ '%d' % name }}", "an expression does not fit its values"),
        ("{{ 1 / 0 }}", "divides by zero"),
        ("{{ items[0]() }}", "only macros, methods and functions can be called"),
        ("{{ range(100001)|length }}", "too large"),
        ("{{ 2.5|round(400) }}", "precision must be"),
        ("{{ items|batch(1000000)|list|length }}", "linecount must be"),
        ("{{ name|indent(100000) }}", "width must be"),
        ("{{ name|wordwrap(1) }}", "width must be"),
        ("{{ 5|length }}", "have a length"),
        ("{{ 5|list }}", "needs a list"),
        ("{{ ['a']|sum }}", "sum needs numbers"),
        ("{{ name|round }}", "round needs a number"),
        ("{{ name|dictsort }}", "dictsort needs an object"),
        ("{{ 'inf'|float }}", "infinite"),
        ("{{ 'f' * 3 }}", "needs two numbers"),
        ("{{ ('f' ~ 'f' * 0)|int(base=16) }}", "needs two numbers"),
        ("{{ empty|first }}", "uses a value that is not there"),
        ("{{ name.__class__ }}", "uses a member that its object does not have"),
        ("{{ name.format }}", "uses a member that its object does not have"),
        ("{{ loop }}", "loop"),
        ("{{ ''.join }}", "uses a member"),
        ("{% macro m() %}{% endmacro %}{{ m.name }}", "uses a member"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too deeply"),
        ("{% macro m() %}{% endmacro %}{{ m(1) }}", "does not fit"),
        ("{% for a, b in [1] %}{% endfor %}", "does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_in_plain_words(renderer: Renderer, source: str, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        render(renderer, source)
    assert words in caught.value.message
    assert caught.value.violations


HOSTILE = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{{ big }}{% endfor %}",
    "{% for i in range(100000) %}{{ big|e }}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = '%s%s'|format(ns.x, ns.x) %}{% endfor %}",
    "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{{ range(100000)|map('replace', '', big)|list|length }}",
    "{{ range(100000)|map(attribute='x', default=big)|join|length }}",
    "{{ big|list|map('replace', 'x', big)|list|length }}",
    "{{ [" + "big[1:], " * 1000 + "]|length }}",
    "{{ [" + "big.upper(), " * 1000 + "]|length }}",
    "{{ big|urlencode|urlencode|urlencode|indent(200)|wordwrap(10) }}" * 50,
    "{{ 'f'.upper().lower()|center(1000000000) }}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "1 + " * 20_000 + "1 }}",
    "{{ " + "not " * 5000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{% for i in [1] %}" * 60 + "{% endfor %}" * 60,
    "{{ 'a' * 1000000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ lipsum(100000) }}",
    "{{ big|truncate(100000, false, big, 0)|truncate(100000, false, big, 0) }}" * 100,
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_template_ends_soon_with_one_clear_error(renderer: Renderer, source: str) -> None:
    """The bound on time is a hang guard: on an idle machine all of these take less than a second."""
    started = time.process_time()
    with pytest.raises((ServiceError, PartFault)):
        render(renderer, source)
    assert time.process_time() - started < 5
    assert render(renderer, "{{ order.id }}") == "12"


DOUBLED = "{% set ns = namespace(t=(1, 2)) %}{% for i in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}"
DEEP = "{% set ns = namespace(t=(1, 2)) %}{% for i in range(30000) %}{% set ns.t = (ns.t,) %}{% endfor %}"
LONG_CALLS = [
    *(f"{{{{ {use} }}}}" for use in ("{}.get(ns.t)", "{}[ns.t]", "namespace([(ns.t, 1)])", "ns.t in {}", "[{}]|groupby('a', ns.t)|length")),
    *(
        f"{{{{ {use} }}}}"
        for use in (
            "[ns.t]|unique|list|length",
            "[ns.t, ns.t]|sort|length",
            "ns.t == ns.t",
            "[ns.t]|max",
            "{'k': ns.t}|dictsort(by='value')",
        )
    ),
    *(
        f"{{{{ {use} }}}}"
        for use in (
            "joiner(ns.t)()",
            "big.strip(ns.t)",
            "big.startswith(ns.t)",
            "range(ns.t)",
            "big|trim(ns.t)",
            "ns.t|string",
            "ns.t ~ ''",
        )
    ),
    "{{ '%1000000000d' is even }}{{ '%1000000000d' is divisibleby 7 }}{{ '%1000000000d' is odd }}",
    "{{ big.strip(big) }}" * 40,
    "{{ range(90000)|map('replace', '', big)|list|length }}",
    "{{ range(90000)|map('string')|list|sort|join|sort|length }}",
]


@pytest.mark.parametrize("source", LONG_CALLS)
@pytest.mark.parametrize("setting", [DOUBLED, DEEP])
def test_nothing_keeps_one_call_busy_or_crashes_it(renderer: Renderer, setting: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception reaches a call into C, so that what would make one endless has to be refused before."""
    # hypothesis counts garbage collections by a callback, out of which no exception leads; the limit's next signal would end pytest's own
    # hook while that writes the first one down
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    started = time.process_time()
    with pytest.raises((ServiceError, PartFault)):
        render(renderer, setting + source)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ name|indent(name) }}", "indent: width must be a whole number from 0 to 200"),
        ("{{ name|truncate(end=items) }}", "can't be printed"),
        ("{{ name|replace('a') }}", "replace needs the argument new"),
        ("{{ name|upper(1) }}", "upper takes no arguments"),
        ("{{ name|round(1, 'up') }}", "round: method must be one of common, ceil, floor"),
        ("{{ items|sort(revers=true) }}", "sort has no argument revers"),
        ("{{ items|sort(true, reverse=true) }}", "sort has two values for reverse"),
        ("{{ items|sort(1, attribute='qty')|length }}", "sort: reverse must be true or false"),
        ("{{ name.split(order) }}", "split takes texts only"),
        ("{{ order.get(items) }}", "get takes the name of a member"),
        ("{{ range('a') }}", "range takes whole numbers only"),
        ("{{ namespace({'a': 1}).a }}", "namespace takes named values only"),
        ("{{ name is even }}", "the test even must be a number"),
        ("{{ 1 in name }}", "looks for a text in a text"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_in_plain_words(renderer: Renderer, source: str, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        render(renderer, source)
    assert words in caught.value.message


ATOMS = st.sampled_from(
    [
        *("name", "order", "items", "nested", "missing", "big", "loop", "range", "m", "1", "2.5", "'a'", "''", "true", "none"),
        *("[1, 'a']", "{'k': 1}", "namespace()", "joiner()"),
    ]
)
NAMES = st.sampled_from(
    ["name", "id", "items", "__class__", "_x", "append", "format", "upper", "mro", "func_globals", "keys", "index", "previtem"]
)
FILTERS = st.sampled_from(
    [
        *("upper", "list", "join", "first", "last", "length", "sort", "string", "e", "int", "float", "round", "sum", "max", "unique"),
        *("reverse", "items", "dictsort", "title", "abs", "indent", "wordwrap", "striptags", "filesizeformat", "default('d')"),
        *("map('upper')", "map(attribute='name')", "groupby('name')", "replace('a','b')", "format(1)", "batch(2)", "truncate(3)"),
        *("urlencode", "select('odd')"),
    ]
)
OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%", "~", "==", "<", "in", "and", "or"])
TESTS = st.sampled_from(["defined", "mapping", "odd", "none", "sequence", "divisibleby 2", "lt 3"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, NAMES).map(lambda p: f"({p[0]}).{p[1]}"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})[{p[1]}]"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})[{p[1]}:]"),
        st.tuples(inner, FILTERS).map(lambda p: f"({p[0]})|{p[1]}"),
        st.tuples(inner, OPERATORS, inner).map(lambda p: f"({p[0]}) {p[1]} ({p[2]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(inner, TESTS).map(lambda p: f"({p[0]}) is {p[1]}"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}) if ({p[1]})"),
    ),
    max_leaves=6,
)
PYTHON_WORDS = (
    "object at 0x",
    "<class",
    "<function",
    "<built-in",
    "<generator",
    "<bound",
    "dict_",
    "Undefined",
    "NoneType",
    "jinja2",
    "Markup",
    "Error:",
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3))
def test_no_expression_shows_python_or_fails_without_naming_the_part(expressions: list[str]) -> None:
    """Random expressions over every kind of value: text, or an error in our words; never a Python repr, class or exception."""
    source = (
        "{% macro m(a) %}{{ a }}{% endmacro %}{% for x in [1] %}" + "".join(f"{{{{ {each} }}}}" for each in expressions) + "{% endfor %}"
    )
    with CpuLimit() as limit:
        try:
            told = render(LimitedRenderer(limit, 2), source)
        except ServiceError as error:
            told = f"{error.message}{[violation.description for violation in error.violations]}"
        except PartFault as fault:
            told = fault.description
    for word in PYTHON_WORDS:
        assert word not in told
