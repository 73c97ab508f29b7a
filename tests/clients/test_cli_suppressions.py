"""The suppression list by the command line, against the system as it runs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from tests.clients.terminal import Terminal
from tests.fixtures_postgres import StackFolder

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    async with open_stack(stack_folder("cli"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest.fixture
def terminal(stack: Stack, tmp_path: Path) -> Terminal:
    return Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY}, tmp_path)


async def test_suppressions_are_imported_listed_and_exported(terminal: Terminal, tmp_path: Path) -> None:
    """From CSV and JSON lines, with errors by line; what is exported comes back as it was."""
    rows = ["Email;category;reason;expire_time", "Ann@stop.example;;complaint;", "=1@stop.example;news;;2999-01-01", "no address;;;"]
    (tmp_path / "stop.csv").write_text("\n".join([*rows, "past@stop.example;;;2020-01-01", "when@stop.example;;;soon"]) + "\n")
    first = await terminal.run("suppressions", "import", "stop.csv", "--reason", "moved")
    assert (first.code, "2 written, 3 failed" in first.said) == (1, True), first.said
    for said in ("line 4: address", "line 5: expire_time: must be in the future", "line 6: expire_time: 'soon' is no time"):
        assert said in first.said
    lines = ['{"address": "bo@stop.example", "category": "news"}', "", '{"address": 5}', "[1]", "{"]
    (tmp_path / "stop.ndjson").write_text("\n".join(lines))
    checked = await terminal.run("suppressions", "import", "stop.ndjson", "--dry-run")
    assert (checked.code, "1 readable, 3 failed" in checked.said, "line 3: address: must be a text" in checked.said) == (1, True, True)
    assert "bo@stop.example" not in (await terminal.run("suppressions", "list")).said
    assert (await terminal.run("suppressions", "import", "stop.ndjson")).code == 1
    added = await terminal.run("suppressions", "add", "bo@stop.example", "--expires", "2999-01-01")
    assert (added.code, "manual" in added.said) == (0, True)
    listed = await terminal.run("suppressions", "list", "--address", "bo@stop.example", "--json")
    assert [json.loads(line).get("category", "") for line in listed.said.splitlines()] == ["", "news"]
    assert (await terminal.run("suppressions", "export", "all.csv")).code == 0
    assert (await terminal.run("suppressions", "export", "all.ndjson", "--ndjson")).code == 0
    assert "'=1@stop.example,news,moved," in (tmp_path / "all.csv").read_text()
    exported = [json.loads(line) for line in (tmp_path / "all.ndjson").read_text().splitlines()]
    held = {(one["address"], one.get("category", "")): (one["reason"], one.get("expire_time")) for one in exported}
    end = "2999-01-01T00:00:00Z"
    expected = {
        ("=1@stop.example", "news"): ("moved", end),
        ("ann@stop.example", ""): ("complaint", None),
        ("bo@stop.example", ""): ("manual", end),
        ("bo@stop.example", "news"): ("manual", None),
    }
    assert {key: value for key, value in held.items() if key[0].endswith("@stop.example")} == expected
    for name in ("all.csv", "all.ndjson"):
        for address, category in expected:
            scope = ("--category", category) if category else ()
            assert (await terminal.run("suppressions", "remove", address, *scope)).code == 0
        again = await terminal.run("suppressions", "import", name)
        assert again.code == 0, again.said
        (tmp_path / "again.ndjson").unlink(missing_ok=True)
        assert (await terminal.run("suppressions", "export", "again.ndjson", "--ndjson")).code == 0
        back = [json.loads(line) for line in (tmp_path / "again.ndjson").read_text().splitlines()]
        assert {(one["address"], one.get("category", "")): (one["reason"], one.get("expire_time")) for one in back} == held
    gone = await terminal.run("suppressions", "remove", "none@stop.example")
    assert (gone.code, "not on the suppression list" in gone.said) == (5, True)
    (tmp_path / "none.csv").write_text("who\nx\n")
    refused = await terminal.run("suppressions", "import", "none.csv")
    assert (refused.code, "address or email among them" in refused.said) == (2, True)
