"""`clarion doctor --smtp` and `--fcm` in a pseudo-terminal: each mistake that a guide warns of is named with the way out."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clarion_client.cli.providers import known_mistake
from devstack.fcm import open_fcm_server
from devstack.smtp import SmtpServer, open_smtp_server
from devstack.tls import LocalTls
from mesh.testing import free_port
from tests.clients.terminal import Terminal

pytestmark = pytest.mark.system

PASSWORD = "abcdabcdabcdabcd"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmtpServer]:
    """A mail server with STARTTLS that demands AUTH."""
    tls = LocalTls.in_folder(tmp_path / "tls")
    async with open_smtp_server(tls=tls.server_context(), users={"clarion": PASSWORD}) as opened:
        yield opened


def environ_of(server: SmtpServer, tmp_path: Path, **changed: str) -> dict[str, str]:
    """A worker's variables for it."""
    return {
        "CLARION_SMTP_HOST": "localhost",
        "CLARION_SMTP_PORT": str(server.port),
        "CLARION_SMTP_USER": "clarion",
        "CLARION_SMTP_PASSWORD": PASSWORD,
        "CLARION_SMTP_FROM": "Clarion <no-reply@example.com>",
        "CLARION_SMTP_CA_FILE": str(tmp_path / "tls" / "ca.pem"),
        **changed,
    }


async def test_a_mail_server_that_takes_us_passes_and_gets_no_mail(server: SmtpServer, tmp_path: Path) -> None:
    done = await Terminal(environ_of(server, tmp_path), tmp_path).run("doctor", "--smtp")
    assert done.code == 0, done.said
    for check in ("connect", "tls", "sign-in", "sender"):
        assert check in done.said
    assert PASSWORD not in done.said
    assert server.received == 0


@pytest.mark.parametrize(
    ("changed", "check", "advice"),
    [
        ({"CLARION_SMTP_PASSWORD": "wrong"}, "sign-in", "not of its website"),
        ({"CLARION_SMTP_CA_FILE": ""}, "tls", "CLARION_SMTP_CA_FILE"),
        ({"CLARION_SMTP_TLS": "tls"}, "connect", "CLARION_SMTP_TLS=tls"),
        ({"CLARION_SMTP_PORT": str(free_port())}, "connect", "Many clouds close 25"),
        ({"CLARION_SMTP_FROM": ""}, "settings", "CLARION_SMTP_FROM"),
    ],
)
async def test_a_mistake_is_named_with_the_way_out(
    server: SmtpServer, tmp_path: Path, changed: dict[str, str], check: str, advice: str
) -> None:
    done = await Terminal(environ_of(server, tmp_path, **changed), tmp_path).run("doctor", "--smtp", "--json")
    assert done.code == 1, done.said
    (failed,) = [line for line in map(json.loads, done.said.splitlines()) if not line["ok"]]
    assert failed["check"] == check
    assert advice in failed["next"]


@pytest.mark.parametrize(
    ("host", "user", "password", "said"),
    [
        ("smtp.gmail.com", "ada@example.com", "my own password", "app password"),
        ("smtp.sendgrid.net", "ada", "SG.key", "the word apikey"),
        ("email-smtp.eu-west-1.amazonaws.com", "AKIA", "s" * 40, "SMTP credentials"),
        ("smtp.eu.mailgun.org", "ada", "key", "postmaster@"),
    ],
)
def test_settings_that_a_provider_can_not_take_are_known_before_it_is_asked(host: str, user: str, password: str, said: str) -> None:
    problem, page = known_mistake(host, user, password)
    assert said in problem
    assert (Path(__file__).parents[2] / page).is_file()


async def test_a_service_account_is_told_from_what_is_none(tmp_path: Path) -> None:
    async with open_fcm_server(tmp_path / "fcm") as fcm:
        good = fcm.environ()["CLARION_FCM_CREDENTIALS_FILE"]
        assert (await Terminal({"CLARION_FCM_CREDENTIALS_FILE": good}, tmp_path).run("doctor", "--fcm")).code == 0
    of_the_app = tmp_path / "google-services.json"
    of_the_app.write_text(json.dumps({"project_info": {"project_id": "p"}}))
    told = await Terminal({"CLARION_FCM_CREDENTIALS_FILE": str(of_the_app)}, tmp_path).run("doctor", "--fcm")
    assert told.code == 1
    assert "for the app" in told.said
