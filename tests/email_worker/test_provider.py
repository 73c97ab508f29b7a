"""The SMTP provider against a real server on loopback: what is sent, what a refusal means, how connections are kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from delivery.errors import DeliveryError
from devstack.smtp import SmtpServer, drops, hangs, open_smtp_server, replies
from devstack.smtp_session import Stage
from devstack.tls import LocalTls
from email_worker.errors import SmtpOutcomeUnknown, SmtpRefused, SmtpRejected, SmtpUnavailable
from email_worker.models import ComposedMail
from email_worker.provider import SmtpProvider
from email_worker.replies import scrub
from email_worker.settings import SmtpSettings
from mesh.testing import FakeClock, free_port

BODY = b"Subject: Hello\r\n\r\nHello Ada\r\n.\r\n..two dots\r\n"


def settings(server: SmtpServer, **changes: object) -> SmtpSettings:
    base = SmtpSettings(host="127.0.0.1", port=server.port, tls="none", timeout_s=5, data_timeout_s=5)
    return replace(base, **changes)  # type: ignore[arg-type]  # the tests name fields by keyword


def mail(recipient: str = "ada@example.org") -> ComposedMail:
    return ComposedMail(recipient, BODY)


MakeProvider = Callable[..., SmtpProvider]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with open_smtp_server() as running:
        yield running


@pytest.fixture
async def make(server: SmtpServer) -> AsyncIterator[MakeProvider]:
    """Builds providers of the server and closes them."""
    made: list[SmtpProvider] = []

    def build(*, clock: FakeClock | None = None, **changes: object) -> SmtpProvider:
        made.append(SmtpProvider(settings(server, **changes), sender="no-reply@example.com", clock=clock or FakeClock()))
        return made[-1]

    yield build
    for provider in made:
        await provider.close()


async def failure(provider: SmtpProvider, message: ComposedMail) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await provider.send(message)
    return caught.value


async def test_the_server_gets_the_envelope_and_the_very_bytes(server: SmtpServer, make: MakeProvider) -> None:
    await make().send(mail())
    received = await server.next_message()
    assert (received.sender, received.recipients) == ("no-reply@example.com", ("ada@example.org",))
    assert received.raw == BODY


async def test_one_connection_carries_many_mails(server: SmtpServer, make: MakeProvider) -> None:
    provider = make()
    for _ in range(10):
        await provider.send(mail())
    assert (server.received, server.connections) == (10, 1)


async def test_no_more_connections_than_the_pool_has(server: SmtpServer, make: MakeProvider) -> None:
    provider = make(pool_size=4)
    await asyncio.gather(*(provider.send(mail()) for _ in range(100)))
    assert (server.received, server.connections) == (100, 4)


async def test_a_connection_is_replaced_after_its_share_of_mails(server: SmtpServer, make: MakeProvider) -> None:
    provider = make(pool_size=1, max_messages=3)
    for _ in range(7):
        await provider.send(mail())
    assert (server.received, server.connections) == (7, 3)


async def test_a_4yz_is_transient_and_keeps_the_connection(server: SmtpServer, make: MakeProvider) -> None:
    server.script("ada@example.org", replies("451 4.7.1 Greylisted, ada@example.org, come back later"))
    provider = make()
    error = await failure(provider, mail())
    assert isinstance(error, SmtpRefused)
    assert error.retryable
    assert (error.reason, error.detail) == ("SMTP_451", "4.7.1 Greylisted, (address), come back later")
    await provider.send(mail())
    assert server.connections == 1


@pytest.mark.parametrize("stage", list(Stage))
async def test_a_5yz_is_permanent(server: SmtpServer, make: MakeProvider, stage: Stage) -> None:
    server.script("ada@example.org", replies("550 5.1.1 No such user", stage))
    error = await failure(make(), mail())
    assert isinstance(error, SmtpRejected)
    assert (error.retryable, error.reason, error.detail) == (False, "SMTP_550", "5.1.1 No such user")


async def test_a_421_counts_against_the_server_and_ends_the_connection(server: SmtpServer, make: MakeProvider) -> None:
    server.script("ada@example.org", replies("421 4.3.2 Shutting down"))
    provider = make()
    error = await failure(provider, mail())
    assert isinstance(error, SmtpUnavailable)
    assert error.reason == "SMTP_421"
    await provider.send(mail())
    assert server.connections == 2


async def test_nobody_listening_is_transient() -> None:
    base = SmtpSettings(host="127.0.0.1", port=free_port(), tls="none")
    error = await failure(SmtpProvider(base, sender="no-reply@example.com"), mail())
    assert isinstance(error, SmtpUnavailable)
    assert error.reason == "SMTP_CONNECT"


async def test_a_greeting_that_turns_us_away_is_transient_even_as_5yz(server: SmtpServer, make: MakeProvider) -> None:
    server.greeting = "554 5.3.2 Not today"
    error = await failure(make(), mail())
    assert isinstance(error, SmtpUnavailable)
    assert (error.reason, error.detail) == ("SMTP_554", "5.3.2 Not today")


async def test_silence_is_a_timeout(server: SmtpServer, make: MakeProvider) -> None:
    server.script("ada@example.org", hangs(Stage.RCPT))
    error = await failure(make(timeout_s=0.1), mail())
    assert isinstance(error, SmtpUnavailable)
    assert not isinstance(error, SmtpOutcomeUnknown)
    assert error.reason == "SMTP_TIMEOUT"


@pytest.mark.parametrize(("behaviour", "reason"), [(hangs(), "SMTP_TIMEOUT"), (drops(), "SMTP_DISCONNECTED")])
async def test_no_answer_after_the_final_dot_is_an_unknown_outcome(
    server: SmtpServer, make: MakeProvider, behaviour: object, reason: str
) -> None:
    server.script("ada@example.org", behaviour)  # type: ignore[arg-type]  # parametrize knows no types
    error = await failure(make(data_timeout_s=0.1), mail())
    assert isinstance(error, SmtpOutcomeUnknown)
    assert error.reason == reason


async def test_a_kept_connection_that_has_died_costs_nothing(server: SmtpServer, make: MakeProvider) -> None:
    provider = make()
    await provider.send(mail())
    server.script("ada@example.org", drops(Stage.RCPT))
    await provider.send(mail())
    assert (server.received, server.connections) == (2, 2)


async def test_a_server_that_restarts_is_reached_again(server: SmtpServer, make: MakeProvider) -> None:
    provider = make()
    await provider.send(mail())
    await server.stop()
    assert (await failure(provider, mail())).reason in {"SMTP_CONNECT", "SMTP_DISCONNECTED"}
    await server.start()
    await provider.send(mail())
    assert server.received == 2


async def test_an_idle_connection_is_checked_and_an_old_one_closed(server: SmtpServer, make: MakeProvider) -> None:
    clock = FakeClock()
    provider = make(clock=clock, idle_s=30, check_after_s=5)
    await provider.send(mail())
    clock.advance(10)
    await provider.send(mail())
    assert server.connections == 1
    clock.advance(31)
    await provider.close_idle()
    await provider.send(mail())
    assert (server.received, server.connections) == (3, 2)


async def test_a_cancelled_send_leaves_no_half_used_connection_behind(server: SmtpServer, make: MakeProvider) -> None:
    server.script("ada@example.org", hangs(Stage.RCPT))
    provider = make()
    task = asyncio.create_task(provider.send(mail()))
    await server.hung.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await provider.send(mail())
    assert (server.received, server.connections) == (1, 2)


async def test_an_address_outside_ascii_travels_as_smtputf8(server: SmtpServer, make: MakeProvider) -> None:
    await make().send(ComposedMail("björn@example.org", BODY, utf8=True))
    assert (await server.next_message()).recipients == ("björn@example.org",)


async def test_a_server_without_smtputf8_can_never_take_such_an_address(server: SmtpServer, make: MakeProvider) -> None:
    server.extensions = ("8BITMIME",)
    error = await failure(make(), ComposedMail("björn@example.org", BODY, utf8=True))
    assert (error.retryable, error.reason) == (False, "SMTP_NO_SMTPUTF8")


async def test_starttls_is_used_with_a_certificate_that_is_checked(tmp_path: Path) -> None:
    tls = LocalTls.in_folder(tmp_path)
    async with open_smtp_server(tls=tls.server_context(), users={"clarion": "secret"}) as server:
        trusted = settings(server, host="localhost", tls="starttls", ca_file=str(tls.ca_file), user="clarion", password="secret")
        provider = SmtpProvider(trusted, sender="no-reply@example.com")
        await provider.send(mail())
        assert (await server.next_message()).tls
        await provider.close()
        for changes, reason in (({"ca_file": ""}, "SMTP_TLS"), ({"password": "wrong"}, "SMTP_AUTH")):
            provider = SmtpProvider(replace(trusted, **changes), sender="no-reply@example.com")  # type: ignore[arg-type]  # as above
            error = await failure(provider, mail())
            assert isinstance(error, SmtpUnavailable)
            assert error.reason == reason


async def test_no_mail_leaves_in_the_clear_when_the_server_offers_no_starttls(server: SmtpServer, make: MakeProvider) -> None:
    error = await failure(make(tls="starttls"), mail())
    assert error.reason == "SMTP_TLS"
    assert server.transactions == 0


@pytest.mark.parametrize(
    ("reply", "scrubbed"),
    [
        ("5.1.1 <Ada@Example.org>: user unknown", "5.1.1 <(address)>: user unknown"),
        ("4.2.2 mailbox ada is\nfull; see other@example.net", "4.2.2 mailbox (address) is full; see (address)"),
        ("x" * 300, "x" * 200),
    ],
)
def test_replies_are_shown_without_addresses(reply: str, scrubbed: str) -> None:
    assert scrub(reply, "ada@example.org") == scrubbed
