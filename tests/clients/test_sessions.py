"""The documentation shows the command line as it is: every session is recorded again and compared with what the page shows."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from clarion_client.cli.app import app
from tests.clients.recorder import Recording, coloured, markdown, screen
from tests.clients.sessions import PAGE, SESSIONS, recording
from tests.fixtures_postgres import StackFolder

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(stack_folder: StackFolder) -> AsyncIterator[dict[str, list[Recording]]]:
    async with recording(stack_folder("sessions")) as found:
        yield found


@pytest.mark.system
@pytest.mark.parametrize("title", [session.title for session in SESSIONS])
async def test_a_session_is_as_the_page_shows_it(recorded: dict[str, list[Recording]], title: str) -> None:
    """Its exit codes and colours too."""
    done = recorded[title]
    assert [(one.step.line, one.code) for one in done] == [(one.step.line, one.step.code) for one in done]
    for one in done:
        for colour, words in (("green", one.step.green), ("red", one.step.red)):
            assert [word for word in words if not coloured(one.raw, word, colour)] == [], one.raw
    shown = _part(title)
    assert _even(markdown(done)) == _even(shown), "if that is how it should be: make sessions"


def _part(title: str) -> str:
    """The block of a session."""
    found = re.search(rf"^## {re.escape(title)}\n.*?(```console\n.*?```\n)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/command-line.md has no session {title}: make sessions"
    return found[1]


def _even(text: str) -> str:
    """Without the blanks by which columns are aligned: a time that ends with zeros is shorter."""
    return re.sub(r" {2,}", "  ", text)


async def test_each_group_of_commands_has_a_session() -> None:
    lines = [step.line for session in SESSIONS for step in session.steps] + [
        step.beside[1] for session in SESSIONS for step in session.steps if step.beside is not None
    ]
    shown = {line.split()[1] for line in lines if line.startswith("clarion ")}
    groups = {group.name for group in app.registered_groups} | {command.name for command in app.registered_commands}
    assert groups - shown == set()


async def test_what_is_drawn_over_is_not_shown() -> None:
    assert screen("50 %\r\x1b[2K100 %\r\ndone\r\n") == "100 %\ndone"
    assert screen("one\r\ntwo\r\x1b[1A\x1b[2Kthree\r\n") == "three\ntwo"
    assert screen("\x1b[1;32mok\x1b[0m") == "ok"
