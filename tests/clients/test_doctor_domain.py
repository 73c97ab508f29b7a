"""`clarion doctor --domain` before a DNS server on loopback: each record that is missing or wrong is named with what to add."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from clarion_client.cli.sender_domain import check_domain
from tests.clients.terminal import Terminal
from tests.dns_server import DnsServer, open_dns_server

KEY = f"v=DKIM1; k=rsa; p={base64.b64encode(bytes(294)).decode()}"
SPF, DKIM, DMARC = "example.com", "google._domainkey.example.com", "_dmarc.example.com"
GOOD = {
    SPF: ["google-site-verification=1", "v=spf1 include:_spf.google.com ~all"],
    "_spf.google.com": ["v=spf1 ip4:192.0.2.0/24 ~all"],
    DKIM: [KEY],
    DMARC: ["v=DMARC1; p=reject; rua=mailto:dmarc@example.com"],
}


async def looked_up(
    monkeypatch: pytest.MonkeyPatch,
    texts: Mapping[str, Sequence[str]],
    *,
    selectors: Sequence[str] = (),
    change: Any = None,
    **environ: str,
) -> dict[str, tuple[bool, str, str]]:
    """What is said of each check, with these texts in DNS."""
    environ = {"CLARION_SMTP_FROM": "Ada <ada@example.com>", "CLARION_SMTP_HOST": "smtp-relay.gmail.com", **environ}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    said: dict[str, tuple[bool, str, str]] = {}

    def check(what: str, ok: bool, detail: str, step: str = "") -> None:
        said[what] = (ok, detail, step)

    async with open_dns_server(texts) as server:
        if change is not None:
            change(server)
        await asyncio.to_thread(check_domain, check, selectors, f"127.0.0.1:{server.port}")
    return said


async def test_a_domain_with_all_three_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = await looked_up(monkeypatch, GOOD)
    assert {what: ok for what, (ok, _, _) in said.items()} == {"spf": True, "dkim": True, "dmarc": True}
    assert said["dmarc"][1] == "_dmarc.example.com asks for reject"


async def test_where_there_is_nothing_the_records_to_add_are_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said = await looked_up(monkeypatch, {})
    assert not any(ok for ok, _, _ in said.values())
    assert 'add TXT at example.com: "v=spf1 include:_spf.google.com ~all"' in said["spf"][2]
    assert said["dkim"][1] == "no key at google._domainkey.example.com"
    assert said["dmarc"][2] == 'add TXT at _dmarc.example.com: "v=DMARC1; p=none; rua=mailto:dmarc@example.com"'


MANY = {f"i{number}.example": ["v=spf1 a mx ~all"] for number in range(4)}


@pytest.mark.parametrize(
    ("changed", "what", "said"),
    [
        ({SPF: ["v=spf1 include:_spf.google.com ~all", "v=spf1 -all"]}, "spf", "2 records"),
        ({SPF: ["v=spf1 include:_spf.google.com +all"]}, "spf", "everyone may send"),
        ({SPF: ["v=spf1 ip4:192.0.2.1 -all"]}, "spf", "your provider is not in it"),
        ({SPF: ["v=spf1 include:_spf.google.com"]}, "spf", "says nothing about other senders"),
        ({SPF: ["v=spf1x include:_spf.google.com -all"]}, "spf", "no record"),
        ({SPF: [f"v=spf1 include:_spf.google.com {' '.join(f'include:{name}' for name in MANY)} -all"], **MANY}, "spf", "13 look-ups"),
        ({DKIM: ["v=DKIM1; p="]}, "dkim", "revoked"),
        ({DKIM: [KEY[:120]]}, "dkim", "part of it is missing"),
        ({DKIM: [KEY.replace("p=", "p=(")]}, "dkim", "no Base64"),
        ({DKIM: [KEY.replace("DKIM1", "DKIM2")]}, "dkim", "not DKIM1"),
        ({DMARC: ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}, "dmarc", "2 records"),
        ({DMARC: ["v=DMARC1; p=block"]}, "dmarc", "none, quarantine, reject"),
    ],
)
async def test_a_record_that_receivers_would_not_heed_is_named(
    monkeypatch: pytest.MonkeyPatch, changed: Mapping[str, Sequence[str]], what: str, said: str
) -> None:
    found = await looked_up(monkeypatch, {**GOOD, **changed})
    assert [name for name, (ok, _, _) in found.items() if not ok] == [what]
    assert said in found[what][1]
    assert found[what][2]


async def test_includes_in_a_circle_end(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await looked_up(monkeypatch, {**GOOD, "_spf.google.com": ["v=spf1 include:example.com include:_spf.google.com ~all"]})
    assert found["spf"][0]


@pytest.mark.parametrize(("record", "policy"), [("v=DMARC1; p=reject", "reject"), ("v=DMARC1;p=reject; sp=none", "none")])
async def test_a_domain_without_dmarc_of_its_own_has_that_of_the_one_above(
    monkeypatch: pytest.MonkeyPatch, record: str, policy: str
) -> None:
    texts = {"_dmarc.example.com": [record]}
    found = await looked_up(monkeypatch, texts, CLARION_SMTP_FROM="no-reply@news.example.com")
    assert found["dmarc"][0]
    assert found["dmarc"][1].startswith(f"_dmarc.example.com asks for {policy}")
    assert "no reports" in found["dmarc"][1]


async def test_spf_is_looked_up_where_mails_come_back_to(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await looked_up(monkeypatch, GOOD, CLARION_BOUNCE_DOMAIN="bounces.example.com")
    assert found["spf"][1] == "no record at bounces.example.com"


async def test_providers_whose_return_path_is_their_own_need_no_spf(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await looked_up(monkeypatch, {"s2._domainkey.example.com": [KEY]}, CLARION_SMTP_HOST="smtp.sendgrid.net")
    assert (found["spf"][0], found["dkim"]) == (True, (True, "s2._domainkey.example.com", ""))


async def test_a_selector_that_can_not_be_known_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = {"CLARION_SMTP_HOST": "relay.example.com"}
    assert "--dkim-selector" in (await looked_up(monkeypatch, GOOD, **relay))["dkim"][2]
    assert (await looked_up(monkeypatch, GOOD, selectors=["mine", "google"], **relay))["dkim"][0]


@pytest.mark.parametrize("fault", ["broken", "silent"])
async def test_where_dns_does_not_answer_nothing_is_said_of_the_records(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def fail(server: DnsServer) -> None:
        setattr(server, fault, True)

    found = await looked_up(monkeypatch, GOOD, change=fail)
    assert set(found) == {"dns"}
    assert "--dns" in found["dns"][2]


@pytest.mark.system
async def test_the_command_asks_the_server_that_it_is_given(tmp_path: Path) -> None:
    environ = {"CLARION_SMTP_FROM": "ada@example.com", "CLARION_SMTP_HOST": "relay.example.com"}
    async with open_dns_server({**GOOD, SPF: ["v=spf1 ip4:192.0.2.1 -all"]}) as server:
        ask = ("doctor", "--domain", "--dns", f"127.0.0.1:{server.port}", "--json")
        done = await Terminal(environ, tmp_path).run(*ask, "--dkim-selector", "none", "--dkim-selector", "google")
        refused = await Terminal(environ, tmp_path).run(*ask)
    assert done.code == 0, done.said
    assert [line["check"] for line in map(json.loads, done.said.splitlines())] == ["spf", "dkim", "dmarc"]
    assert refused.code == 1
