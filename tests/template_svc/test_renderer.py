"""Finished texts: escaping, single lines, sizes, and errors that name the variable, the part and the line."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from mesh.errors import Code, ServiceError
from template_svc.errors import MissingVariable, OutputTooLarge, RenderFailed, RenderTooSlow
from template_svc.filters import PARAMETERS, template_filters
from template_svc.models import Channel, Content
from template_svc.processes.cpu_limit import CpuLimit
from template_svc.renderer import CompiledContent, PartFault, Renderer
from tests.template_svc.factories import EMAIL, PUSH, READER
from tests.template_svc.fakes import LimitedRenderer


def render(renderer: Renderer, content: Content, channel: Channel = Channel.EMAIL, /, **variables: Any) -> Content:
    return renderer.render(renderer.compile(content, channel, "en"), variables, "contents.en", READER)


def test_only_html_is_escaped(renderer: Renderer) -> None:
    content = render(renderer, EMAIL, name="Ada & <Bob>")
    assert content.subject == content.text == "Hello Ada & <Bob>"
    assert content.html == "<p>Hello Ada &amp; &lt;Bob&gt;</p>"


def test_a_push_has_its_title_body_data_and_image(renderer: Renderer) -> None:
    content = Content(title="{{ t }}", body="b\n", image="https://cdn.example/{{ t|urlencode }}.png", data={"k": "{{ n }}", "fixed": "v"})
    done = render(renderer, content, Channel.PUSH, t="T & C", n=2)
    assert done == Content(title="T & C", body="b", image="https://cdn.example/T%20%26%20C.png", data={"k": "2", "fixed": "v"})


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\0", " \n "])
def test_a_subject_stays_one_line_whatever_a_variable_holds(renderer: Renderer, line_break: str) -> None:
    """A line break in a subject would start a header of its own."""
    content = render(renderer, EMAIL, name=f"Ada{line_break}Bcc: all@example.com")
    assert content.subject == "Hello Ada Bcc: all@example.com"


def test_a_subject_written_over_several_lines_is_joined(renderer: Renderer) -> None:
    assert render(renderer, Content(subject="Hello\n\tyou\n", text="t")).subject == "Hello you"
    assert render(renderer, Content(subject="{{ a }}\r\n{{ b }}\n", text="t"), a=1, b=2).subject == "1 2"


def test_spaces_and_marks_that_belong_to_a_text_stay(renderer: Renderer) -> None:
    """A French no-break space, and the joiner inside a family emoji."""
    subject = "Bonjour\u00a0! \U0001f468\u200d\U0001f469"
    assert render(renderer, Content(subject="{{ s }}", text="t"), s=subject).subject == subject


def test_every_missing_variable_is_named(renderer: Renderer) -> None:
    content = Content(subject="{{ b }}", text="x\n{{ a }}{{ c|default('') }}")
    with pytest.raises(MissingVariable) as caught:
        render(renderer, content)
    error = caught.value
    assert error.code is Code.INVALID_ARGUMENT
    assert error.reason == "MISSING_VARIABLE"
    assert [violation.field for violation in error.violations] == ["variables.b", "variables.a"]
    assert error.message == "variables.b: is missing; contents.en.subject, line 1 needs it"


@pytest.mark.parametrize(
    ("source", "variables", "path"),
    [
        ("{{ order.id }}", {"order": {}}, "variables.order.id"),
        ("{{ order.lines[1].sku }}", {"order": {"lines": [{}, {"x": 1}]}}, "variables.order.lines[1].sku"),
        ("{% for item in items %}{{ item.name }}{% endfor %}", {"items": [{"name": "a"}, {}]}, "variables.items[1].name"),
        ("{{ items[3] }}", {"items": []}, "variables.items[3]"),
        ("{{ order.id.deep }}", {"order": {}}, "variables.order.id"),
        ("{% if order.items %}{% endif %}", {"order": {}}, "variables.order.items"),
        ("{% for item in order.items %}{% endfor %}", {"order": {}}, "variables.order.items"),
        ("{{ prices[code] }}", {"prices": {}, "code": "secret"}, "variables.prices[*]"),
        ("{{ prices['eur'] }}", {"prices": {}}, "variables.prices.eur"),
        ("{{ a + 1 }}", {}, "variables.a"),
        ("{{ 1 == a }}", {}, "variables.a"),
        ("{{ 'x'|replace('x', a) }}", {}, "variables.a"),
        ("{{ 'x'.startswith(a) }}", {}, "variables.a"),
        ("{% for x in a %}{% endfor %}", {}, "variables.a"),
        ("{{ [{'k': 1}]|sort(attribute='v')|length }}{{ a }}", {}, "variables.a"),
        ("{{ a|sum }}{{ a|join }}", {}, "variables.a"),
        ("{% if a %}{% endif %}", {}, "variables.a"),
        ("{{ {}[a] }}", {}, "variables.a"),
    ],
)
def test_a_missing_value_is_named_with_its_path(renderer: Renderer, source: str, variables: dict[str, Any], path: str) -> None:
    with pytest.raises(MissingVariable) as caught:
        render(renderer, Content(subject="s", text=source), **variables)
    assert caught.value.violations[0].field == path


def test_an_error_names_the_part_and_the_line(renderer: Renderer) -> None:
    with pytest.raises(RenderFailed) as caught:
        render(renderer, Content(subject="s", text="one\ntwo {{ 1 / zero }}"), zero=0)
    assert caught.value.message == "contents.en.text: line 2: divides by zero"
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_an_error_repeats_no_value(renderer: Renderer) -> None:
    """Variables are personal data."""
    with pytest.raises(RenderFailed) as caught:
        render(renderer, Content(subject="s", text="{{ '%d' % secret }}{{ secret + 1 }}"), secret="hunter2")
    assert "hunter2" not in f"{caught.value.message}{caught.value.violations}"


@pytest.mark.parametrize(
    ("content", "part", "line", "words"),
    [
        (Content(subject="{{ name", text="t"), "subject", 1, "end of print statement"),
        (Content(subject="s", html="ok\n{% if x %}"), "html", 2, "Unexpected end of template"),
        (Content(subject="s", html="\n\n{{ x|safe }}"), "html", 3, "there is no filter 'safe'"),
        (Content(subject="s", html="{{ x is sameas y }}"), "html", 1, "there is no test 'sameas'"),
        (Content(subject="s", text="{% include 'etc' %}"), "text", 1, "include is not available"),
        (Content(subject="s", text="x" * 300_000), "text", 1, "bytes"),
        (Content(title="t", body="b", data={"link": "{{"}), "data.link", 1, "end of template"),
    ],
)
def test_what_does_not_compile_is_named_with_part_and_line(renderer: Renderer, content: Content, part: str, line: int, words: str) -> None:
    with pytest.raises(PartFault) as caught:
        renderer.compile(content, Channel.PUSH if content.title else Channel.EMAIL, "en")
    assert (caught.value.part, caught.value.line) == (part, line)
    assert words in caught.value.description


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("{{ ngettext('a', 'b', n) }}", "there is no function 'ngettext'; `plural("),
        ("{{ start.strftime('%d') }}", "there is no method 'strftime'; the filters `date`"),
        ("{{ total.toFixed(2) }}", "there is no method 'toFixed'; the filters `number`"),
        ("{{ count|pluralize }}", "there is no filter 'pluralize'; `plural("),
        ("{{ name.uper() }}", "there is no method 'uper'; did you mean 'upper'?"),
        ("{{ name|uper }}", "there is no filter 'uper'; did you mean 'upper'?"),
        ("{{ name is defind }}", "there is no test 'defind'; did you mean 'defined'?"),
        ("{{ rnage(3) }}", "there is no function 'rnage'; did you mean 'range'?"),
        ("{% macro row(a) %}{% endmacro %}{{ rwo(1) }}", "there is no function 'rwo'; did you mean 'row'?"),
        ("{{ items|map('uper')|join }}", "there is no filter 'uper'; did you mean 'upper'?"),
        ("{{ items|selectattr('a', 'defind')|list|length }}", "there is no test 'defind'"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_was_probably_meant(renderer: Renderer, source: str, hint: str) -> None:
    with pytest.raises((PartFault, RenderFailed)) as caught:
        render(renderer, Content(subject="s", text=source), items=["a"])
    assert hint in str(caught.value)


def test_what_the_template_makes_itself_can_be_called(renderer: Renderer) -> None:
    source = "{% macro m() %}1{% endmacro %}{% set n = m %}{{ n() }}{% set ns = namespace() %}{% set ns.f = m %}{{ ns.f() }}"
    source += "{% set j = joiner() %}{{ j() }}"
    assert render(renderer, Content(subject="s", text=source)).text == "11"


def test_every_fault_of_every_part_is_told_at_once(renderer: Renderer) -> None:
    content = Content(subject="{{ name }", html="<p>\n{{ a|uper }}\n{{ b|lwer }}</p><a href={{ c }}>", text="ok\n{% if %}")
    with pytest.raises(PartFault) as caught:
        renderer.compile(content, Channel.EMAIL, "en")
    faults = [caught.value, *caught.value.others]
    assert [(fault.part, fault.line) for fault in faults] == [("subject", 1), ("html", 2), ("html", 3), ("html", 3), ("text", 2)]


def test_required_variables_are_those_of_all_parts(renderer: Renderer) -> None:
    compiled = renderer.compile(Content(subject="{{ a }}", html="{{ b }}", text="{{ c|default('') }}"), Channel.EMAIL, "en")
    assert compiled.variables.required == {"a", "b"}
    assert compiled.variables.known == {"a", "b", "c"}


def test_a_text_larger_than_a_mail_may_be_is_refused(renderer: Renderer) -> None:
    with pytest.raises(OutputTooLarge) as caught:
        render(renderer, Content(subject="s", text="{{ x }}"), x="é" * 140_000)
    assert caught.value.violations[0].field == "contents.en.text"
    assert len(render(renderer, Content(subject="s", text="{{ x }}"), x="e" * 200_000).text) == 200_000


def test_a_push_larger_than_fcm_takes_is_refused(renderer: Renderer) -> None:
    with pytest.raises(OutputTooLarge):
        render(renderer, PUSH, Channel.PUSH, name="x" * 5000, count=1)


def test_an_endless_template_is_stopped_and_the_next_one_rendered(renderer: Renderer) -> None:
    with pytest.raises(RenderTooSlow) as caught:
        render(renderer, Content(subject="s", text="{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"))
    assert caught.value.reason == "RENDER_TOO_SLOW"
    assert render(renderer, EMAIL, name="Ada").subject == "Hello Ada"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (Content(subject="{{ x }}", text="t"), "contents.en.subject"),
        (Content(subject="s", text="{{ x }}"), "contents.en"),
        (Content(title="{{ x }}", body="b"), "contents.en.title"),
        (Content(title="t", body=" {{ x }}"), "contents.en.body"),
    ],
)
def test_a_message_without_text_is_refused(renderer: Renderer, content: Content, field: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        render(renderer, content, Channel.PUSH if content.title else Channel.EMAIL, x="")
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    "url", ["http://x.example/a.png", "javascript:alert(1)", "https://", "https:///a.png", "https://x.example/a b.png"]
)
def test_an_image_that_is_no_https_url_is_refused(renderer: Renderer, url: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        render(renderer, Content(title="t", body="b", image="{{ url }}"), Channel.PUSH, url=url)
    assert caught.value.violations[0].field == "contents.en.image"


def test_half_a_surrogate_pair_is_refused(renderer: Renderer) -> None:
    """It could not be sent to anyone, and would fail a whole batch."""
    with pytest.raises(RenderFailed, match="surrogate"):
        render(renderer, Content(subject="s", text=r"{{ '\ud800' }}"))


def test_a_variable_may_be_called_like_a_function_or_a_word_of_python(renderer: Renderer) -> None:
    variables = {"range": "a-z", "class": "first", "items": "i", "context": "c", "environment": "e", "resolve": "r"}
    source = "{{ range }}{{ items }}{{ context }}{{ environment }}{{ resolve }}{{ class }}"
    assert render(renderer, Content(subject="s", text=source), **variables).text == "a-zicerfirst"


HTML_PARTS = st.sampled_from(
    [
        *(
            "{{ x }}",
            "{{ x|upper }}",
            "{{ x ~ x }}",
            "{{ x + '<' }}",
            "{{ x|replace('a', x) }}",
            "{{ [x, x]|join('<br>') }}",
            "{{ '%s' % x }}",
        ),
        *("{{ x|truncate(5) }}", "{% set y %}{{ x }}{% endset %}{{ y }}{{ y|striptags }}{{ y[1:] }}", "{{ x|default('<') }}"),
        *("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x) }}", "{{ x.title() }}", "{% filter lower %}{{ x }}{% endfilter %}"),
        *("{{ x|e|string }}", "{{ x|list|join }}", "{{ x|indent }}", "{{ x|wordwrap(10) }}", "{{ x[::-1] }}", "{{ x.split('a')|first }}"),
        *("{% for c in x %}{{ c }}{% endfor %}", "{{ x|trim|format }}", "{{ {'k': x}.k }}", "{{ x if x else '<' }}", "{{ x|striptags }}"),
        *(
            "{{ ('<' ~ x)|forceescape }}",
            "{{ x|e|striptags }}",
            "{{ (x|e)[1:] ~ x }}",
            "{{ '<%s>'|format(x|e) }}",
            "{{ x|e|reverse|join }}",
        ),
    ]
)


@given(st.lists(HTML_PARTS, min_size=1, max_size=4), st.text(alphabet="<>&\"'a b\n%;lt", min_size=1, max_size=30))
def test_no_variable_reaches_html_unescaped(parts: list[str], value: str) -> None:
    """Whatever is done to it on the way: what a variable brings never opens a tag or closes an attribute."""
    with CpuLimit() as limit:
        try:
            html = render(LimitedRenderer(limit, 2), Content(subject="s", html=f"({''.join(parts)})"), x=value).html
        except RenderFailed:
            return
    assert not set(html) & set("<>\"'")


def uses_of(name: str) -> list[str]:
    """Every way to hand a variable to a filter: as its value, in HTML that is escaped already, as each of its arguments, in blocks."""
    parameters = PARAMETERS.get(name, ())
    needed = [parameter.name for parameter in parameters if parameter.default is ...]
    chosen = [needed, *(list(dict.fromkeys([parameter.name, *needed])) for parameter in parameters)]
    calls = [f"{name}({', '.join(f'{argument}=x' for argument in arguments)})" if arguments else name for arguments in chosen]
    if name == "format":
        calls.append("format(x, x)")
    if name == "map":
        calls = [f"map({argument})" for argument in ("'replace', 'a', x", "'default', x", "'join', x", "attribute=x", "x")]
    elif name in {"select", "reject"}:
        calls = [f"{name}({argument})" for argument in ("'eq', x", "'in', x", "x")]
    elif name in {"selectattr", "rejectattr"}:
        calls = [f"{name}({argument})" for argument in ("'k', 'eq', x", "x, 'eq', x", "x")]
    values = ["[{'k': x}]"] if name == "groupby" else ["x", "x|e", "[x, x]", "[x|e, x]", "{'k': x}", "n"]
    inner = [f"{{{{ ({value})|{call}{after} }}}}" for value in values for call in calls for after in ("", "|join(x)")]
    blocks = [f"{{% filter {call} %}}(\n{{{{ x }}}}\n{{% endfilter %}}" for call in calls]
    sets = [f"{{% set y %}}{{{{ x }}}}{{% endset %}}{{{{ y|{call} }}}}" for call in calls]
    block_sets = [f"{{% set y | {call} %}}{{{{ x }}}}{{% endset %}}{{{{ y }}}}" for call in calls]
    return inner + blocks + sets + block_sets


PATIENT = Renderer()


@cache
def compiled_uses(name: str) -> list[tuple[str, CompiledContent]]:
    """The uses of a filter, compiled once for all examples."""
    return [(source, PATIENT.compile(Content(subject="s", html=f"({source})"), Channel.EMAIL, "en")) for source in uses_of(name)]


@pytest.mark.parametrize("name", sorted(template_filters()))
@given(value=st.one_of(st.text(alphabet="<>&\"'a b\n%;lt", min_size=1, max_size=30), st.just("<b>\n<i>")), number=st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_no_filter_and_no_argument_of_one_puts_a_variable_into_html_unescaped(name: str, value: str, number: int) -> None:
    """The guide says that there is no way around escaping: all filters, all their arguments, beside text that is escaped already."""
    for source, compiled in compiled_uses(name):
        try:
            html = PATIENT.render(compiled, {"x": value, "n": number}, "contents.en", READER).html
        except ServiceError:
            continue
        assert not set(html) & set("<>\"'"), source


def test_every_filter_has_its_arguments_in_the_table() -> None:
    assert set(template_filters()) == {*PARAMETERS, "format", "map", "select", "reject", "selectattr", "rejectattr"}


def test_a_name_that_is_an_address_can_be_kept_from_becoming_a_link(renderer: Renderer) -> None:
    """It looks the same; times, ends of sentences and what HTML escapes stay as they are."""
    compiled = renderer.compile(
        Content(subject="s", text="{{ n|unlinked }}", html="<p>{{ n|unlinked }} {{ n|e|unlinked }}</p>"), Channel.EMAIL, "en"
    )
    name = "Win! https://evil.example/x a@evil.example www。evil。example mailto:a@b <b> at 10:30. O'Neil & Co."
    rendered = renderer.render(compiled, {"n": name}, "contents.en", READER)
    apart = (
        "Win! https:\u200c//evil.\u200cexample/x a@\u200cevil.\u200cexample www。\u200cevil。\u200cexample mailto:\u200ca@\u200cb <b>"
        " at 10:30. O'Neil & Co."
    )
    assert rendered.text == apart
    assert rendered.text.replace("\u200c", "") == name
    escaped = apart.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;")
    assert rendered.html.count(escaped) == 2


@given(st.text(max_size=200))
def test_a_plain_variable_arrives_as_it_is_in_text_and_escaped_in_html(value: str) -> None:
    with CpuLimit() as limit:
        content = render(LimitedRenderer(limit, 2), Content(subject="s", html="({{ x }})", text="({{ x }})"), x=value)
    assert content.text == f"({value})"
    assert content.html == f"({escape(value)})"
