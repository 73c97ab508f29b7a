"""People and their accounts on the command line, in a pseudo-terminal, against the system as it runs."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from devstack.client import Client
from devstack.processes import API_KEY
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ANY_PORTS, Stack, open_stack
from tests.clients.terminal import Terminal
from tests.clients.test_cli import a_template
from tests.fixtures_postgres import StackFolder
from tests.user_svc.test_second_factor import App
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    async with open_stack(stack_folder("cli-people"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest.fixture
def terminal(stack: Stack, tmp_path: Path) -> Terminal:
    return Terminal({"CLARION_URL": stack.url, "CLARION_API_KEY": API_KEY}, tmp_path)


async def test_a_lost_password_is_replaced_by_the_code_of_a_mail(stack: Stack, tmp_path: Path, terminal: Terminal) -> None:
    assert stack.smtp is not None
    address, new = "lost-by-cli@example.com", "seven quiet rivers below"
    user = json.dumps({"email": address, "password": "correct-horse-battery"})
    assert (await terminal.run("api", "POST", "/v1/users", "--data", user)).code == 0
    stranger = Terminal({}, tmp_path)
    assert (await stranger.run("password", "forgot", address, "--url", stack.url)).code == 0
    smtp = stack.smtp
    await until(lambda: any(address in mail.recipients for mail in smtp.mails))
    (mail,) = [mail.message for mail in smtp.mails if address in mail.recipients]
    body = mail.get_body(("plain",))
    assert body is not None
    # no public address is set here, so that the mail holds a code
    found = re.search(r"^([\w-]{43})\s*$", str(body.get_content()), re.MULTILINE)
    assert found is not None
    answers = [("code or link", f"https://anywhere.example/console/reset-password#{found[1]}"), ("new password", new), ("once more", new)]
    done = await stranger.run("password", "reset", "--url", stack.url, answers=answers)
    assert (done.code, "is set" in done.said) == (0, True), done.said
    assert new not in done.said
    again = await stranger.run("password", "reset", "--url", stack.url, answers=answers)
    assert (again.code, "RESET_LINK_INVALID" in again.said) == (1, True), again.said
    differ = await stranger.run("password", "reset", "--url", stack.url, answers=[*answers[:2], ("once more", "another")])
    assert (differ.code, "nothing was changed" in differ.said) == (2, True)


async def test_a_mail_that_verifies_an_address_is_asked_for(terminal: Terminal) -> None:
    made = await terminal.run("users", "create", "verify-by-cli@example.com")
    assert made.code == 0, made.said
    asked = await terminal.run("users", "verify-address", "verify-by-cli@example.com")
    assert (asked.code, "on its way" in asked.said) == (0, True), asked.said
    assert (await terminal.run("users", "verify-address", "no-one-at-all@example.com")).code == 5


async def test_addresses_of_a_person_are_added_listed_and_removed(terminal: Terminal) -> None:
    assert (await terminal.run("users", "create", "first-by-cli@example.com", "--external-id", "addresses-1")).code == 0
    added = await terminal.run("users", "addresses", "add", "addresses-1", "second-by-cli@example.com", "--primary", "--json")
    assert added.code == 0, added.said
    assert json.loads(added.said)["becomes_primary"] is True
    listed = await terminal.run("users", "addresses", "list", "first-by-cli@example.com", "--json")
    assert [json.loads(line)["address"] for line in listed.said.splitlines()] == ["first-by-cli@example.com", "second-by-cli@example.com"]
    again = await terminal.run("users", "addresses", "remove", "addresses-1", "first-by-cli@example.com")
    assert (again.code, "ADDRESS_IS_PRIMARY" in again.said) == (1, True), again.said
    removed = await terminal.run("users", "addresses", "remove", "addresses-1", "second-by-cli@example.com")
    assert (removed.code, "removed" in removed.said) == (0, True), removed.said


async def test_many_people_come_in_few_calls_and_each_row_is_answered(terminal: Terminal, tmp_path: Path) -> None:
    rows = [f"many-{number},many-{number}@example.org,Ada" for number in range(1200)]
    rows[600], rows[1100] = "many-600,no address,Ada", "many-1100,many-3@example.org,Ada"
    (tmp_path / "many.csv").write_text("\n".join(["external_id,email,name", *rows]) + "\n")
    for _ in range(2):
        made = await terminal.run("users", "import", "many.csv")
        assert made.code == 1, made.said
        assert "1198 written, 2 failed" in made.said, made.said
        assert "line 602: email: must be an e-mail address" in made.said
        assert "line 1102: email: another user has this e-mail address" in made.said


async def test_the_key_that_signs_tokens_is_rotated(terminal: Terminal) -> None:
    rotated = await terminal.run("keys", "rotate-signing")
    assert (rotated.code, "within 5 minutes" in rotated.said) == (0, True), rotated.said
    events = await terminal.run("audit", "--kind", "signing_key_rotated", "--json")
    assert json.loads(events.said)["subject"].startswith("signing_key:")


async def test_why_nothing_was_sent_is_said_by_rest_feed_and_command_line(terminal: Terminal, tmp_path: Path) -> None:
    """One reason and one rule, wherever someone looks."""
    assert (await terminal.run("users", "create", "quiet-by-cli@example.com", "--external-id", "quiet-1")).code == 0
    template = json.dumps({"name": "quiet-by-cli", "channel": "email", "category": "news"})
    assert (await terminal.run("api", "POST", "/v1/templates", "--data", template)).code == 0
    version = json.dumps({"contents": {"en": {"subject": "News", "text": "News"}}, "publish": True})
    assert (await terminal.run("api", "POST", "/v1/templates/quiet-by-cli/versions", "--data", version)).code == 0
    refused = json.dumps({"rules": [{"channel": "email", "category": "news", "choice": "deny"}]})
    assert (await terminal.run("api", "PATCH", "/v1/users/quiet-1/preferences", "--data", refused)).code == 0
    asked = json.dumps({"user_id": "quiet-1", "template": "quiet-by-cli"})
    before = json.loads((await terminal.run("api", "POST", "/v1/notifications:evaluate", "--data", asked)).said)
    assert (before["decision"], before["rule"]) == ("skip", "preference:email:news")
    sent = await terminal.run("send", "quiet-by-cli", "--user", "quiet-1", "--watch")
    assert (sent.code, "PREFERENCE" in sent.said, before["rule"] in sent.said) == (1, True, True), sent.said
    listed = json.loads((await terminal.run("notifications", "list", "--template", "quiet-by-cli", "--json")).said)
    shown = await terminal.run("notifications", "get", listed["id"])
    assert (listed["reason"], before["rule"] in shown.said) == ("PREFERENCE", True), shown.said
    found = json.loads((await terminal.run("api", "GET", f"/v1/notifications/{listed['id']}")).said)
    assert (found["reason"], found["timeline"][-1]["detail"]) == ("PREFERENCE", before["rule"])
    tailed = await terminal.run("tail", "--template", "quiet-by-cli", "--from", "0", "--status", "skipped", "--limit", "1", "--json")
    assert json.loads(tailed.said)["change"]["reason"] == "PREFERENCE", tailed.said


async def test_a_sent_mail_is_sent_again_to_another_address(terminal: Terminal, tmp_path: Path) -> None:
    await a_template(terminal, tmp_path, "cli-again")
    sent = await terminal.run("send", "cli-again", "--to", "lost@example.com", "--var", "name=Ada", "--json")
    first = json.loads(sent.said)["id"]
    assert (await terminal.run("watch", first)).code == 0
    again = ("notifications", "resend", first, "--to", "found@example.com", "--key", "again", "--json")
    made = [json.loads((await terminal.run(*again)).said)["id"] for _ in range(2)]
    assert made[0] == made[1] != first
    assert (await terminal.run("watch", made[0])).code == 0
    read = json.loads((await terminal.run("notifications", "get", made[0], "--json")).said)
    assert (read["status"], read["resent_from"]) == ("sent", first)
    assert (await terminal.run("notifications", "resend", first)).code == 2


async def test_what_a_mail_said_does_not_steer_the_terminal(stack: Stack, terminal: Terminal) -> None:
    async with Client(stack.url, API_KEY) as client:
        await client.create_template("steering", "email", {"en": {"subject": "S", "text": "from {{ name }}"}})
        user = await client.create_user("steering@example.com")
        sent = await client.send(user, "email", "steering", {"name": "\x1b]0;title\x07\u202e\x9b2J"})
        await client.settled(sent)
    shown = await terminal.run("notifications", "content", sent)
    assert shown.code == 0, shown.said
    assert "from \\x1b]0;title" in shown.said
    assert "\\u202e\\x9b2J" in shown.said
    machine = await terminal.run("notifications", "content", sent, "--json")
    assert json.loads(machine.said)["content"]["text"].startswith("from \x1b]0;title\x07\u202e\x9b2J")
    assert "\x9b" not in machine.said


async def test_roles_are_made_given_and_taken_away(terminal: Terminal) -> None:
    made = await terminal.run("roles", "create", "support", "-s", "notifications:read", "--description", "First line")
    assert (made.code, "First line" in made.said) == (0, True), made.said
    assert (await terminal.run("users", "create", "operator-by-cli@example.com", "--external-id", "op-1")).code == 0
    given = await terminal.run("roles", "assign", "op-1", "support", "--json")
    assert (given.code, json.loads(given.said)["role"]) == (0, "support"), given.said
    in_use = await terminal.run("roles", "delete", "support")
    assert (in_use.code, "ROLE_IN_USE" in in_use.said) == (1, True), in_use.said
    changed = await terminal.run("roles", "update", "support", "-s", "templates:read", "--json")
    assert (json.loads(changed.said)["scopes"], json.loads(changed.said)["description"]) == (["templates:read"], "First line")
    listed = await terminal.run("roles", "list", "--json")
    assert json.loads(given.said)["user_id"] in listed.said
    assert (await terminal.run("roles", "unassign", "op-1")).code == 0
    assert (await terminal.run("roles", "delete", "support")).code == 0
    assert (await terminal.run("roles", "show", "support")).code == 5


async def test_projects_are_made_archived_and_restored(terminal: Terminal) -> None:
    assert (await terminal.run("projects", "create", "by-cli", "--title", "By CLI")).code == 0
    asked = await terminal.run("projects", "archive", "by-cli", answers=[("[y/N]", "y")])
    assert (asked.code, "archive_time" in asked.said) == (0, True), asked.said
    assert (await terminal.run("projects", "archive", "default", "--yes")).code == 1
    listed = [json.loads(line) for line in (await terminal.run("projects", "list", "--json")).said.splitlines()]
    assert {one["id"]: "archive_time" in one for one in listed} == {"by-cli": True, "default": False}
    assert (await terminal.run("projects", "restore", "by-cli")).code == 0
    in_use = await terminal.run("projects", "delete", "by-cli", "--yes")
    assert (in_use.code, "PROJECT_NOT_ARCHIVED" in in_use.said) == (1, True), in_use.said
    assert (await terminal.run("projects", "archive", "by-cli", "--yes")).code == 0
    erased = await terminal.run("projects", "delete", "by-cli", "--json", answers=[("[y/N]", "y")])
    assert (erased.code, "saga_id" in erased.said) == (0, True), erased.said


async def test_a_person_signs_in_with_a_second_factor_and_keeps_a_key(stack: Stack, tmp_path: Path, terminal: Terminal) -> None:
    stranger = Terminal({}, tmp_path)
    password = ("password:", ADMIN_PASSWORD)
    unfinished = await stranger.run(
        "second-factor", "setup", ADMIN_EMAIL, "--url", stack.url, answers=[password, ("code of the app", "12")]
    )
    assert (unfinished.code, "SECOND_FACTOR_WRONG" in unfinished.said) == (4, True), unfinished.said
    async with Client(stack.url, "") as http:
        own = (await http.call("POST", "/v1/auth/login", {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}))["access_token"]
    async with Client(stack.url, own) as http:
        app = App((await http.call("POST", "/v1/auth/begin-second-factor", {"current_password": ADMIN_PASSWORD}))["secret"])
        await http.call("POST", "/v1/auth/confirm-second-factor", {"code": app.code()})
    kept = await stranger.run("login", "--url", stack.url, "--email", ADMIN_EMAIL, answers=[password, ("authenticator app", app.code())])
    assert kept.code == 0, kept.said
    assert (await stranger.run("users", "list")).code == 0
    me = json.loads((await stranger.run("whoami", "--json")).said)
    assert (me["kind"], "users:admin" in me["scopes"], "expire_time" in me) == ("api_key", True, True)
    shown = json.loads((await stranger.run("second-factor", "status", ADMIN_EMAIL, "--json")).said)
    assert (shown["enabled"], shown["recovery_codes_left"]) == (True, 10)
    assert (await stranger.run("second-factor", "remove", ADMIN_EMAIL)).code == 0
    again = await stranger.run("login", "--url", stack.url, "--email", ADMIN_EMAIL, "--days", "1", answers=[password])
    assert again.code == 0, again.said
