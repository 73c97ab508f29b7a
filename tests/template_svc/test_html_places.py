"""Where a variable stands in HTML decides what it may be."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from template_svc.errors import RenderFailed
from template_svc.models import Channel, Content
from template_svc.renderer import PartFault, Renderer
from tests.examples import examples
from tests.template_svc.factories import READER

RENDERER = Renderer()
ATTACKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:x",
    " javascript:x",
    "java\nscript:x",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc",
    "",
    "x",
    "//evil.example",
    "https:javascript",
    "http//x",
    "\x01javascript:x",
    "cid:1",
    "about:blank",
    "https://",
]
SAFE = ["https://a.example/x?y=1&z=2", "HTTP://a.example", "mailto:a@b.example", "tel:+49123"]


def render(html: str, **variables: object) -> str:
    compiled = RENDERER.compile(Content(subject="s", html=html), Channel.EMAIL, "en")
    return RENDERER.render(compiled, variables, "contents.en", READER).html


URL_PLACES = [
    line.replace(r"\n", "\n")
    for line in r"""
<a href="{{ u }}">x</a>
<a HREF="{{ u }}">x</a>
<a src="{{ u }}">x</a>
<a action="{{ u }}">x</a>
<a formaction="{{ u }}">x</a>
<a xlink:href="{{ u }}">x</a>
<a poster="{{ u }}">x</a>
<a background="{{ u }}">x</a>
<a data="{{ u }}">x</a>
<a cite="{{ u }}">x</a>
<a href='{{ u }}'>
<a\nhref = "{{ u }}">
<a class="x" href="{{ u }}">
<a class=x href="{{ u }}">
<a href=" {{ u }}">
<a x/href="{{ u }}">
<img srcset="{{ u }} 2x">
<img srcset="https://a.example/b 1x, {{ u }} 2x">
<meta http-equiv="refresh" content="0; url={{ u }}">
{% set v = u %}<a href="{{ v }}">
{% set v %}{{ u }}{% endset %}<a href="{{ v }}">
{% macro m() %}{{ u }}{% endmacro %}<a href="{{ m() }}">
<a {% if true %}href="{{ u }}"{% endif %}>
<a href="{% if true %}{{ u }}{% else %}https://x{% endif %}">
{% for i in [1, 2] %}<a href="{{ u }}">{% endfor %}
<a href="{{ u|e }}">
<a href="{{ u ~ '' }}">
{% if u %}<a href="{% else %}<a title="{% endif %}{{ u }}">
<!-- x --><a href="{{ u }}">
<style>a{}</style><a href="{{ u }}">
{% filter trim %}<a href="{{ u }}">{% endfilter %}
<a title="a>b" href="{{ u }}">
<a href="{{ '' }}{{ u }}">
<a href="{{ 'x:' if false }}{{ u }}">
<a href="{{ u if false }}{{ u }}">
<!--[if mso]><a href="{{ u }}"><![endif]-->
<!--[if gte mso 9]><v:roundrect xmlns:v="x" href="{{ u }}"><![endif]-->
<!--[if !mso]><!--><a href="{{ u }}"><!--<![endif]-->
<!--><a href="{{ u }}">
<!---><a href="{{ u }}">
<p style="background: url({{ u }})">
<p style='background: url("{{ u }}")'>
<style>p { background: url({{ u }}) }</style>
""".strip().splitlines()
]


@pytest.mark.parametrize("html", URL_PLACES)
def test_a_url_takes_only_harmless_schemes_from_variables(html: str) -> None:
    for attack in ATTACKS:
        with pytest.raises(RenderFailed, match="takes only http"):
            render(html, u=attack)
    for url in SAFE[:2]:
        assert "a.example" in render(html, u=url)


def test_a_link_may_be_a_mail_address_or_a_telephone_number() -> None:
    for url in SAFE:
        assert render('<a href="{{ u }}">', u=url)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://x.example/{{ u }}">',
        '<a href="/{{ u }}">',
        '<a href="https://{{ u }}/x">',
        '<a href="{{ h }}/{{ u }}">',
        '<a href="mailto:{{ u }}">',
        '<img src="data:image/png;base64,{{ u }}">',
        "<!-- [in a comment {{ u }} -->",
        '<!--[if mso]><p title="{{ u }}">{{ u }}</p><![endif]-->',
        '<p title="{{ u }}">',
        "<p>{{ u }}</p>",
        "<title>{{ u }}</title>",
        "<!-- {{ u }} -->",
        '<a href="https://x.example{% if u %}?q={{ u }}{% endif %}">',
    ],
)
def test_elsewhere_a_variable_may_be_anything(html: str) -> None:
    for value in ATTACKS:
        assert render(html, u=value, h="https://x.example")


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<script>var x = '{{ u }}'</script>", "script"),
        ('<a onclick="f({{ u }})">', "attribute onclick"),
        ('<iframe srcdoc="{{ u }}">', "attribute srcdoc"),
        ("<a href={{ u }}>", "in quotes"),
        ("<td width=1{{ u }}>", "in quotes"),
        ("<p {{ u }}>", "part of a tag"),
        ("<p class{{ u }}='x'>", "part of a tag"),
        ("<h{{ u }}>", "part of a tag"),
        ('<a href="java{{ u }}">', "needs its scheme"),
        ("<a href=\"javascript:f('{{ u }}')\">", "runs what it holds"),
        ('<a href="&#106;ava\nScript&colon;{{ u }}">', "runs what it holds"),
        ('<a href=" data:text/html,{{ u }}">', "runs what it holds"),
        ("<a href=\"{{ 'javascript:' }}{{ u }}\">", "runs what it holds"),
        ('<a href="javascript:{% if u %}f({% endif %}{{ u }}">', "runs what it holds"),
        ('<meta http-equiv="refresh" content="0; url=javascript:{{ u }}">', "runs what it holds"),
        ('<script src="{{ u }}"></script>', "attribute src, which runs"),
        ('<script src="https://x.example/{{ u }}"></script>', "attribute src, which runs"),
        ('<a><set attributeName="href" to="{{ u }}"></a>', "attribute to, which runs"),
        ("<!--[if mso]><td width={{ u }}><![endif]-->", "in quotes"),
        ('<a href="{% if u %}x{% endif %}{{ u }}">', "needs its scheme"),
        ('{% macro m() %}<a href="{% endmacro %}{{ m() }}{{ u }}">', "must not end inside of a tag"),
        ('{% set x %}<a href="{% endset %}{{ x }}{{ u }}">', "must not end inside of a tag"),
        ('<a href="{% filter trim %}{{ u }}{% endfilter %}">', "a filter block can't stand in a URL"),
        ('{% for i in u %}<a href="{% endfor %}{{ u }}">', "script|scheme|tag|loop"),
    ],
)
def test_where_nothing_helps_a_variable_is_refused_when_the_version_is_made(html: str, words: str) -> None:
    with pytest.raises(PartFault, match=words):
        render(html, u="x")


@pytest.mark.parametrize("html", ["<option {{ 'selected' if u }}>", "<td width={{ 1 if u else 2 }}>", "<a href=\"{{ '#' }}\">"])
def test_what_the_author_wrote_may_stand_anywhere(html: str) -> None:
    assert render(html, u=True)


@pytest.mark.parametrize(
    "value",
    [
        "red; background: url(https://x)",
        "expression(alert(1))",
        "\\75rl(x)",
        "x/**/",
        "@import 'x'",
        "</style><script>",
    ],
)
def test_a_style_loads_and_runs_nothing_from_variables(value: str) -> None:
    for html in ('<p style="color: {{ u }}">', "<style>p { color: {{ u }} }</style>"):
        with pytest.raises(RenderFailed, match="a style takes no"):
            render(html, u=value)
        assert "#c00" in render(html, u="#c00")


PIECES = st.sampled_from(
    [
        "<a ",
        "href=",
        '"',
        "'",
        ">",
        "x ",
        "{{ u }}",
        "</a>",
        "<p>",
        " class=",
        "{% if u %}",
        "{% endif %}",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "https://x/",
    ]
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_reading_any_html_ends_with_an_answer(pieces: list[str]) -> None:
    try:
        html = render("x" + "".join(pieces), u="javascript:x")
    except (PartFault, RenderFailed):
        return
    links = _Links()
    links.feed(html)
    links.close()
    assert not any(link.lower().startswith("javascript:") for link in links.found)


class _Links(HTMLParser):
    """What a reader of the HTML takes for addresses; the same letters in a text are none."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value.strip() for name, value in attrs if name == "href" and value]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('<meta http-equiv="refresh" content="{{ u }}">', "needs its seconds"),
        ("<meta http-equiv=refresh content='0;{{ u }}'>", "needs its seconds"),
        ('<meta http-equiv=" Refresh " content="{{ s }};url=https://x.example">', "needs its seconds"),
        ('<meta http-equiv="refr&#101;sh" content="0;{{ u }}">', "needs its seconds"),
        ('<meta content="{{ u }}" http-equiv="refresh">', "must stand before"),
        ('<meta content="0;url=https://x.example/{{ u }}" http-equiv=refresh>', "must stand before"),
        ('{% if a %}<meta http-equiv="refresh" {% else %}<meta name="a" {% endif %}content="{{ u }}">', "needs its seconds"),
        ('<meta http-equiv="{{ u }}" content="0">', "decides what the content does"),
        ('<meta http-equiv="refresh" content="0; URL = \'java{{ u }}">', "needs its scheme"),
        # a no-break space is part of the value, which is then not in quotes
        ('<a title=\u00a0"{{ u }}">', "put the value of the attribute title in quotes"),
        ('<a title=\u2003"{{ u }}">', "put the value of the attribute title in quotes"),
        ('<a title=\x0b"{{ u }}">', "put the value of the attribute title in quotes"),
        ('<p style="width: &#117;rl(x{{ u }})">', "needs its scheme"),
    ],
)
def test_what_browsers_read_otherwise_than_it_looks_is_refused(source: str, expected: str) -> None:
    with pytest.raises(PartFault, match=expected):
        render(source, u="x", s="5", a=True)


@pytest.mark.parametrize(
    "source",
    [
        '<!-- a --!><a href="{{ u }}">x</a>',
        "<meta http-equiv=refresh content=\"0; URL = '{{ u }}'\">",
        '<meta http-equiv="refresh" content="0;url={{ u }}{{ u }}">',
        *(f'<img {name}="{{{{ u }}}}">' for name in ("dynsrc", "lowsrc", "usemap", "archive", "classid", "codebase", "profile")),
    ],
)
@pytest.mark.parametrize("attack", ATTACKS)
def test_other_places_of_urls_are_guarded_too(source: str, attack: str) -> None:
    with pytest.raises(RenderFailed, match="takes only http"):
        render(source, u=attack)
    assert "https://a.example" in render(source, u="https://a.example/")


@pytest.mark.parametrize(
    "source", ['<meta name="description" content="{{ u }}">', '<meta content="{{ u }}" name="a"><meta http-equiv="refresh" content="5">']
)
def test_a_meta_that_does_not_refresh_says_anything(source: str) -> None:
    assert "5; url" in render(source, u="5; url=x")
