"""Signatures as dkimpy, the reference, verifies them."""

import re
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_worker.dkim import Signer
from email_worker.message import Composer
from email_worker.models import ComposedMail, Mail, MailSender
from email_worker.use_cases import SendMail
from template_svc.senders.keys import new_signing_key
from tests.examples import examples

KEY = new_signing_key()
SIGNER = Signer.from_der("example.com", "s1", KEY.private_key)
RECORD = f"v=DKIM1; k=rsa; p={KEY.public_key}".encode()
COMPOSER = Composer("Clarion <no-reply@clarion.test>")
SENDER = MailSender("billing@example.com", "Acme, Billing", "help@elsewhere.example", "first", "example.com", "s1")


def lookup(name: bytes, timeout: float = 5) -> bytes | None:
    return RECORD if name == b"s1._domainkey.example.com." else None


def verified(message: bytes) -> bool:
    return bool(dkim.verify(message, dnsfunc=lookup))


def make_mail(subject: str = "Hello", text: str = "Hi\n", html: str = "", unsubscribe_url: str = "") -> Mail:
    return Mail("0198.1", "ada@example.org", "Ada", subject, text, html, sender=SENDER, unsubscribe_url=unsubscribe_url)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300) | st.sampled_from([
    "", "\n", "\n\n\n", "a\n\n", " \n\t\n", "a  b \t c \n", "\n.\n..\n", "x" * 3000, "é" * 200, "\r\n \r\n", "a\tb", " trailing \n \n",
])  # fmt: skip
SUBJECTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)


@settings(max_examples=examples(100), deadline=timedelta(seconds=10), suppress_health_check=[HealthCheck.too_slow])
@given(SUBJECTS, TEXTS, TEXTS)
def test_every_mail_that_is_signed_verifies(subject: str, text: str, html: str) -> None:
    composed = COMPOSER.compose(make_mail(subject, text, html, unsubscribe_url="https://clarion.test/unsubscribe/" + "t" * 200))
    signed = SIGNER.sign(composed.message)
    assert verified(signed)
    assert signed.endswith(composed.message)
    assert max(map(len, signed.split(b"\r\n"))) <= 998


def test_what_a_relay_may_change_is_no_harm() -> None:
    signed = SIGNER.sign(COMPOSER.compose(make_mail()).message)
    assert verified(b"Received: from a\r\n by b\r\n" + signed)
    assert verified(signed + b"\r\n\r\n")
    assert verified(signed.replace(b"Subject: Hello", b"subject:  Hello "))


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed.replace(b"Hi\r\n", b"Ho\r\n"),
        lambda signed: signed.replace(b"Subject: Hello", b"Subject: Hallo"),
        lambda signed: signed.replace(b"help@elsewhere.example", b"evil@elsewhere.example"),
        lambda signed: signed.replace(b"One-Click", b"No-Click"),
        # a second header above the first is what many mail programs show
        lambda signed: b"From: evil@example.org\r\n" + signed,
        lambda signed: b"Subject: Pay now\r\n" + signed,
        lambda signed: b"Reply-To: evil@example.org\r\n" + signed,
    ],
)
def test_what_is_changed_or_added_breaks_it(change: Callable[[bytes], bytes]) -> None:
    signed = SIGNER.sign(COMPOSER.compose(make_mail(unsubscribe_url="https://clarion.test/u/t")).message)
    assert verified(signed)
    assert change(signed) != signed
    assert not verified(change(signed))


def test_a_reply_to_can_not_be_added_where_there_was_none() -> None:
    mail = Mail("0198.1", "ada@example.org", "Ada", "Hello", "Hi\n", "")
    signed = SIGNER.sign(COMPOSER.compose(mail).message)
    assert verified(signed)
    assert not verified(b"Reply-To: evil@example.org\r\n" + signed)


def test_the_tags_of_a_signature() -> None:
    signed = message_from_bytes(SIGNER.sign(COMPOSER.compose(make_mail(unsubscribe_url="https://clarion.test/u/t")).message))
    tags = dict(part.strip().split("=", 1) for part in re.sub(r"\s+", "", signed["DKIM-Signature"]).split(";"))
    assert (tags["v"], tags["a"], tags["c"], tags["d"], tags["s"]) == ("1", "rsa-sha256", "relaxed/relaxed", "example.com", "s1")
    # RFC 8058, section 4: one click needs both headers signed
    assert {"from", "to", "subject", "list-unsubscribe", "list-unsubscribe-post"} <= set(tags["h"].split(":"))
    assert "l" not in tags  # a signature that leaves the end of a body open can be abused


@pytest.mark.parametrize("text", ["a" + "\n" * 2_000_000 + "b", ("x" + " " * 900 + "y\n") * 5_000], ids=["empty lines", "spaces"])
def test_a_long_run_of_ends_is_read_once(text: str) -> None:
    """A pattern that tries each place of the run anew takes hours for these."""
    assert SIGNER.sign(COMPOSER.compose(make_mail(text=text)).message).startswith(b"DKIM-Signature")


@pytest.mark.parametrize("size", [512, 1023])
def test_a_key_that_is_too_short_is_refused(size: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1()) if size == 512 else rsa.generate_private_key(65537, 1024)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if size == 512:
        with pytest.raises(ValueError, match="must be RSA"):
            Signer.from_pem("example.com", "s", pem)
    else:
        assert Signer.from_pem("example.com", "s", pem).domain == "example.com"


class Sink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[ComposedMail] = []

    async def send(self, mail: ComposedMail) -> None:
        self.mails.append(mail)


class Keys:
    """One project's keys."""

    async def of(self, project: str, domain: str, selector: str) -> Signer:
        assert (project, domain, selector) == ("first", "example.com", "s1")
        return SIGNER


OWN = Signer.from_der("clarion.test", "own", KEY.private_key)


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        (None, "clarion.test"),
        (SENDER, "example.com"),
        (MailSender("a@clarion.test"), "clarion.test"),
        (MailSender("a@news.clarion.test"), "clarion.test"),
        (MailSender("a@notclarion.test"), None),
    ],
)
async def test_which_key_signs(sender: MailSender | None, domain: str | None) -> None:
    sink = Sink()
    send = SendMail(composer=COMPOSER, provider=sink, signers=Keys(), own=OWN)
    await send(Mail("0198.1", "ada@example.org", "Ada", "Hello", "Hi", "", sender=sender))
    signature = message_from_bytes(sink.mails[0].message)["DKIM-Signature"]
    assert (f"d={domain};" in signature) if domain else signature is None


async def test_nothing_is_signed_where_the_provider_does() -> None:
    sink = Sink()
    await SendMail(composer=COMPOSER, provider=sink)(make_mail())
    assert b"DKIM-Signature" not in sink.mails[0].message


def test_headers_of_a_sender() -> None:
    parsed = message_from_bytes(COMPOSER.compose(make_mail()).message)
    assert (parsed["From"], parsed["Reply-To"]) == ('"Acme, Billing" <billing@example.com>', "help@elsewhere.example")
