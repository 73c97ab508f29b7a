"""The command line on a machine, with a configuration and with arguments that it can't use: one clear error, no traceback, nothing lost."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from tests.clients.terminal import Terminal
from tests.clients.test_cli import a_person, a_template
from tests.fixtures_postgres import StackFolder

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    async with open_stack(stack_folder("cli-odd"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest.fixture
def terminal(stack: Stack, tmp_path: Path) -> Terminal:
    return Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY}, tmp_path)


CONFIGS = {
    "profiles = 3": "holds no profiles",
    "current = 3": "holds no profiles",
    '[profiles]\ndefault = "x"': "the profile default must hold texts",
    "[profiles.default]\nurl = 3": "the profile default must hold texts",
    "\x00": "is no TOML",
}


@pytest.mark.parametrize("text", CONFIGS)
async def test_a_config_file_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    said = await Terminal({"CLARION_CONFIG": str(tmp_path / "config.toml")}, tmp_path).piped("whoami")
    assert (said.code, "config.toml" in said.said, CONFIGS[text] in said.said) == (2, True, True), said.said


async def test_a_config_file_that_can_not_be_read_or_written_is_named(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for config in (tmp_path, tmp_path / "taken" / "config.toml"):
        terminal = Terminal({"CLARION_CONFIG": str(config)}, tmp_path)
        for words in (["whoami"], ["login", "--url", stack.url, "--api-key", API_KEY]):
            said = await terminal.piped(*words)
            assert (said.code, str(config) in said.said, "CLARION_CONFIG" in said.said) == (2, True, True), said.said


async def test_a_profile_is_kept_whole_or_not_at_all(stack: Stack, tmp_path: Path) -> None:
    """Through a link too, and what others could read they can read no longer."""
    real = tmp_path / "kept.toml"
    real.write_text('[profiles.other]\nurl = "http://other"\n')
    real.chmod(0o644)
    (tmp_path / "config.toml").symlink_to(real)
    terminal = Terminal({"CLARION_CONFIG": str(tmp_path / "config.toml")}, tmp_path)
    assert (await terminal.piped("login", "--url", stack.url, "--api-key", API_KEY)).code == 0
    assert (tmp_path / "config.toml").is_symlink()
    assert real.stat().st_mode & 0o077 == 0
    assert all(word in real.read_text() for word in ("http://other", API_KEY))
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".config")] == []


async def test_a_question_without_a_terminal_says_how_it_is_answered(terminal: Terminal) -> None:
    await a_person(terminal, "kept@example.com")
    said = await terminal.piped("users", "delete", "kept@example.com")
    assert (said.code, "--yes" in said.said) == (130, True), said.said
    assert (await terminal.run("users", "get", "kept@example.com")).code == 0


async def test_what_a_locale_can_not_write_is_written_otherwise(stack: Stack, tmp_path: Path) -> None:
    terminal = Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY, "PYTHONIOENCODING": "ascii"}, tmp_path)
    # a process of its own, since the encoding is chosen when Python starts
    clarion = [sys.executable, "-c", "from clarion_client.cli import main; main()"]
    made = await asyncio.to_thread(terminal.type, [*clarion, "users", "create", "zoe@example.com", "--name", "Zo\u00eb", "--json"])
    assert (made.code, made.said.isascii()) == (0, True), made.said
    assert json.loads(made.said)["name"] == "Zo\u00eb"
    assert (await asyncio.to_thread(terminal.type, [*clarion, "users", "get", "zoe@example.com"])).code == 0


async def test_bytes_that_are_no_text_are_refused_by_their_field(terminal: Terminal, tmp_path: Path) -> None:
    for words in (["users", "create", "a\udcff@example.com"], ["send", "x", "--to", "a@example.com", "--var", 'name:="\\ud800"']):
        said = await terminal.piped(*words)
        assert (said.code, "Traceback" in said.said) == (1, False), said.said


async def test_a_full_disk_is_said_in_one_line(stack: Stack, terminal: Terminal, tmp_path: Path) -> None:
    code = await asyncio.to_thread(_run_onto_a_full_disk, terminal, tmp_path / "errors")
    assert (code, (tmp_path / "errors").read_text()) == (1, "error: the output can't be written: No space left on device\n")


def _run_onto_a_full_disk(terminal: Terminal, errors: Path) -> int:
    with Path("/dev/full").open("w") as full, errors.open("w") as said, Path("/dev/null").open() as nothing:
        return terminal.start("users", "list", files=(nothing.fileno(), full.fileno(), said.fileno())).wait()


async def test_a_watch_shows_labels_with_any_kind_of_line_in_them(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-odd-lines")
    label = "order=x\u2028y\x85z"
    sent = await terminal.run("send", "cli-odd-lines", "--to", "lines@example.com", "--var", "name=A", "--metadata", label, "--watch")
    assert sent.code == 0, sent.said
