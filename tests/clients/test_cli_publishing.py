"""When and for whom versions are in use, by the command line, against the system as it runs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from tests.clients.terminal import Terminal
from tests.clients.test_cli import a_template
from tests.fixtures_postgres import StackFolder

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    async with open_stack(stack_folder("cli"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest.fixture
def terminal(stack: Stack, tmp_path: Path) -> Terminal:
    return Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY}, tmp_path)


async def test_a_version_is_tried_and_compared(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-canary")
    (tmp_path / "templates" / "cli-canary" / "en.subject.txt").write_text("Hi {{ name }}")
    assert (await terminal.run("templates", "push", "cli-canary", "--draft")).code == 0
    started = await terminal.run("templates", "canary", "start", "cli-canary", "2", "--percent", "20", "--by", "user")
    assert (started.code, "running" in started.said) == (0, True), started.said
    shown = await terminal.run("templates", "canary", "show", "cli-canary", "--json")
    assert json.loads(shown.said)["canary"]["percent"] == 20, shown.said
    assert (await terminal.run("templates", "canary", "show", "cli-canary")).code == 0
    assert "stopped" in (await terminal.run("templates", "canary", "stop", "cli-canary")).said


async def test_a_publication_is_scheduled_replaced_and_called_off(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-schedule")
    await a_template(terminal, tmp_path, "cli-schedule", subject="Spring, {{ name }}!")
    made = await terminal.run("templates", "schedule", "cli-schedule", "1", "--at", "2040-01-31T09:00:00Z", "--note", "back")
    assert made.code == 0, made.said
    refused = await terminal.run("templates", "schedule", "cli-schedule", "1", "--at", "2041-01-31")
    assert (refused.code, "scheduled already" in refused.said.replace("\n", " ")) == (1, True), refused.said
    assert (await terminal.run("templates", "schedule", "cli-schedule", "1", "--at", "2041-01-31", "--replace")).code == 0
    listed = await terminal.run("templates", "scheduled", "cli-schedule")
    assert ("2041" in listed.said, "2040" in listed.said) == (True, False), listed.said
    assert (await terminal.run("templates", "unschedule", "cli-schedule")).code == 0
    assert "2041" not in (await terminal.run("templates", "scheduled")).said
    over = await terminal.run("templates", "scheduled", "cli-schedule", "--all", "--json")
    assert ("replaced" in over.said, "cancelled" in over.said) == (True, True), over.said
    nothing = await terminal.run("templates", "unschedule", "cli-schedule")
    assert (nothing.code, "nothing is scheduled" in nothing.said) == (2, True), nothing.said


async def test_a_template_is_archived_and_restored(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-archive")
    archived = await terminal.run("templates", "archive", "cli-archive", "--json")
    assert archived.code == 0, archived.said
    assert "archived_by" in archived.said
    assert "cli-archive" not in (await terminal.run("templates", "list", "--limit", "0")).said
    assert "cli-archive" in (await terminal.run("templates", "list", "--limit", "0", "--archived")).said
    refused = await terminal.run("templates", "publish", "cli-archive", "1")
    assert (refused.code, "restore it" in refused.said.replace("\n", " ")) == (1, True), refused.said
    assert (await terminal.run("templates", "restore", "cli-archive")).code == 0
    in_use = await terminal.run("templates", "archive", "cli-archive", "--version", "1")
    assert (in_use.code, "publish another version first" in in_use.said.replace("\n", " ")) == (1, True), in_use.said


async def test_what_files_make_is_compared_with_what_they_made_before(terminal: Terminal, tmp_path: Path) -> None:
    """Without a push; the exit codes are fit for CI."""
    await a_template(terminal, tmp_path, "cli-golden")
    files = tmp_path / "templates" / "cli-golden"
    assert "no cases" in (await terminal.run("templates", "test")).said
    (files / "tests").mkdir()
    (files / "tests" / "polish.yaml").write_text("locale: pl\nvariables: {name: Ala}\n")
    missing = await terminal.run("templates", "test", "cli-golden")
    assert (missing.code, "nothing is kept yet" in missing.said, "1 cases, 1 failed" in missing.said) == (1, True, True), missing.said
    assert (await terminal.run("templates", "test", "--update")).code == 0
    assert (files / "tests" / "polish.subject.txt").read_text() == "Hello Ala"
    assert (await terminal.run("templates", "test")).code == 0
    (files / "en.subject.txt").write_text("Hi {{ name }}")
    changed = await terminal.run("templates", "test")
    assert (changed.code, "-Hello Ala" in changed.said, "+Hi Ala" in changed.said) == (1, True, True), changed.said
    (files / "en.subject.txt").write_text("Hi {{ name|uper }}")
    wrong = await terminal.run("templates", "test")
    assert (wrong.code, "did you mean 'upper'" in wrong.said.replace("\n", " ")) == (1, True), wrong.said
    (files / "tests" / "polish.yaml").write_text("local: pl\n")
    assert (await terminal.run("templates", "test")).code == 2
    assert "version 1" not in (await terminal.run("templates", "push", "--dry-run", "cli-golden")).said


async def test_the_first_update_makes_a_case_for_each_locale(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-cases")
    files = tmp_path / "templates" / "cli-cases"
    (files / "pl.subject.txt").write_text("Cześć {{ name }}")
    (files / "pl.txt").write_text("Cześć")
    schema = {"type": "object", "properties": {"name": {"type": "string", "examples": ["Ala"]}}}
    (files / "variables.schema.json").write_text(json.dumps(schema))
    assert (await terminal.run("templates", "test", "--update")).code == 0
    assert (files / "tests" / "pl.subject.txt").read_text() == "Cześć Ala"
    assert (files / "tests" / "en.subject.txt").read_text() == "Hello Ala"


async def test_versions_are_compared_and_what_a_template_keeps_is_said(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-compare")
    await a_template(terminal, tmp_path, "cli-compare", subject="Spring, {{ name }}!")
    compared = await terminal.run("templates", "diff", "cli-compare", "--versions", "1", "2")
    assert (compared.code, "+Spring, {{ name }}!" in compared.said) == (1, True), compared.said
    assert (await terminal.run("templates", "diff", "cli-compare", "--versions", "2", "2")).code == 0
    assert (await terminal.run("templates", "diff", "--versions", "1", "2")).code == 2
    assert (await terminal.run("templates", "diff", "cli-compare")).code == 0
    meta = tmp_path / "templates" / "cli-compare" / "meta.yaml"
    meta.write_text("channel: push\ndescription: a greeting\n")
    differs = await terminal.run("templates", "diff", "cli-compare")
    assert (differs.code, "can't be changed" in differs.said.replace("\n", " ")) == (1, True), differs.said


async def test_what_meta_yaml_says_is_compared_and_pushed(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-meta")
    files = tmp_path / "templates" / "cli-meta"
    (files / "meta.yaml").write_text("channel: email\ncategory: news\nmandatory: true\n")
    differs = await terminal.run("templates", "diff", "cli-meta")
    assert (differs.code, '-category: ""' in differs.said, '+category: "news"' in differs.said) == (1, False, True), differs.said
    assert "category, mandatory would be changed" in (await terminal.run("templates", "push", "--dry-run", "cli-meta")).said
    assert "not changed with --draft" in (await terminal.run("templates", "push", "--draft", "cli-meta")).said.replace("\n", " ")
    assert (await terminal.run("templates", "diff", "cli-meta")).code == 1
    pushed = await terminal.run("templates", "push", "cli-meta")
    assert ("category, mandatory changed" in pushed.said, "version" in pushed.said) == (True, False), pushed.said
    assert (await terminal.run("templates", "diff", "cli-meta")).code == 0
    shown = json.loads((await terminal.run("api", "GET", "/v1/templates/cli-meta")).said)
    # what the file does not name stays
    assert (shown["category"], shown["mandatory"], shown["description"]) == ("news", True, "a greeting")
    (files / "meta.yaml").write_text('channel: email\ncategory: ""\nmandatory: false\n')
    assert (await terminal.run("templates", "push", "cli-meta")).code == 0
    assert "unchanged" in (await terminal.run("templates", "push", "cli-meta")).said


async def test_a_template_is_changed_from_the_command_line(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-update")
    changed = await terminal.run("templates", "update", "cli-update", "--category", "news", "--mandatory", "--on-unknown", "hold")
    assert changed.code == 0, changed.said
    shown = json.loads((await terminal.run("api", "GET", "/v1/templates/cli-update")).said)
    assert (shown["category"], shown["mandatory"], shown["on_unknown"]) == ("news", True, "hold")
    assert (await terminal.run("templates", "update", "cli-update", "--category", "", "--optional")).code == 0
    nothing = await terminal.run("templates", "update", "cli-update")
    assert (nothing.code, "say what to change" in nothing.said) == (2, True), nothing.said
    refused = await terminal.run("templates", "update", "cli-update", "--category", "Not One")
    assert (refused.code, "template.category" in refused.said) == (1, True), refused.said


async def test_a_locale_in_another_spelling_is_pushed_once(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-spelling")
    files = tmp_path / "templates" / "cli-spelling"
    (files / "pt_BR.subject.txt").write_text("Olá {{ name }}")
    (files / "pt_BR.txt").write_text("Olá {{ name }}!")
    assert "version 2" in (await terminal.run("templates", "push", "cli-spelling")).said
    assert "unchanged" in (await terminal.run("templates", "push", "cli-spelling")).said
    pulled = await terminal.run("templates", "pull", "cli-spelling")
    assert "pt_BR.txt is no part of what is published" in pulled.said.replace("\n", " "), pulled.said
