"""What authors may send by mistake or on purpose, through five processes: each is taken whole or refused by field, and nothing breaks."""

import json
from typing import Any

import pytest
import pytest_asyncio

from devstack.client import RefusedError
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


def doubling(times: int) -> dict[str, Any]:
    """A schema whose check takes twice as long with each of the times."""
    twice = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(times)}
    return {"$defs": {**twice, f"d{times}": {"type": "object"}}, "$ref": "#/$defs/d0"}


TEXT = {"subject": "s", "text": "{% trans %}Hello {{ name }}{% endtrans %}"}
PO = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=2; plural=n != 1;\\n"\n\n'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def template(system: System) -> str:
    await system.client.call("POST", "/v1/templates", {"name": "bad-input", "channel": "email"})
    return "/v1/templates/bad-input"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contents": {"en": TEXT}, "catalogs": {"de": PO + 'msgid "Hello %(name)s"\nmsgstr "a\0b"\n'}}, "catalogs.de"),
        ({"contents": {"en": TEXT}, "catalogs": {"de": "\0"}}, "catalogs.de"),
        ({"contents": {"en": TEXT}, "catalogs": {"d\0e": PO}}, "catalogs"),
        ({"contents": {"en": TEXT}, "catalogs": {"en": PO}}, "catalogs.en"),
        ({"contents": {"en": TEXT}, "variables_schema": {"description": "a\0b", "properties": {"name": {}}}}, "variables_schema"),
        ({"contents": {"en": TEXT}, "variables_schema": {"properties": {"na\0me": {}, "name": {}}}}, "variables_schema"),
        ({"contents": {"en": TEXT}, "variables_schema": {"properties": {"x" * 70_000: {}}}}, "variables_schema"),
        ({"contents": {"en": TEXT}, "variables_schema": {"$ref": "http://127.0.0.1/x"}}, "variables_schema.$ref"),
        (
            {"contents": {"en": TEXT}, "variables_schema": {"properties": {"name": {"$ref": "#/properties/name"}}}},
            "variables_schema.properties.name.$ref",
        ),
        ({"contents": {"en": TEXT}, "variables_schema": {"properties": {"name": {}}, **doubling(40)}}, "variables_schema"),
        ({"contents": {"en": {"subject": "s", "mjml": "<mjml>\0</mjml>"}}}, "contents.en.mjml"),
        ({"contents": {"en": {"subject": "s", "mjml": "<mjml>" + "<mj-body>" * 20_000}}}, "contents.en.mjml"),
        (
            {"contents": {"en": {"subject": "s", "mjml": "<mjml><mj-body>" + "<mj-section>" * 2000 + "</mj-body></mjml>"}}},
            "contents.en.mjml",
        ),
        ({"contents": {"en": {"subject": "s", "html": "<" * 100_000}}}, "contents.en.html"),
        ({"contents": {"en": {"subject": "s", "html": "<!--x>" * 30_000}}}, "contents.en.html"),
        ({"contents": {"en": {"subject": "s", "html": "{% include 'none' %}"}}}, "contents.en.html"),
        ({"contents": {"en": {"subject": "s", "html": "{% extends 'a\0b' %}"}}}, "contents.en.html"),
        ({"contents": {"en": {"subject": "{{ plural(n, one='a') }}", "text": "t"}}}, "contents.en.subject"),
        ({"contents": {"en": {"subject": "{% trans %}a{% trans %}b{% endtrans %}", "text": "t"}}}, "contents.en.subject"),
        ({"contents": {"en": {"subject": "{% trans %}{{ a.b }}{% endtrans %}", "text": "t"}}}, "contents.en.subject"),
        ({"contents": {"en": {"subject": "{% trans a=x %}{{ a }}{% pluralize b %}{% endtrans %}", "text": "t"}}}, "contents.en.subject"),
        ({"contents": {"en": {"subject": "{{ x is __class__ }}", "text": "t"}}}, "contents.en.subject"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_version_is_refused_by_field(system: System, template: str, body: dict[str, Any], field: str) -> None:
    with pytest.raises(RefusedError) as caught:
        await system.client.call("POST", f"{template}/versions", body)
    assert caught.value.status == 400, caught.value
    assert f'"{field}' in json.dumps(caught.value.body), caught.value


@pytest.mark.parametrize(
    "html",
    [
        "<style>" + "a{b:c}" * 30_000 + "</style>" + "<a>" * 1000,
        "<div>" * 30_000 + "<style>div{color:red}</style>",
        "<style>" + ".a div{color:red}" * 3000 + "</style>" + "<div class=a>x</div>" * 4000,
        "<style>p{color:red}</style>" + "<style>{" * 20_000,
        "<![CDATA[>" * 10_000,
    ],
    ids=["rules", "deep", "both", "styles", "cdata"],
)
async def test_html_that_no_mail_has_holds_no_other_author_up(system: System, template: str, html: str) -> None:
    await system.client.call("POST", f"{template}/versions", {"contents": {"en": {"subject": "s", "html": html}}})
    assert (await system.client.call("POST", "/v1/templates:lint", {"channel": "email", "contents": {"en": TEXT}}))["locales"]


async def test_a_schema_keeps_its_numbers_and_nulls(system: System, template: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": ["string", "null"], "minLength": 2, "default": None}, "n": {"minimum": 1.5, "maximum": 3}},
        "additionalProperties": False,
    }
    made = await system.client.call("POST", f"{template}/versions", {"contents": {"en": TEXT}, "variables_schema": schema, "publish": True})
    assert made["variables_schema"] == schema
    user = await system.client.create_user("schema@example.com")
    with pytest.raises(RefusedError, match="must have at least 2 characters"):
        await system.client.send(user, "email", "bad-input", {"name": "A"})
    with pytest.raises(RefusedError, match=r"variables\.n: must be at most 3"):
        await system.client.send(user, "email", "bad-input", {"name": "Ada", "n": 4})


async def test_a_text_that_reads_like_the_escape_of_a_nul_is_a_text(system: System, template: str) -> None:
    schema = {"type": "object", "description": "no \\u0000 here", "properties": {"name": {"pattern": "^[^\\u0000]*$"}}}
    catalog = PO + 'msgid "Hello %(name)s"\nmsgstr "\\\\u0000 %(name)s"\n'
    made = await system.client.call(
        "POST", f"{template}/versions", {"contents": {"en": TEXT}, "variables_schema": schema, "catalogs": {"de": catalog}}
    )
    assert made["variables_schema"] == schema
    kept = await system.client.call("GET", f"{template}/versions/{made['version']}/catalogs/de")
    assert "u0000 %(name)s" in json.dumps(kept)


async def test_a_partial_is_taken_or_refused_by_field(system: System) -> None:
    for source, why in (("{% block a %}", "is not closed"), ("a\0b", "NUL"), ("", "required")):
        with pytest.raises(RefusedError, match=why):
            await system.client.call("PUT", "/v1/partials/bad", {"source": source})
    with pytest.raises(RefusedError, match="lower-case letters"):
        await system.client.call("PUT", "/v1/partials/Bad%20Name", {"source": "x"})
    with pytest.raises(RefusedError, match="404"):
        await system.client.call("GET", "/v1/partials/none")
