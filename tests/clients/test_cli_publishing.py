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
