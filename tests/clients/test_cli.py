"""A session with the command line in a pseudo-terminal, against the system as it runs."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from clarion_client import webhooks
from devstack.processes import API_KEY
from devstack.smtp import replies
from devstack.stack import ANY_PORTS, Stack, open_stack
from mesh.testing import free_port
from tests.clients.terminal import Terminal
from tests.fixtures_postgres import StackFolder
from tests.waiting import until_answered

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    async with open_stack(stack_folder("cli"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest.fixture
def terminal(stack: Stack, tmp_path: Path) -> Terminal:
    return Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY}, tmp_path)


async def a_person(terminal: Terminal, email: str) -> str:
    made = await terminal.run("users", "create", email, "--name", "Ada", "--json")
    assert made.code == 0, made.said
    return str(json.loads(made.said)["id"])


async def a_template(terminal: Terminal, folder: Path, name: str, subject: str = "Hello {{ name }}") -> None:
    files = folder / "templates" / name
    files.mkdir(parents=True, exist_ok=True)
    (files / "meta.yaml").write_text("channel: email\ndescription: a greeting\n")
    (files / "en.subject.txt").write_text(subject)
    (files / "en.txt").write_text("Hello {{ name }}!")
    pushed = await terminal.run("templates", "push", name)
    assert pushed.code == 0, pushed.said


async def test_login_keeps_a_profile_that_others_can_not_read(stack: Stack, tmp_path: Path) -> None:
    terminal = Terminal({}, tmp_path)
    lost = await terminal.run("users", "list")
    assert (lost.code, "clarion login" in lost.said) == (2, True)
    kept = await terminal.run("login", "--url", stack.url, answers=[("API key:", API_KEY)])
    assert kept.code == 0, kept.said
    config = tmp_path / ".config" / "clarion" / "config.toml"
    assert config.stat().st_mode & 0o077 == 0
    assert (await terminal.run("users", "list")).code == 0
    assert API_KEY not in kept.said + (await terminal.run("profiles", "list")).said
    assert (await terminal.run("profiles", "use", "nowhere")).code == 2


async def test_sending_watching_listing(terminal: Terminal, tmp_path: Path) -> None:
    user = await a_person(terminal, "send@example.com")
    await a_template(terminal, tmp_path, "cli-send")
    sent = await terminal.run("send", "cli-send", "--user", "send@example.com", "--var", "name=Ada", "--metadata", "order=17", "--watch")
    assert sent.code == 0, sent.said
    assert [word for word in ("pending", "sent") if word in sent.said] == ["pending", "sent"]
    listed = await terminal.run("notifications", "list", "--user", user, "--json")
    (one,) = map(json.loads, listed.said.splitlines())
    assert one["status"] == "sent"
    narrow = ("--metadata", "order=17", "--correlation-id", one["correlation_id"], "--updated-after", one["create_time"])
    labelled = await terminal.run("notifications", "list", *narrow, "--json")
    assert json.loads(labelled.said)["id"] == one["id"]
    assert "none" in (await terminal.run("notifications", "list", "--metadata", "order=18")).said
    shown = await terminal.run("notifications", "get", one["id"])
    assert "cli-send" in shown.said
    far = await terminal.run("send", "cli-send", "-u", user, "-v", "name=A", "--at", "2999-01-01", "--json")
    assert (far.code, json.loads(far.said)["violations"][0]["field"]) == (1, "send_at")


async def test_a_file_is_sent_with_errors_by_line_and_nothing_twice(terminal: Terminal, tmp_path: Path) -> None:
    user = await a_person(terminal, "file@example.com")
    await a_template(terminal, tmp_path, "cli-file")
    good = json.dumps({"user_id": user, "template": "cli-file", "channel": "email", "variables": {"name": "Ada"}})
    (tmp_path / "items.ndjson").write_text(
        "\n".join([good, "no json", "", json.dumps({"user_id": user, "template": "none"}), *[good] * 600])
    )
    first = await terminal.run("send", "--from-file", "items.ndjson", "--key", "campaign-1")
    assert first.code == 1
    assert "601 accepted, 2 failed" in first.said
    assert ["line 2: is no JSON" in first.said, "line 4: template" in first.said] == [True, True], first.said
    again = await terminal.run("send", "-f", "items.ndjson", "--key", "campaign-1", "--json")
    *rows, total = map(json.loads, again.said.splitlines())
    assert (total, rows[-1]["line"]) == ({"accepted": 601, "failed": 2}, 604)
    listed = await terminal.run("notifications", "list", "--user", user, "--limit", "0", "--json")
    assert len(listed.said.splitlines()) == 601
    assert (await terminal.run("send", "-f", "nowhere.ndjson")).code == 2


async def test_no_line_of_a_file_stops_those_after_it(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-lines")
    good = json.dumps({"to": {"email": "lines@example.com"}, "template": "cli-lines", "channel": "email", "variables": {"name": "]" * 200}})
    lines = [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"x": "\\ud800"}', b'{"variables": NaN}', b"\0", b"1" * 6000, good.encode()]
    (tmp_path / "bad.ndjson").write_bytes(b"\n".join(lines))
    sent = await terminal.run("send", "--from-file", "bad.ndjson")
    assert (sent.code, "1 accepted, 7 failed" in sent.said, "Traceback" in sent.said) == (1, True, False), sent.said
    assert "line 1: is no JSON: it is nested more than 100 deep" in sent.said
    deep = await terminal.run("api", "POST", "/v1/users", "-d", "[" * 50_000)
    assert (deep.code, "100 deep" in deep.said) == (2, True), deep.said


async def test_every_change_can_be_followed(terminal: Terminal, tmp_path: Path) -> None:
    user = await a_person(terminal, "tail@example.com")
    await a_template(terminal, tmp_path, "cli-tail")
    assert (await terminal.run("send", "cli-tail", "--user", user, "--var", "name=Ada", "--watch")).code == 0
    shown = await terminal.run("tail", "--from", "0", "--user", "tail@example.com", "--limit", "2")
    assert (shown.code, [line.split()[1] for line in shown.said.splitlines()]) == (0, ["pending", "queued"])
    sent = await terminal.run("tail", "--from", "0", "--template", "cli-tail", "--status", "sent", "--limit", "1", "--json")
    assert json.loads(sent.said)["change"]["user_id"] == user
    wrong = await terminal.run("tail", "--from", "yesterday")
    assert (wrong.code, "cursor" in wrong.said) == (1, True)


async def test_webhooks_are_made_tried_listened_to_and_removed(terminal: Terminal, tmp_path: Path) -> None:
    got: list[bytes] = []

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        webhooks.verify(body, request.headers, secret)
        got.append(body)
        return web.Response(text="thanks")

    application = web.Application()
    application.router.add_post("/hook", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        user = await a_person(terminal, "hook@example.com")
        narrow = ("--status", "sent", "--user", "hook@example.com", "--channel", "email")
        made = json.loads((await terminal.run("webhooks", "create", url, *narrow, "--json")).said)
        endpoint, secret = made["webhook_endpoint"]["id"], made["secret"]
        shown = json.loads((await terminal.run("webhooks", "get", endpoint, "--json")).said)
        assert (shown["user_id"], shown["statuses"], shown["channel"]) == (user, ["sent"], "email")
        rotated = json.loads((await terminal.run("webhooks", "rotate", endpoint, "--json")).said)
        assert rotated["secret"] not in {"", secret}
        assert (await terminal.run("webhooks", "trigger", endpoint)).code == 0
        await a_template(terminal, tmp_path, "cli-hook")
        assert (await terminal.run("send", "cli-hook", "--user", user, "--var", "name=Ada", "--watch")).code == 0

        async def is_delivered() -> bool:
            shown = (await terminal.run("webhooks", "deliveries", endpoint)).said
            return "delivered" in shown and "sent" in shown

        await until_answered(is_delivered)
        assert (await terminal.run("webhooks", "replay", endpoint, "--state", "delivered")).said.strip() == "1 are tried again"
        assert "disabled" in (await terminal.run("webhooks", "disable", endpoint)).said
        secret = webhooks.new_secret()
        listening = asyncio.create_task(terminal.run("webhooks", "listen", url, "--secret", secret, "--status", "sent", "--limit", "1"))
        while not listening.done():
            assert (await terminal.run("send", "cli-hook", "--user", user, "--var", "name=Ada")).code == 0
        listened = await listening
        assert (listened.code, listened.said.split()[2]) == (0, "200")
        assert (await terminal.run("webhooks", "delete", endpoint)).code == 0
        assert "none" in (await terminal.run("webhooks", "list")).said
    finally:
        await runner.cleanup()
    assert {json.loads(body)["type"] for body in got} >= {"webhook.test", "notification.sent"}


async def test_errors_have_a_next_step_and_an_exit_code(terminal: Terminal, stack: Stack, tmp_path: Path) -> None:
    missing = await terminal.run("notifications", "get", "01890000-0000-7000-8000-000000000001")
    assert (missing.code, "no such notification" in missing.said) == (5, True)
    refused = await terminal.run("send", "no-such-template", "--user", "x")
    assert refused.code == 1
    assert "template" in refused.said or "user_id" in refused.said
    assert (await terminal.run("send", "t", "--user", "x", "--var", "nonsense")).code == 2
    assert (await terminal.run("no-such-command")).code == 2
    away = await Terminal({"CLARION_URL": f"http://127.0.0.1:{free_port()}", "CLARION_API_KEY": API_KEY}, tmp_path).run("users", "list")
    assert (away.code, "clarion doctor" in away.said) == (3, True)
    for arguments in (("users", "list"), ("login", "--api-key", API_KEY)):
        nowhere = await Terminal({"CLARION_URL": "localhost", "CLARION_API_KEY": API_KEY}, tmp_path).run(*arguments)
        assert (nowhere.code, "is no address of a server" in nowhere.said, "Traceback" in nowhere.said) == (2, True, False)
    stranger = await Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": "clk_live_x"}, tmp_path).run("users", "list", "--json")
    assert stranger.code == 4
    assert json.loads(stranger.said)["exit_code"] == 4


async def test_people_are_imported_with_errors_by_line_and_exported(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,name,locale\nann@example.org,Ann,en\nno address,Bob,en\nchi@example.org,Chi,zh-TW\n")
    first = await terminal.run("users", "import", "people.csv")
    assert first.code == 1
    assert "2 created" in first.said
    assert "line 3" in first.said
    again = await terminal.run("users", "import", "people.csv", "--json")
    assert json.loads(again.said.splitlines()[-1]) == {"created": 0, "existing": 2, "written": 0, "failed": 1}
    assert (await terminal.run("users", "export", "all.csv")).code == 0
    assert "ann@example.org,Ann,en" in (tmp_path / "all.csv").read_text()
    assert "ann@example.org" in (await terminal.run("users", "get", "ann@example.org")).said


async def test_an_export_holds_no_formulas_and_is_imported_as_it_was(terminal: Terminal, tmp_path: Path) -> None:
    """Or a name that anyone may set runs formulas in the spreadsheet of the one who opens the file."""
    names = {"f-1": '=HYPERLINK("https://evil.example")', "f-2": "@SUM(1)", "f-3": "'=1", "f-4": "O'Neil - Sons"}
    for own, name in names.items():
        made = await terminal.run("api", "PATCH", f"/v1/users/{own}?allow_missing=true", "-d", json.dumps({"name": name}))
        assert made.code == 0, made.said
    assert (await terminal.run("users", "export", "all.csv")).code == 0
    text = (tmp_path / "all.csv").read_text()
    assert [line for line in csv.reader(text.splitlines()) if any(cell[:1] in "=+-@" and cell for cell in line)] == []
    assert all(f",{cell}," in text for cell in ("'@SUM(1)", "''=1", "O'Neil - Sons"))
    assert (await terminal.run("users", "import", "all.csv")).code == 0
    assert (await terminal.run("users", "export", "raw.csv", "--raw")).code == 0
    written = {row["external_id"]: row["name"] for row in csv.DictReader((tmp_path / "raw.csv").read_text().splitlines())}
    assert {own: written[own] for own in names} == names


async def test_people_with_own_ids_are_brought_up_to_date(terminal: Terminal, tmp_path: Path) -> None:
    for name in ("Dea", "Dea L."):
        (tmp_path / "own.csv").write_text(f"external_id,email,name\ncrm-88,dea@example.org,{name}\n")
        made = await terminal.run("users", "import", "own.csv")
        assert (made.code, "1 written" in made.said) == (0, True), made.said
        assert name in (await terminal.run("users", "get", "crm-88")).said


async def test_what_spreadsheets_write_is_imported(terminal: Terminal, tmp_path: Path) -> None:
    """A byte order mark, semicolons, headings in upper case; what is no such file is refused in one line."""
    (tmp_path / "sheet.csv").write_bytes("\ufeffEmail;Name\r\nzoe@example.org;Zoë\r\n".encode())
    made = await terminal.run("users", "import", "sheet.csv")
    assert (made.code, "1 created" in made.said) == (0, True), made.said
    (tmp_path / "wide.csv").write_bytes(b"\xff\xfee\0m\0")
    (tmp_path / "open.csv").write_text('email,name\nopen@example.org,"Open\n')
    for name, said in (
        ("wide.csv", "is not in UTF-8"),
        ("none.csv", "none.csv: No such file"),
        ("open.csv", "open.csv: line 2: unexpected end"),
    ):
        refused = await terminal.run("users", "import", name)
        assert (refused.code, said in refused.said) == (2, True), refused.said
    (tmp_path / "surplus.csv").write_text(f"email,name\nsmith@example.org,Smith, John\nlong@example.org,{'x' * 200_000}\n")
    partly = await terminal.run("users", "import", "surplus.csv")
    assert (partly.code, "line 2: has more values" in partly.said, "line 3: name: must have at most" in partly.said) == (1, True, True)
    nowhere = await terminal.run("users", "export", "no-folder/all.csv")
    assert (nowhere.code, "No such file" in nowhere.said) == (2, True)


async def test_attributes_come_with_a_table_and_change_one_by_one(terminal: Terminal, tmp_path: Path) -> None:
    rows = ["external_id,name,attributes.Plan,attributes.seats,attributes", 'at-1,Ada,pro,5,"{""vip"": true}"', "at-2,Bo,,,[1]"]
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    made = await terminal.run("users", "import", "people.csv")
    assert (made.code, "1 written" in made.said, "line 3: attributes: must be a JSON object" in made.said) == (1, True, True), made.said
    await terminal.run("users", "set", "at-1", "seats=6", "vip=", 'tags=["a"]')
    user = json.loads((await terminal.run("users", "get", "at-1", "--json")).said)
    assert user["attributes"] == {"Plan": "pro", "seats": 6, "tags": ["a"]}
    assert (await terminal.run("users", "export", "all.csv")).code == 0
    assert (await terminal.run("users", "import", "all.csv")).code == 0
    assert json.loads((await terminal.run("users", "get", "at-1", "--json")).said)["attributes"] == user["attributes"]


async def test_an_own_id_may_look_like_an_address(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("external_id,name\nfay@shop.example,Fay\nurn|fay@shop,Fay Two\n")
    assert (await terminal.run("users", "import", "own.csv")).code == 0
    for own, name in (("fay@shop.example", "Fay"), ("urn|fay@shop", "Fay Two")):
        assert name in (await terminal.run("users", "get", own)).said
    unknown = await terminal.run("users", "get", "no-one@example.org")
    assert (unknown.code, "there is no user with this id" in unknown.said) == (5, True)


async def test_a_table_in_a_pipe_is_not_cut(terminal: Terminal) -> None:
    user = await a_person(terminal, f"{'long' * 15}@{'example' * 8}.example.com")
    piped = await terminal.piped("users", "list", "--limit", "1")
    assert (piped.code, user in piped.said, "…" in piped.said) == (0, True, False), piped.said


async def test_a_folder_of_templates_is_pushed_changed_diffed_and_pulled(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-folder")
    assert (await terminal.run("templates", "diff", "cli-folder")).code == 0
    (tmp_path / "templates" / "cli-folder" / "en.subject.txt").write_text("Hi {{ name }}")
    changed = await terminal.run("templates", "diff", "cli-folder")
    assert changed.code == 1
    assert "+Hi {{ name }}" in changed.said
    assert "would be changed" in (await terminal.run("templates", "push", "--dry-run", "cli-folder")).said
    assert "version 2 published" in (await terminal.run("templates", "push", "cli-folder")).said
    assert (await terminal.run("templates", "publish", "cli-folder", "1")).code == 0
    assert (await terminal.run("templates", "pull", "cli-folder")).code == 0
    assert (tmp_path / "templates" / "cli-folder" / "en.subject.txt").read_text() == "Hello {{ name }}"
    preview = await terminal.run("templates", "preview", "cli-folder", "--variables", '{"name": "Ada"}', "--json")
    assert json.loads(preview.said)["content"]["subject"] == "Hello Ada"


async def test_a_template_in_mjml_is_translated_with_a_po_file(terminal: Terminal, tmp_path: Path) -> None:
    files = tmp_path / "templates" / "cli-po"
    files.mkdir(parents=True)
    (files / "meta.yaml").write_text("channel: email\n")
    (files / "en.subject.txt").write_text("{% trans n=n %}One parcel{% pluralize %}{{ n }} parcels{% endtrans %}")
    (files / "en.mjml").write_text(
        "<mjml><mj-body><mj-section><mj-column><mj-text>{% trans %}Hello {{ name }}{% endtrans %}, {{ at|time }}</mj-text></mj-column>"
        "</mj-section></mj-body></mjml>"
    )
    assert (await terminal.run("templates", "push", "cli-po")).code == 0
    written = await terminal.run("templates", "catalog", "cli-po", "pl_PL")
    assert "0 of 2 texts are translated" in written.said.replace("\n", " "), written.said
    catalog = files / "pl-PL.po"
    lines = catalog.read_text().replace('msgid "Hello %(name)s"\nmsgstr ""', 'msgid "Hello %(name)s"\nmsgstr "Cześć %(name)s"')
    for index, form in enumerate(("Jedna paczka", "%(n)s paczki", "%(n)s paczek")):
        lines = lines.replace(f'msgstr[{index}] ""', f'msgstr[{index}] "{form}"')
    catalog.write_text(lines)
    changed = await terminal.run("templates", "diff", "cli-po")
    assert (changed.code, "pl-PL.po" in changed.said) == (1, True), changed.said
    assert (await terminal.run("templates", "push", "cli-po")).code == 0
    assert (await terminal.run("templates", "diff", "cli-po")).code == 0
    variables = '{"name": "Ada", "n": 3, "at": "2030-01-31T15:04:05Z"}'
    preview = await terminal.run(
        "templates", "preview", "cli-po", "--locale", "pl", "--timezone", "Asia/Tokyo", "--variables", variables, "--json"
    )
    content = json.loads(preview.said)["content"]
    assert (content["subject"], content["text"]) == ("3 paczki", "Cześć Ada, 00:04")
    assert '<html lang="pl-PL"' in content["html"]
    catalog.unlink()
    assert (await terminal.run("templates", "pull", "cli-po")).code == 0
    assert catalog.read_text() == lines


async def test_files_are_linted_without_being_pushed(terminal: Terminal, tmp_path: Path) -> None:
    files = tmp_path / "templates" / "cli-lint"
    files.mkdir(parents=True)
    (files / "meta.yaml").write_text("channel: email\n")
    (files / "en.subject.txt").write_text("Order {{ order }}")
    (files / "en.html").write_text('<p>{{ order }}</p>\n<img src="http://x.example/a.png" width="1">')
    schema = {"type": "object", "properties": {"order": {"type": "string", "pattern": "^A-", "maxLength": 9, "examples": ["A-1"]}}}
    (files / "variables.schema.json").write_text(json.dumps(schema))
    found = await terminal.run("templates", "lint", "cli-lint")
    assert (found.code, "image-without-alt" in found.said, "0 refused, 2 findings" in found.said) == (0, True, True), found.said
    assert (await terminal.run("templates", "lint", "cli-lint", "--strict")).code == 1
    (files / "en.txt").write_text("{{ order|uper }}")
    refused = await terminal.run("templates", "lint", "cli-lint")
    assert (refused.code, "did you mean 'upper'" in refused.said.replace("\n", " ")) == (1, True), refused.said
    (files / "en.txt").write_text("{{ order }}")
    assert (await terminal.run("templates", "push", "cli-lint")).code == 0
    assert (await terminal.run("templates", "diff", "cli-lint")).code == 0
    user = await a_person(terminal, "lint@example.com")
    sent = await terminal.run("send", "cli-lint", "--user", user, "--var", "order=B-1")
    assert (sent.code, "must match ^A-" in sent.said.replace("\n", " ")) == (1, True), sent.said
    preview = await terminal.run("templates", "preview", "cli-lint", "--json")
    assert json.loads(preview.said)["content"]["subject"] == "Order A-1"


async def test_a_layout_is_pushed_and_templates_are_rebuilt_with_it(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    (folder / "_partials").mkdir(parents=True)
    (folder / "cli-layout").mkdir()
    (folder / "cli-layout" / "meta.yaml").write_text("channel: email\n")
    (folder / "cli-layout" / "en.subject.txt").write_text("Hi")
    (folder / "cli-layout" / "en.html").write_text('{% extends "cli-base.html" %}{% block body %}{{ name }}{% endblock %}')
    layout = folder / "_partials" / "cli-base.html"
    layout.write_text("<p>{% block body %}{% endblock %}</p>")
    assert (await terminal.run("templates", "push", "cli-layout")).code == 0
    layout.write_text("<i>{% block body %}{% endblock %}</i>")
    tried = await terminal.run("templates", "push", "--dry-run", "cli-layout")
    assert "1 published templates hold it" in tried.said.replace("\n", " "), tried.said
    assert (await terminal.run("templates", "push", "cli-layout")).code == 0
    assert "would be rebuilt" in (await terminal.run("templates", "rebuild", "cli-base.html", "--dry-run")).said
    assert "version 2 published" in (await terminal.run("templates", "rebuild", "cli-base.html")).said
    preview = await terminal.run("templates", "preview", "cli-layout", "--variables", '{"name": "Ada"}', "--json")
    assert json.loads(preview.said)["content"]["html"] == "<i>Ada</i>"


async def test_dead_letters_are_reviewed_by_keyboard_and_requeued_by_filter(terminal: Terminal, stack: Stack, tmp_path: Path) -> None:
    assert stack.smtp is not None
    user = await a_person(terminal, "refused@example.com")
    await a_template(terminal, tmp_path, "cli-dead")
    stack.smtp.script_always("refused@example.com", replies("550 5.7.1 not wanted"))
    for _ in range(2):
        failed = await terminal.run("send", "cli-dead", "--user", user, "--var", "name=A", "--watch")
        assert (failed.code, "failed" in failed.said) == (1, True)
    reviewed = await terminal.run(
        "dead-letters",
        "review",
        "--template",
        "cli-dead",
        answers=[("(q)uit", "n"), ("note", "looked at it"), ("(q)uit", "d"), ("note", "not wanted")],
    )
    assert "2 seen" in reviewed.said, reviewed.said
    assert "discarded" in reviewed.said
    stack.smtp.script_always("refused@example.com", replies("250 2.1.5 fine"))
    asked = await terminal.run("dead-letters", "requeue", "--all", "--template", "cli-dead", answers=[("with template cli-dead?", "n")])
    assert asked.code == 130, asked.said
    requeued = await terminal.run("dead-letters", "requeue", "--all", "--template", "cli-dead", "--yes", "--json")
    assert requeued.code == 0, requeued.said
    assert json.loads(requeued.said.splitlines()[-1])["done_count"] == 1


async def test_any_call_can_be_made(terminal: Terminal) -> None:
    made = await terminal.run("api", "post", "/v1/suppressions", "--data", '{"address": "api@example.org"}')
    assert (made.code, json.loads(made.said)["address"]) == (0, "api@example.org")
    assert "api@example.org" in (await terminal.run("api", "GET", "/v1/suppressions?page_size=5")).said
    assert (await terminal.run("api", "DELETE", "/v1/suppressions/api@example.org")).code == 0
    assert (await terminal.run("api", "GET", "/v1/no-such-thing")).code == 5
    assert (await terminal.run("api", "LOOK", "/v1/users")).code == 2
    assert (await terminal.run("api", "POST", "/v1/users", "-d", "{")).code == 2


async def test_breakers_and_the_doctor(terminal: Terminal) -> None:
    assert (await terminal.run("breakers", "list")).code == 0
    healthy = await terminal.run("doctor")
    assert healthy.code == 0, healthy.said
    for line in ("address", "parts", "key"):
        assert f"ok   {line}" in healthy.said


async def test_keys_are_made_narrowed_rotated_and_revoked(terminal: Terminal) -> None:
    made = json.loads(
        (
            await terminal.run(
                "keys", "create", "billing", "-s", "notifications:send", "--template", "receipt-*", "--domain", "Own.example", "--json"
            )
        ).said
    )
    assert made["api_key"]["restrictions"] == {"templates": ["receipt-*"], "recipient_domains": ["own.example"]}
    key = made["api_key"]["id"]
    assert key in (await terminal.run("keys", "list", "--json")).said
    rotated = await terminal.run("keys", "rotate", key, "--json")
    new = json.loads(rotated.said)
    assert new["api_key"]["restrictions"] == made["api_key"]["restrictions"]
    assert new["secret"] != made["secret"]
    assert "revoked" in (await terminal.run("keys", "revoke", key)).said
    gone = await terminal.run("keys", "rotate", key)
    assert (gone.code, f"there is no key {key}" in gone.said) == (2, True)


async def test_the_overview_counts_and_says_what_is_wrong(terminal: Terminal, stack: Stack, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "overviewed")
    user = await a_person(terminal, "overviewed@example.com")
    sent = await terminal.run("send", "overviewed", "--user", user, "--var", "name=Ada", "--json")
    await terminal.run("watch", json.loads(sent.said)["id"])

    async def counted() -> bool:
        shown = await terminal.run("overview", "--template", "overviewed")
        return "accepted 1   sent 1" in shown.said and "within 2 s" in shown.said

    await until_answered(counted)
    shown = json.loads((await terminal.run("overview", "--since", "2h", "--json")).said)
    assert int(shown["totals"]["sent"]) >= 1
    assert (await terminal.run("overview", "--since", "soon")).code == 2
    assert (await terminal.run("problems")).code == 0


async def test_queues_show_what_waits_and_who_works(terminal: Terminal) -> None:
    """Nothing is sent for it: the workers are there all the same."""

    async def reported() -> bool:
        found = json.loads((await terminal.run("queues", "--json")).said)
        return {"smtp", "fcm"} <= {provider for worker in found["workers"] for provider in worker["providers"]}

    await until_answered(reported)
    shown = await terminal.run("queues")
    assert shown.code == 0
    assert "email.queue" in shown.said
    assert "smtp" in shown.said


async def test_colour_is_for_terminals_that_want_it(stack: Stack, tmp_path: Path) -> None:
    environ = {"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY}
    assert "\x1b[" in (await Terminal(environ, tmp_path).run("doctor", raw=True)).said
    assert "\x1b[3" not in (await Terminal({**environ, "NO_COLOR": "1"}, tmp_path).run("doctor", raw=True)).said


async def test_help_explains_and_completion_is_offered(terminal: Terminal) -> None:
    top = await terminal.run("--help")
    assert all(word in top.said for word in ("send", "watch", "dead-letters", "--json", "Exit codes"))
    assert "--install-completion" in top.said
    assert "Idempotency key" in (await terminal.run("send", "--help")).said


async def test_what_was_done_is_on_record(terminal: Terminal) -> None:
    made = await terminal.run("keys", "create", "audited", "--scope", "users:read", "--json")
    key = json.loads(made.said)["api_key"]["id"]
    listed = await terminal.run("audit", "--kind", "api_key_created", "--subject", f"api_key:{key}", "--since", "2020-01-01", "--json")
    (event,) = map(json.loads, listed.said.splitlines())
    assert (event["kind"], event["details"]) == ("api_key_created", {"scopes": "users:read"})
    assert "api_key_created" in (await terminal.run("audit", "--limit", "3")).said
    assert (await terminal.run("audit", "--until", "yesterday")).code == 2


async def test_an_export_of_a_persons_data_is_one_document(terminal: Terminal, tmp_path: Path) -> None:
    user = await a_person(terminal, "all-of-it@example.com")
    assert (await terminal.run("users", "export-data", "all-of-it@example.com", str(tmp_path / "ada.json"))).code == 0
    document = json.loads((tmp_path / "ada.json").read_text())
    assert (document["user"]["id"], document["devices"], document["identities"], document["notifications"]) == (user, [], [], [])
    assert user in (await terminal.run("audit", "--kind", "data_exported", "--json")).said
