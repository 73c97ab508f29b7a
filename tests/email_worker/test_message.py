"""Composed mails: the standard library's parser reads back what was meant, and nothing can break out of its place."""

import email
import email.policy
import re
from dataclasses import replace
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from email_worker.errors import UnsafeMail
from email_worker.message import Composer
from email_worker.models import ComposedMail, Mail

COMPOSER = Composer("Clarion Mail <no-reply@example.com>")

CONTROL_CHARACTERS = [chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029)]
header_text = st.text(st.characters(codec="utf-8", exclude_characters=CONTROL_CHARACTERS), max_size=200)
body_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=600)


def mail(
    *,
    address: str = "ada@example.org",
    name: str = "",
    subject: str = "Hello",
    text: str = "Hi",
    html: str = "<p>Hi</p>",
    correlation_id: str = "",
) -> Mail:
    return Mail("0190b1f0-0000-7000-8000-000000000001.0", address, name, subject, text, html, correlation_id)


def parse(composed: ComposedMail) -> EmailMessage:
    return email.message_from_bytes(composed.message, policy=email.policy.default)


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8").replace("\r\n", "\n")


def canonical(text: str) -> str:
    return re.sub("\r\n?", "\n", text)


@given(subject=header_text)
@example(subject="=?utf-8?q?not_a_word?=")
@example(subject=" leading and trailing ")
@example(subject="x" * 998)
@example(subject="two  blanks " * 12)
@example(subject="日本語の件名" * 30)
def test_the_subject_is_read_back_exactly(subject: str) -> None:
    assert parse(COMPOSER.compose(mail(subject=subject)))["Subject"] == subject


@given(text=body_text, html=body_text)
@example(text=".\n..\n.\r\n", html="From here on")
@example(text="no newline at the end", html="x" * 5000)
@example(text="trailing blanks   \n\t\n", html="\x00\x1a\x0c")
@example(text="a\rb\r\nc\n", html="é" * 400)
@example(text="=3D=\n", html="é = è\r\n \r\n")
def test_text_and_html_are_read_back_exactly(text: str, html: str) -> None:
    message = parse(COMPOSER.compose(mail(text=text, html=html)))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert content(message, "plain") == canonical(text)
    assert content(message, "html") == canonical(html)


@given(text=body_text)
def test_one_text_alone_is_a_single_part(text: str) -> None:
    plain = parse(COMPOSER.compose(mail(text=text, html="")))
    assert plain.get_content_type() == "text/plain"
    assert content(plain, "plain").removesuffix("\n") == canonical(text).removesuffix("\n")
    page = parse(COMPOSER.compose(mail(text="", html=text)))
    assert page.get_content_type() == "text/html"
    assert content(page, "html").removesuffix("\n") == canonical(text).removesuffix("\n")


@given(name=header_text.map(str.strip), local=st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}", fullmatch=True))
@example(name='Ada "The Countess" \\ Lovelace, née Byron', local="ada")
@example(name="x" * 200, local="a" * 64)
@example(name="<evil@example.net>", local="ada")
def test_the_recipient_is_one_person_whatever_the_name(name: str, local: str) -> None:
    composed = COMPOSER.compose(mail(name=name, address=f"{local}@example.org"))
    (address,) = cast("tuple[Address, ...]", parse(composed)["To"].addresses)
    assert address.addr_spec == f"{local}@example.org"
    # the name by way of the older parser: the new one of 3.11 puts a blank between two encoded words of a phrase
    shown, spec = parseaddr(str(email.message_from_bytes(composed.message)["To"]).replace("\r\n", ""))
    assert (str(make_header(decode_header(shown))), spec) == (name, f"{local}@example.org")


@given(subject=header_text, name=header_text, text=body_text, html=body_text)
@example(subject="s", name="n", text="x" * 2000, html="é" + "x" * 2000)
@example(subject="s", name="n", text="a\n" + "x" * 2000, html="")
def test_the_bytes_are_ascii_lines_with_crlf_of_lawful_length(subject: str, name: str, text: str, html: str) -> None:
    message = COMPOSER.compose(mail(subject=subject, name=name, text=text, html=html)).message
    assert message.isascii()
    assert message.endswith(b"\r\n")
    lines = message.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line or b"\x00" in line for line in lines)


@given(control=st.sampled_from(CONTROL_CHARACTERS), before=header_text, after=header_text)
@example(control="\n", before="Hello", after="Bcc: everyone@example.net")
def test_no_control_character_reaches_a_header(control: str, before: str, after: str) -> None:
    evil = before + control + after
    with pytest.raises(UnsafeMail):
        COMPOSER.compose(mail(subject=evil))
    with pytest.raises(UnsafeMail):
        COMPOSER.compose(mail(address=f"ada{control}@example.org"))
    message = parse(COMPOSER.compose(mail(name=evil, correlation_id=evil)))
    assert message["To"] == "ada@example.org"
    assert message["X-Correlation-ID"] is None
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@x.org", "ada@", "a b@x.org", "<a@x.org>", "a@b@x.org", "a,b@x.org", "a@x y.org", '"a"@x.org', "a" * 260 + "@x.org"],
)
def test_a_string_that_is_no_plain_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(UnsafeMail) as caught:
        COMPOSER.compose(mail(address=address))
    assert caught.value.reason == "ADDRESS_INVALID"
    assert not address or address not in str(caught.value)


def test_the_fixed_headers_are_those_of_an_automatic_mail() -> None:
    message = parse(COMPOSER.compose(mail(correlation_id="req-42")))
    assert message["From"] == "Clarion Mail <no-reply@example.com>"
    assert message["Message-ID"] == "<0190b1f0-0000-7000-8000-000000000001.0@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Correlation-ID"] == "req-42"
    assert message["Date"].datetime.utcoffset().total_seconds() == 0
    assert message.defects == []


def test_the_message_id_is_the_same_on_every_attempt() -> None:
    first, second = (parse(COMPOSER.compose(mail())) for _ in range(2))
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_boundary() != second.get_boundary()


def test_an_international_domain_travels_in_ascii() -> None:
    composed = COMPOSER.compose(mail(address="ada@bücher.example"))
    assert (composed.recipient, composed.utf8) == ("ada@xn--bcher-kva.example", False)


def test_only_an_international_local_part_needs_smtputf8() -> None:
    composed = COMPOSER.compose(mail(address="björn@bücher.example"))
    assert (composed.recipient, composed.utf8) == ("björn@xn--bcher-kva.example", True)
    assert "To: björn@xn--bcher-kva.example\r\n".encode() in composed.message


def test_no_address_and_no_text_shows_in_a_repr() -> None:
    shown = repr(mail(name="Ada", subject="Secret", text="body")) + repr(COMPOSER.compose(mail()))
    assert not any(word in shown for word in ("ada@", "Ada", "Secret", "body", "Hi"))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("sendgrid", {"X-SMTPAPI": '{"unique_args": {"clarion_notification_id": "ID"}}'}),
        ("ses", {"X-SES-MESSAGE-TAGS": "clarion_notification_id=ID", "X-Clarion-Notification-ID": "ID"}),
        ("mailgun", {"X-Mailgun-Variables": '{"clarion_notification_id": "ID"}'}),
        ("", {}),
    ],
)
def test_a_mail_carries_what_its_providers_events_name_it_by_and_nothing_of_other_providers(events: str, expected: dict[str, str]) -> None:
    identifier = "0190b1f0-0000-7000-8000-000000000001"
    written = replace(mail(), notification_id=identifier)
    message = parse(Composer("no-reply@example.com", events=events).compose(written))
    found = {name: str(value).replace(identifier, "ID") for name, value in message.items() if name.startswith("X-")}
    assert found == expected
    hostile = replace(written, notification_id="x\r\nBcc: eve@example.com")
    assert "Bcc" not in parse(Composer("no-reply@example.com", events=events).compose(hostile))
