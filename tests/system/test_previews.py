"""What a preview shows is what the mail server gets, byte for byte: languages, time zones, catalogues, MJML and derived text parts."""

import asyncio
from typing import Any

import pytest

from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

PEOPLE = [
    ("en-GB", "Europe/London"),
    ("pl", "Europe/Warsaw"),
    ("ar-EG", "Africa/Cairo"),
    ("ja", "Asia/Tokyo"),
    ("pt-BR", "America/Sao_Paulo"),
]
VALUES = "{{ at|datetime }}, {{ at|date('full') }}, {{ total|currency('EUR') }}, {{ share|percent(1) }}, {{ names|and_list }}"
FORMS = "zero='#', one='# parcel', two='#', few='#', many='#', other='# parcels'"
GREETING = "{% trans %}Hello {{ name }}{% endtrans %}, {% trans n=n %}one parcel{% pluralize %}{{ n }} parcels{% endtrans %}"
POLISH = (
    'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=3; '
    'plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);\\n"\n\n'
    'msgid "Hello %(name)s"\nmsgstr "Cześć %(name)s"\n\n'
    'msgid "one parcel"\nmsgid_plural "%(n)s parcels"\nmsgstr[0] "jedna paczka"\nmsgstr[1] "%(n)s paczki"\nmsgstr[2] "%(n)s paczek"\n'
)
VARIABLES: dict[str, Any] = {
    "name": "Ada & <Bo> Žižka", "n": 3, "at": "2030-07-31T22:04:05Z", "total": 1234.5, "share": 0.256, "names": ["Ala", "Bo", "Cy"],
    "items": [{"name": "X", "url": "https://shop.example/x?a=1&b=2"}, {"name": "Ÿ", "url": "https://shop.example/y"}],
}  # fmt: skip
MJML = f"""<mjml><mj-body><mj-section><mj-column><mj-text>{GREETING}. {VALUES}</mj-text>
  {{% for item in items %}}<mj-button href="{{{{ item.url }}}}">{{{{ item.name }}}}</mj-button>{{% endfor %}}
</mj-column></mj-section></mj-body></mjml>"""
STYLED = f"<html><style>p{{color:red}}</style><p>{GREETING}</p>"
STYLED += "<table>{% for i in items %}<tr><td>{{ i.name }}</td></tr>{% endfor %}</table></html>"

CONTENTS: list[dict[str, str]] = [
    {"html": f"<p>{GREETING}</p><p>{VALUES}</p>"},
    {"text": f"{GREETING}\n\n{VALUES}\n  indented\ttab\n.\n..dots\nFrom the start"},
    {"mjml": MJML},
    {"html": STYLED},
    {
        "html": f"<p>{{{{ plural(n, {FORMS}) }}}}</p>",
        "text": f"{{{{ n is plural('few') }}}} {{{{ plural(n, {FORMS}) }}}}" + "long line " * 200,
    },
    {"html": "<p>" + "ä" * 3000 + "{{ name }}</p>", "text": "\u2028{{ name }}\u00a0é\n" * 50},
]


async def test_thirty_previews_are_what_the_mail_server_received(system: System) -> None:
    shown: list[tuple[dict[str, Any], str]] = []
    people = [
        await system.client.call("POST", "/v1/users", {"email": f"preview{number}@example.com", "locale": locale, "timezone": zone})
        for number, (locale, zone) in enumerate(PEOPLE)
    ]

    async def one(kind: int, number: int) -> None:
        name = f"preview-{kind}"
        locale, zone = PEOPLE[number]
        asked = {"locale": locale, "timezone": zone, "variables": VARIABLES}
        preview = await system.client.call("POST", f"/v1/templates/{name}:preview", asked)
        sent = await system.client.send(people[number]["id"], "email", name, VARIABLES)
        settled = await system.client.settled(sent, timeout_s=60)
        assert settled["status"] == "sent"
        chain = preview["locale_chain"]
        said = f"no text in {', '.join(chain[:-1])}; used {chain[-1]}" if chain[1:] else ""
        assert settled["timeline"][-1].get("detail", "") == said
        shown.append((preview, f"preview{number}@example.com"))

    for kind, content in enumerate(CONTENTS):
        await system.client.call("POST", "/v1/templates", {"name": f"preview-{kind}", "channel": "email"})
        made = {"contents": {"en": {"subject": f"{kind} {GREETING}", **content}}, "catalogs": {"pl": POLISH}, "publish": True}
        await system.client.call("POST", f"/v1/templates/preview-{kind}/versions", made)
        await asyncio.gather(*(one(kind, number) for number in range(len(PEOPLE))))

    assert len(shown) == 30
    by_subject = {(mail.recipients[0], str(mail.message["subject"])): mail.message for mail in system.smtp.mails}
    for preview, address in shown:
        content = preview["content"]
        message = by_subject[address, content["subject"]]
        for part, kind_of_part in (("html", "html"), ("text", "plain")):
            body = message.get_body((kind_of_part,))
            received = "" if body is None else body.get_payload(decode=True).decode()  # type: ignore[union-attr]  # bytes when it decodes
            assert received.replace("\r\n", "\n").removesuffix("\n") == content.get(part, "").removesuffix("\n"), (content["subject"], part)
    polish = next(preview for preview, address in shown if address == "preview1@example.com")
    assert polish["locale_chain"] == ["pl"]
    assert "Cześć Ada & <Bo> Žižka, 3 paczki" in polish["content"]["subject"]
    arabic = next(preview for preview, address in shown if address == "preview2@example.com")
    assert arabic["locale_chain"] == ["ar-EG", "ar", "en"]
