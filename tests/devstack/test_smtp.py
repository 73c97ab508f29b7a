"""The local SMTP server in front of another client, the standard library's."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from devstack.smtp import SmtpServer, drops, open_smtp_server, replies
from devstack.smtp_session import Stage
from devstack.tls import LocalTls


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with open_smtp_server() as running:
        yield running


def message(text: str = "Hello\n") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "Grüße"
    mail.set_content(text)
    return mail


def send(server: SmtpServer, mail: EmailMessage, *, tls: ssl.SSLContext | None = None) -> None:
    with smtplib.SMTP("localhost", server.port, timeout=10) as client:
        if tls is not None:
            client.starttls(context=tls)
            client.login("clarion", "secret")
        client.send_message(mail)


async def test_a_mail_is_shown_as_it_was_sent(server: SmtpServer) -> None:
    await asyncio.to_thread(send, server, message(".\n..\nlast line\n"))
    received = await server.next_message()
    assert (received.sender, received.recipients, received.tls) == ("a@example.com", ("b@example.com",), False)
    assert received.message["Subject"] == "Grüße"
    assert received.message.get_content().replace("\r\n", "\n") == ".\n..\nlast line\n"


async def test_a_script_strikes_as_often_as_it_says(server: SmtpServer) -> None:
    server.script("b@example.com", replies("451 4.7.1 later"), replies("554 5.7.1 never", Stage.DATA), drops())
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(send, server, message())
    with pytest.raises(smtplib.SMTPDataError):
        await asyncio.to_thread(send, server, message())
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await asyncio.to_thread(send, server, message())
    await asyncio.to_thread(send, server, message())
    assert server.received == 1


async def test_starttls_and_a_password_where_they_are_asked_for(tmp_path: Path) -> None:
    tls = LocalTls.in_folder(tmp_path)
    async with open_smtp_server(tls=tls.server_context(), users={"clarion": "secret"}) as server:
        await asyncio.to_thread(send, server, message(), tls=ssl.create_default_context(cafile=str(tls.ca_file)))
        assert (await server.next_message()).tls
        with pytest.raises(smtplib.SMTPSenderRefused):
            await asyncio.to_thread(send, server, message())


def test_certificates_are_made_once(tmp_path: Path) -> None:
    first = LocalTls.in_folder(tmp_path).cert_file.read_bytes()
    assert LocalTls.in_folder(tmp_path).cert_file.read_bytes() == first
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0
