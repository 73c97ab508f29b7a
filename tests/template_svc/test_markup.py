"""HTML of MJML, inline styles and text parts, with Jinja2 left where it stood."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from template_svc.markup import MarkupFault, html_of_mjml, text_of_html, with_inline_styles
from template_svc.models import Channel, Content
from template_svc.reader import reader_of
from template_svc.renderer import Renderer
from tests.template_svc.factories import START

MJML = """<mjml>
  <mj-head><mj-preview>For {{ name }}</mj-preview><mj-style inline="inline">.hot { color: red }</mj-style></mj-head>
  <mj-body>
    {% if 1 < 2 %}
    <mj-section><mj-column>
      <mj-text>Hi {{ name|default("you") }} <b class="hot">now</b>{% if a < 3 and b %}!{% endif %}</mj-text>
      {% for item in items %}
      <mj-button href="{{ item.url }}">Open {{ item.name }}</mj-button>
      {% endfor %}
      <mj-table>{% for item in items %}<tr><td>{{ item.name }}</td><td>{{ item.count }}</td></tr>{% endfor %}</mj-table>
    </mj-column></mj-section>
    {% endif %}
  </mj-body>
</mjml>"""
VARIABLES = {
    "name": "Ada & Bo", "a": 1, "b": True,
    "items": [{"name": "X", "url": "https://x.example/?a=1&b=2", "count": 1}, {"name": "Y", "url": "https://y.example/", "count": 2}],
}  # fmt: skip
RENDERER = Renderer()


def render(html: str, text: str = "t") -> Content:
    compiled = RENDERER.compile(Content(subject="s", html=html, text=text), Channel.EMAIL, "en")
    return RENDERER.render(compiled, dict(VARIABLES), "p", reader_of("en", "", START))


def test_mjml_becomes_html_that_renders_with_its_loops_and_conditions() -> None:
    html = html_of_mjml(MJML)
    assert "<mj-" not in html
    assert "googleapis" not in html
    done = render(html).html
    assert done.startswith('<!DOCTYPE html><html lang="en" ')
    assert re.findall(r'href="([^"]*)"', done) == ["https://x.example/?a=1&amp;b=2", "https://y.example/"]
    assert 'Hi Ada &amp; Bo <b class="hot" style="color: red;">now</b>!' in done
    assert done.count("<tr><td>") >= 2
    assert done.count("<!--[if mso | IE]>") == done.count("<![endif]-->") - done.count("<!--[if mso]>") - done.count(
        "<!--[if lte"
    ) - done.count("<!--[if !mso]>")


def test_elements_that_end_in_themselves_stand_beside_each_other_and_not_inside() -> None:
    many = "<mj-image src='https://x.example/a/b.png' /><mj-spacer/>" * 250
    html = html_of_mjml(f"<mjml><mj-body><mj-section><mj-column>{many}</mj-column></mj-section></mj-body></mjml>")
    assert html.count("https://x.example/a/b.png") == 250
    with pytest.raises(MarkupFault, match="200 deep"):
        html_of_mjml(f"<mjml><mj-body>{'<mj-wrapper>' * 300}{'</mj-wrapper>' * 300}</mj-body></mjml>")


def test_the_text_part_says_what_the_html_says() -> None:
    assert render("<p>x</p>", text_of_html(html_of_mjml(MJML))).text == (
        "Hi Ada & Bo now!\nOpen X (https://x.example/?a=1&b=2)\nOpen Y (https://y.example/)\nX 1\nY 2\n"
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Hello</h1><p>One\n  two<br>three</p><p>four</p>", "Hello\n\nOne two\nthree\n\nfour\n"),
        (
            '<a href="https://x.example">https://x.example</a> <a href="mailto:a@x.example">a@x.example</a>',
            "https://x.example a@x.example\n",
        ),
        ('<a href="{{ url }}">{{ url }}</a> <a href="{{ url }}">here</a>', "{{ url }} here ({{ url }})\n"),
        ("<ul>{% for i in l %}<li>{{ i }}</li>{% endfor %}</ul>", "{% for i in l %}- {{ i }}\n{% endfor %}\n"),
        ('<img src="a" alt="A logo"><style>p{}</style><title>t</title><script>x</script>y', "A logoy\n"),
        ('<div style="display: none">hidden <b>too</b></div>shown', "shown\n"),
        ("a &lt; b &amp; c &nbsp;d", "a < b & c d\n"),
    ],
)
def test_a_text_of_html(html: str, text: str) -> None:
    assert text_of_html(html) == text


def test_styles_go_into_their_elements_and_stay_for_what_only_they_can_say() -> None:
    source = "<style>td{color:red} @media(prefers-color-scheme:dark){td{color:pink}}</style><table>{% for i in items %}<tr>"
    source += '<td {% if i %}id="x"{% endif %}>{{ i.name|e }}</td></tr>{% endfor %}</table>'
    made = with_inline_styles(source)
    assert "prefers-color-scheme" in made
    assert '{% for i in items %}<tr><td {% if i %}id="x" {% endif %} style="color: red;">{{ i.name|e }}</td></tr>{% endfor %}' in made
    for untouched in ("<p>{{ x }}</p>", "<style>p{ {% if x %}color:red{% endif %} }</style><p>x</p>"):
        assert with_inline_styles(untouched) == untouched


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("hello", "is not valid MJML"),
        ("<mjml><mj-body><mj-foo/></mj-body></mjml>", "there is no MJML element 'mj-foo' in that place"),
        ("<mjml><mj-body><mj-text>a", "is not valid MJML"),
        ("<mjml><mj-body><mj-image width='{{ w }}px'/></mj-body></mjml>", "{{ w }} stands where MJML can not take it"),
        ('<mjml>\n<mj-body><mj-include path="/etc/passwd"/></mj-body></mjml>', "line 2: is not valid MJML"),
    ],
)
def test_what_is_no_mjml_is_refused(source: str, why: str) -> None:
    with pytest.raises(MarkupFault, match=re.escape(why)):
        html_of_mjml(source)


PIECES = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<b>",
            "</b>",
            "<table>",
            "<tr>",
            "<td>",
            "</table>",
            "{{ x }}",
            "{% if y %}",
            "{% endif %}",
            "{# c #}",
            "text ",
            "&amp;",
            "<br>",
        ]
    ),
    max_size=15,
)


@given(PIECES)
def test_no_tag_of_jinja_is_lost_or_changes_its_place(pieces: list[str]) -> None:
    source = "<style>p{color:red}</style>" + "".join(pieces)
    tags = [piece for piece in pieces if piece.startswith("{")]
    for made in (with_inline_styles(source), text_of_html(source)):
        assert re.findall(r"\{[{%#].*?[}%#]\}", made) == tags


@pytest.mark.parametrize(
    "word", ["jinja7x", "jinja0x", "JINJA0X", "&#106;inja9x", "jinja٣x", "jinja99999999999999999999x", "<b jinja3x>{{ name }}</b>"]
)
def test_words_like_those_that_stand_in_for_tags_stay_the_authors(word: str) -> None:
    source = f"<style>p {{ color: red }}</style><p>{{{{ name }}}} {word}</p>"
    assert word.removeprefix("&#106;") in with_inline_styles(source)
    shown = text_of_html(source)
    assert shown.count("{{ name }}") == source.count("{{ name }}")
    assert word.startswith("<") or word.replace("&#106;", "j") in shown
    mjml = f"<mjml><mj-body><mj-section><mj-column><mj-text>{{{{ name }}}} {word}</mj-text></mj-column></mj-section></mj-body></mjml>"
    assert word.replace("&#106;", "j").partition(" ")[0] in html_of_mjml(mjml).replace("&#106;", "j")


def test_a_raw_block_may_hold_the_word_that_stands_in_for_it() -> None:
    source = "<style>p { color: red }</style><p>{% raw %}jinja0x{{ x }}{% endraw %}</p>"
    assert "{% raw %}jinja0x{{ x }}{% endraw %}" in with_inline_styles(source)
    assert text_of_html(source) == "{% raw %}jinja0x{{ x }}{% endraw %}\n"


@pytest.mark.parametrize(
    "odd", ["<![foo[bar]]>", "<![ >", "<![CDATA[x]]>", "<![if (a > b)]>", "<!ELEMENT x>", "<![", "<!x", "</ >", "<?php ?>"]
)
def test_declarations_that_no_browser_knows_are_left_out_of_the_text(odd: str) -> None:
    assert text_of_html(f"<p>before</p>{odd}").startswith("before\n")
