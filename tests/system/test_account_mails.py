"""A lost password and an address that is to be proved, over the public door: the mail goes through the pipeline as any other."""

import re
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from devstack.client import Client, RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System
from tests.waiting import until

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

PASSWORD, NEW = "correct-horse-battery", "seven quiet rivers below"
_CONSOLE = "https://notify.clarion.test/console/"


async def _mail(system: System, address: str) -> EmailMessage:
    def arrived() -> list[EmailMessage]:
        return [mail.message for mail in system.smtp.mails if address in mail.recipients]

    await until(lambda: bool(arrived()))
    return arrived()[-1]


def _text(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def _token(mail: EmailMessage, page: str) -> str:
    found = re.search(rf"{re.escape(_CONSOLE)}{page}#([A-Za-z0-9_-]{{43}})\s", _text(mail))
    assert found is not None, _text(mail)
    return found.group(1)


async def test_a_lost_password_is_replaced_through_the_persons_own_mailbox(system: System) -> None:
    address = "lost@example.com"
    user = await system.client.call("POST", "/v1/users", {"email": address, "password": PASSWORD, "locale": "de-AT", "name": "Ada"})
    deny = {"rules": [{"channel": "email", "choice": "deny"}], "quiet_hours": {"start": "00:00", "end": "23:59"}}
    await system.client.call("PATCH", f"/v1/users/{user['id']}/preferences", deny)  # what they asked for comes all the same
    async with httpx.AsyncClient(base_url=system.processes.url) as http:
        session = (await http.post("/v1/auth/login", json={"email": address, "password": PASSWORD})).json()
        asked = await http.post("/v1/auth/request-password-reset", json={"email": address.upper()})
        unknown = await http.post("/v1/auth/request-password-reset", json={"email": "no-one-here@example.com"})
        assert (asked.status_code, asked.json()) == (unknown.status_code, unknown.json()) == (202, {})
        mail = await _mail(system, address)
        token = _token(mail, "reset-password")
        assert "neues Passwort" in str(mail["Subject"])
        assert f'href="{_CONSOLE}reset-password#{token}"' in _text(mail, "html")
        assert mail["List-Unsubscribe"] is None
        done = await http.post("/v1/auth/reset-password", json={"token": token, "new_password": NEW})
        assert (done.status_code, done.json()) == (200, {})
        again = await http.post("/v1/auth/reset-password", json={"token": token, "new_password": NEW})
        assert (again.status_code, again.json()["details"][0]["reason"]) == (400, "RESET_LINK_INVALID")
        assert (await http.post("/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})).status_code == 401
        assert (await http.post("/v1/auth/login", json={"email": address, "password": PASSWORD})).status_code == 401
        assert (await http.post("/v1/auth/login", json={"email": address, "password": NEW})).status_code == 200
    await _nowhere_but_in_the_mail(system, user["id"], token)


async def _nowhere_but_in_the_mail(system: System, user_id: str, token: str) -> None:
    """Neither who reads notifications nor who exports everything about the person, nor a log, has what opened the account."""
    listed = await system.client.call("GET", f"/v1/notifications?user_id={user_id}")
    (one,) = [one for one in listed["notifications"] if one["template"] == "clarion.password-reset"]
    settled = await system.client.settled(one["id"])
    assert settled["status"] == "sent"
    exported = [line async for line in system.client.lines(f"/v1/users/{user_id}:exportPersonalData")]
    assert len(exported) > 1
    logs = [path.read_text(errors="replace") for path in system.processes.folder.rglob("*.log")]
    assert logs
    for place in (str(listed), str(settled), *exported, *logs):
        assert token not in place


async def test_an_address_is_verified_through_its_mailbox(system: System) -> None:
    address = "to-be-proved@example.com"
    user = await system.client.create_user(address, locale="pt-BR")
    assert await system.client.call("POST", f"/v1/users/{user}:requestAddressVerification", {}) == {}
    mail = await _mail(system, address)
    assert "Confirme" in str(mail["Subject"])
    async with Client(system.processes.url, "") as stranger:
        assert await stranger.call("POST", "/v1/auth/verify-address", {"token": _token(mail, "verify-address")}) == {}
    assert (await system.client.call("GET", f"/v1/users/{user}"))["email_verified"] is True


async def test_a_new_address_is_the_primary_one_once_its_mail_was_followed(system: System) -> None:
    old, new = "old-mailbox@example.com", "new-mailbox@example.com"
    await system.client.create_template("to-either", "email", WELCOME)
    user = await system.client.create_user(old, locale="fr")
    path = f"/v1/users/{user}/addresses"
    pending = await system.client.call("POST", path, {"address": new, "primary": True})
    assert (pending["address"], pending["becomes_primary"]) == (new, True)
    mail = await _mail(system, new)
    assert "confirmer" in str(mail["Subject"])
    assert mail["List-Unsubscribe"] is None
    before = await system.client.settled(await system.client.send(user, "email", "to-either", {"name": "Ada"}))
    async with Client(system.processes.url, "") as stranger:
        assert await stranger.call("POST", "/v1/auth/verify-address", {"token": _token(mail, "verify-address")}) == {}
        with pytest.raises(RefusedError, match="VERIFICATION_LINK_INVALID"):
            await stranger.call("POST", "/v1/auth/verify-address", {"token": _token(mail, "verify-address")})
    after = await system.client.settled(await system.client.send(user, "email", "to-either", {"name": "Ada"}))
    assert (before["status"], after["status"]) == ("sent", "sent")
    assert [len([mail for mail in system.smtp.mails if address in mail.recipients]) for address in (old, new)] == [1, 2]
    listed = await system.client.call("GET", path)
    assert [(one["address"], one["primary"], one["verified"]) for one in listed["addresses"]] == [(new, True, True)]
    # a further one finds them once it is proved; the one before was not
    further = "further-mailbox@example.com"
    await system.client.call("POST", path, {"address": further})
    async with Client(system.processes.url, "") as stranger:
        await stranger.call("POST", "/v1/auth/verify-address", {"token": _token(await _mail(system, further), "verify-address")})
    for address, holders in ((further, [user]), (old, [])):
        found = await system.client.call("GET", f"/v1/users?email={address}")
        assert [one["id"] for one in found.get("users", [])] == holders
    sent = await system.client.call(
        "POST", "/v1/notifications", {"to": {"email": further}, "channel": "email", "template": "to-either", "variables": {"name": "Ada"}}
    )
    assert (await system.client.settled(sent["id"]))["user_id"] == user
    assert len([mail for mail in system.smtp.mails if new in mail.recipients]) == 3
    await system.client.call("DELETE", f"{path}/{further}")
    assert len((await system.client.call("GET", path))["addresses"]) == 1


async def test_no_one_sends_or_writes_such_a_mail_themselves(system: System) -> None:
    user = await system.client.create_user("victim@example.com")
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("/v1/templates", {"name": "clarion.password-reset", "channel": "email"}, "Clarion itself"),
        ("/v1/notifications", {"user_id": user, "channel": "email", "template": "clarion.password-reset"}, "TEMPLATE_NOT_FOUND"),
    ]
    for path, body, words in refused:
        with pytest.raises(RefusedError, match=words):
            await system.client.call("POST", path, body)
    with pytest.raises(RefusedError, match="TEMPLATE_NOT_FOUND"):
        await system.client.call("GET", "/v1/templates/clarion.password-reset")
    await system.client.create_template("clarionette", "email", WELCOME)  # the names beside are free


async def test_asking_for_mails_is_throttled_by_account_and_looks_alike(system: System) -> None:
    """The answers to who has an account and to who has none are slowed down at the same place."""
    await system.client.call("POST", "/v1/users", {"email": "asked-often@example.com", "password": PASSWORD})
    async with httpx.AsyncClient(base_url=system.processes.url) as http:
        for address in ("asked-often@example.com", "asked-often-too@example.com"):
            answers = [await http.post("/v1/auth/request-password-reset", json={"email": address}) for _ in range(14)]
            statuses = [answer.status_code for answer in answers]
            assert statuses[:10] == [202] * 10
            assert statuses.count(429) >= 2
            assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 429)
        # log-ins have turns of their own
        assert (await http.post("/v1/auth/login", json={"email": "asked-often@example.com", "password": PASSWORD})).status_code == 200
    assert len([mail for mail in system.smtp.mails if "asked-often@example.com" in mail.recipients]) <= 3
