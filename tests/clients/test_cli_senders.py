"""Senders, their domains and files of mails by the command line, against the system as it runs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from tests.clients.terminal import Terminal
from tests.clients.test_cli import a_template
from tests.dns_server import DnsServer, open_dns_server
from tests.fixtures_postgres import StackFolder

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


class Running(NamedTuple):
    """The system, and the DNS that it asks."""

    stack: Stack
    dns: DnsServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(stack_folder: StackFolder) -> AsyncIterator[Running]:
    async with open_dns_server() as dns:
        environ = {"CLARION_DNS_SERVERS": f"127.0.0.1:{dns.port}"}
        folder = stack_folder("cli")
        async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ=environ) as stack:
            yield Running(stack, dns)


@pytest.fixture
def terminal(running: Running, tmp_path: Path) -> Terminal:
    return Terminal({"CLARION_URL": running.stack.url, "CLARION_API_KEY": API_KEY}, tmp_path)


async def test_a_sender_is_set_up_from_nothing(running: Running, terminal: Terminal, tmp_path: Path) -> None:
    refused = await terminal.run("senders", "set", "billing", "--email", "billing@cli.example")
    assert (refused.code, "sender-domains/cli.example" in refused.said.replace("\n", "")) == (1, True), refused.said
    added = await terminal.run("senders", "domains", "add", "cli.example")
    assert ("not verified" in added.said, "_domainkey.cli.example" in added.said.replace("\n", "")) == (True, True), added.said
    assert (await terminal.run("senders", "domains", "verify", "cli.example")).code == 1
    record = json.loads((await terminal.run("senders", "domains", "add", "cli.example", "--json")).said)["record"]
    running.dns.texts[record["name"]] = [record["value"]]
    verified = await terminal.run("senders", "domains", "verify", "cli.example")
    assert (verified.code, "is verified" in verified.said) == (0, True), verified.said
    assert "cli.example" in (await terminal.run("senders", "domains", "list")).said
    made = await terminal.run("senders", "set", "billing", "--email", "billing@cli.example", "--display-name", "Acme", "--default")
    assert made.code == 0, made.said
    assert "billing@cli.example" in (await terminal.run("senders", "list")).said
    await a_template(terminal, tmp_path, "cli-sender")
    meta = tmp_path / "templates" / "cli-sender" / "meta.yaml"
    meta.write_text(meta.read_text() + "sender: billing\n")
    assert "sender" in (await terminal.run("templates", "diff", "cli-sender")).said
    assert (await terminal.run("templates", "push", "cli-sender")).code == 0
    assert (await terminal.run("templates", "diff", "cli-sender")).code == 0
    in_use = await terminal.run("senders", "delete", "billing")
    assert (in_use.code, "cli-sender" in in_use.said) == (1, True), in_use.said
    meta.write_text(meta.read_text().replace("sender: billing\n", ""))
    assert (await terminal.run("templates", "push", "cli-sender")).code == 0
    assert (await terminal.run("senders", "delete", "billing")).code == 0
    assert (await terminal.run("senders", "domains", "delete", "cli.example")).code == 0


async def test_files_are_attached(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-files")
    small, large = tmp_path / "invoice.pdf", tmp_path / "terms.pdf"
    small.write_bytes(b"%PDF")
    large.write_bytes(b"%PDF" + bytes(700_000))
    sent = await terminal.run(
        "send", "cli-files", "--to", "ada@example.com", "--var", "name=Ada", "--attach", str(small), "--attach", str(large), "--watch"
    )
    assert sent.code == 0, sent.said
    missing = await terminal.run("send", "cli-files", "--to", "ada@example.com", "--var", "name=Ada", "--attach", "none.pdf")
    assert (missing.code, "none.pdf" in missing.said) == (2, True), missing.said


async def test_a_domains_key_is_replaced(running: Running, terminal: Terminal) -> None:
    record = json.loads((await terminal.run("senders", "domains", "add", "rotate.example", "--json")).said)["record"]
    running.dns.texts[record["name"]] = [record["value"]]
    assert (await terminal.run("senders", "domains", "verify", "rotate.example")).code == 0
    begun = await terminal.run("senders", "domains", "rotate", "rotate.example")
    assert ("add to DNS" in begun.said, f"leave {record['name']}" in begun.said.replace("\n", " ")) == (True, True), begun.said
    assert (await terminal.run("senders", "domains", "verify", "rotate.example")).code == 1
    following = json.loads((await terminal.run("senders", "domains", "rotate", "rotate.example", "--json")).said)["next_record"]
    running.dns.texts[following["name"]] = [following["value"]]
    done = await terminal.run("senders", "domains", "verify", "rotate.example")
    assert (done.code, record["name"] in done.said.replace("\n", "")) == (0, True), done.said
