"""What lint finds, and that it finds nothing in a mail that is in order."""

from typing import Any

import pytest

from template_svc.contents import check_draft
from template_svc.errors import InvalidContents
from template_svc.lint import GMAIL_CLIPS_BYTES, RULES, contrast
from template_svc.models import Channel, Checked, Content, VersionDraft
from template_svc.renderer import Renderer
from tests.template_svc.test_documentation import GUIDE

RENDERER = Renderer()
GOOD = Content(
    subject="Your order {{ order }}",
    html='<html><body><p style="color: #333; background: #fff">Order {{ order }}</p>\n<a href="{{ url }}">See it</a>'
    '<img src="https://x.example/a.png" alt="" width="10"><ul><li>one<li>two</ul></body></html>',
)


def check(content: Content, channel: Channel = Channel.EMAIL, /, **others: Content) -> Checked:
    return check_draft(VersionDraft(channel, "en", {"en": content, **others}, {}, {}), RENDERER)


def rules(content: Content, channel: Channel = Channel.EMAIL, /, **others: Content) -> list[str]:
    return [f"{rule} {field}:{line}" for rule, field, line, _ in check(content, channel, **others).findings]


def test_a_mail_in_order_has_no_findings() -> None:
    assert rules(GOOD) == []


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<p>x</p>\n\n<img src="https://x.example/a.png" width="1">', ["image-without-alt contents.en.html:3"]),
        ('<img src="https://x.example/a.png" alt="x">', ["image-without-size contents.en.html:1"]),
        ('<a href="#">x</a>{{ y\n}}\n<a href="">x</a>', ["empty-link contents.en.html:1", "empty-link contents.en.html:3"]),
        ('<a href="http://x.example">x</a>', ["insecure-link contents.en.html:1"]),
        ('<a href="https://localhost:3000/x">x</a>', ["local-link contents.en.html:1"]),
        ('<a href="http://192.168.1.2/{{ y }}">x</a>', ["local-link contents.en.html:1"]),
        ("<div><b>x</div>", ["unbalanced-html contents.en.html:1"]),
        ("<p>x</p>\n</div>", ["unbalanced-html contents.en.html:2"]),
        ("<table>{% if y %}<tr><td>x{% endif %}</table>", []),
        ('<p style="color:#999;background-color:white">x</p>', ["low-contrast contents.en.html:1"]),
        ("<p>" + "x" * GMAIL_CLIPS_BYTES + "</p>", ["clipped-html contents.en.html:1"]),
    ],
)
def test_what_is_found_in_html(html: str, found: list[str]) -> None:
    assert rules(Content(subject="s", html=html)) == found


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("Act now, you are a WINNER", ["spam-words contents.en.subject:1"]),
        ("READ THIS PLEASE", ["spam-words contents.en.subject:1"]),
        ("x" * 71 + "{{ y }}", ["long-text contents.en.subject:1"]),
        ("x" * 60 + "{{ yyyyyyyyyyyyyyyyyyyyy }}", []),
    ],
)
def test_what_is_found_in_a_subject(subject: str, found: list[str]) -> None:
    assert rules(Content(subject=subject, text="{{ y }}{{ yyyyyyyyyyyyyyyyyyyyy }}")) == found


def test_a_push_that_no_lock_screen_shows() -> None:
    content = Content(title="t" * 66, body="b" * 241)
    assert rules(content, Channel.PUSH) == ["long-text contents.en.title:1", "long-text contents.en.body:1"]


def test_locales_are_compared() -> None:
    german = Content(subject="Your order {{ order }}", html="<p>Bestellung {{ order }}</p>")
    assert rules(GOOD, Channel.EMAIL, de=german) == ["untranslated-part contents.de.subject:1", "unused-variable contents.de:1"]


def test_mjml_is_read_as_the_html_that_it_makes() -> None:
    body = '<mj-image src="http://x.example/a.png"/><mj-text color="#aaa" container-background-color="#bbb">x</mj-text>'
    found = rules(Content(subject="s", mjml=f"<mjml><mj-body><mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>"))
    assert "insecure-link contents.en.mjml:1" in found
    assert not [each for each in found if each.startswith("unbalanced")]


def test_contrast_is_that_of_the_wcag() -> None:
    assert contrast("#000", "white") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)
    assert contrast("currentcolor", "#fff") is None


def test_every_rule_is_explained_in_the_guide() -> None:
    assert {rule for rule in RULES if f"`{rule}`" not in GUIDE} == set()


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"order": {"type": "string", "examples": ["A-1"]}, "url": {"type": "string", "examples": ["https://x.example/"]}},
    "required": ["order"],
}


def refused(content: Content, schema: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidContents) as caught:
        check_draft(VersionDraft(Channel.EMAIL, "en", {"en": content}, {}, schema), RENDERER)
    return [f"{violation.field}: {violation.description}" for violation in caught.value.violations]


def test_a_schema_that_fits_is_taken_and_adds_what_it_requires() -> None:
    schema = {**SCHEMA, "required": ["order", "url"]}
    text = Content(subject="{{ order }}", text="{% if url is defined %}{{ url }}{% endif %}")
    assert check_draft(VersionDraft(Channel.EMAIL, "en", {"en": text}, {}, schema), RENDERER).required_variables == ["order", "url"]


def test_faults_of_contents_catalogs_and_schema_are_said_together() -> None:
    english = Content(subject="{% trans %}Hello {{ name }}{% endtrans %}", text="x")
    contents = {"en": english, "pl": Content(subject="{{ a|nope }}", text="x")}
    draft = VersionDraft(Channel.EMAIL, "en", contents, {"de": "no catalogue"}, {"properties": {"name": {"type": "objekt"}}})
    with pytest.raises(InvalidContents) as caught:
        check_draft(draft, RENDERER)
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["contents.pl.subject", "catalogs.de", "variables_schema.properties.name.type"]


def test_a_schema_declares_each_variable_and_its_examples_render() -> None:
    assert refused(Content(subject="{{ ordre }}", text="t"), SCHEMA) == [
        "contents.en: uses 'ordre', which variables_schema does not declare"
    ]
    wrong = {**SCHEMA, "properties": {**SCHEMA["properties"], "order": {"type": "string", "examples": [5]}}}
    assert refused(GOOD, wrong) == ["variables_schema.examples.order: must be a string"]
    bad_url = {**SCHEMA, "properties": {**SCHEMA["properties"], "url": {"examples": ["javascript:x"]}}}
    assert refused(GOOD, bad_url)[0].startswith("contents.en.html: line 2: a URL attribute takes only http")
    assert refused(GOOD, {"type": "objekt"}) == ["variables_schema.type: is not JSON Schema (draft 2020-12)"]


@pytest.mark.parametrize(
    "odd", ["<![foo[bar]]>", "<![ >", "<![if !mso]>x<![endif]>", "<![", "<!", "</", "<a <b", "&#xd800;", "<p a=b=c \"'>"]
)
def test_odd_html_is_linted_all_the_same(odd: str) -> None:
    assert "image-without-alt contents.en.html:1" in rules(
        Content(subject="s", html=f'<img src="https://x.example/a.png" width="1">\n{odd}')
    )
