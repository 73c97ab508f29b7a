"""Files, pictures and invitations in mails, as the standard library's parser reads them back."""

import email
import email.policy
from base64 import b64decode
from email.message import EmailMessage
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_worker.message import Composer
from email_worker.models import Mail, MailFile
from email_worker.parts import encoded

COMPOSER = Composer("Clarion <no-reply@clarion.test>")
PDF = bytes(range(256)) * 40
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/\\"), min_size=1, max_size=200
)


def compose(*files: MailFile, text: str = "Hello\n", html: str = "<p>Hello</p>\n") -> EmailMessage:
    raw = COMPOSER.compose(Mail("0198.1", "ada@example.org", "Ada", "Hello", text, html, files=files)).message
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return email.message_from_bytes(raw, policy=email.policy.default)


def attached(filename: str, content: bytes = PDF, kind: str = "application/pdf", content_id: str = "") -> MailFile:
    return MailFile(filename, kind, encoded(content), content_id)


def shape(part: EmailMessage) -> object:
    """The types of a message's parts, in each other."""
    if not part.is_multipart():
        return part.get_content_type()
    return {part.get_content_type(): [shape(cast("EmailMessage", each)) for each in part.iter_parts()]}


@given(st.binary(max_size=3000), NAMES)
def test_a_file_is_read_back_exactly(content: bytes, filename: str) -> None:
    message = compose(attached(filename, content))
    [file] = message.iter_attachments()
    assert file.get_content() == content
    # the parser strips blanks at the ends of a quoted name on some versions
    assert str(file.get_filename()).strip() == filename.strip()


@pytest.mark.parametrize(
    "filename", ['a"b\\c.pdf', "Rechnung für Ada.pdf", "請求書" * 20 + ".pdf", "x" * 190 + ".pdf", "a;b=c.pdf", "%41.pdf"]
)
def test_names_that_need_care(filename: str) -> None:
    [file] = compose(attached(filename)).iter_attachments()
    assert file.get_filename() == filename


@pytest.mark.parametrize(
    ("text", "html", "files", "expected"),
    [
        ("t", "", [attached("a.pdf")], {"multipart/mixed": ["text/plain", "application/pdf"]}),
        ("t", "h", [attached("a.pdf")], {"multipart/mixed": [{"multipart/alternative": ["text/plain", "text/html"]}, "application/pdf"]}),
        (
            "t",
            "h",
            [attached("logo.png", kind="image/png", content_id="logo")],
            {"multipart/alternative": ["text/plain", {"multipart/related": ["text/html", "image/png"]}]},
        ),
        # without HTML there is nothing that could show it: it is a file like others
        ("t", "", [attached("logo.png", kind="image/png", content_id="logo")], {"multipart/mixed": ["text/plain", "image/png"]}),
        (
            "t",
            "h",
            [attached("invite.ics", b"BEGIN:VCALENDAR", "text/calendar; method=REQUEST")],
            {
                "multipart/mixed": [
                    {"multipart/alternative": ["text/plain", "text/html", "text/calendar"]},
                    "application/octet-stream",
                ]
            },
        ),
        ("t", "", [attached("dates.ics", b"BEGIN:VCALENDAR", "text/calendar")], {"multipart/mixed": ["text/plain", "text/calendar"]}),
    ],
)
def test_what_stands_in_what(text: str, html: str, files: list[MailFile], expected: object) -> None:
    assert shape(compose(*files, text=text, html=html)) == expected


def test_an_invitation_says_its_method() -> None:
    message = compose(attached("invite.ics", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar; method=REQUEST"))
    [invitation] = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    assert invitation.get_param("method") == "REQUEST"
    assert b64decode(str(invitation.get_payload())) == b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


def test_a_picture_is_named_as_the_html_names_it() -> None:
    message = compose(attached("logo.png", kind="image/png", content_id="logo"), html='<img src="cid:logo">')
    [picture] = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert (picture["Content-ID"], picture.get_content_disposition()) == ("<logo>", "inline")


def test_no_content_ends_a_part() -> None:
    hostile = b"\r\n--=_x--\r\n\r\nFrom: evil@example.org\r\n\r\n.\r\n"
    message = compose(attached("a.txt", hostile, "text/plain"))
    assert [part.get_filename() for part in message.iter_attachments()] == ["a.txt"]
