"""What may be a file of a mail."""

import pytest

from gateway.accepting.attachments import check_attachments
from gateway.accepting.models import AttachedFile
from mesh.errors import InvalidArgument


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (AttachedFile("invoice.pdf", content=b"x"), "application/pdf"),
        (AttachedFile("logo.PNG", content=b"x"), "image/png"),
        (AttachedFile("data", content=b"x"), "application/octet-stream"),
        (AttachedFile("invite.ics", "text/calendar; method=REQUEST", b"x"), "text/calendar; method=REQUEST"),
        (
            AttachedFile("invite.ics", 'text/calendar;method=REQUEST; charset="utf-8"', b"x"),
            'text/calendar;method=REQUEST; charset="utf-8"',
        ),
        (AttachedFile("Rechnung für Ada.pdf", attachment_id="a" * 64), "application/pdf"),
        (AttachedFile(".htaccess", content=b"x"), "application/octet-stream"),
    ],
)
def test_media_types(file: AttachedFile, kind: str) -> None:
    assert check_attachments([file])[0].content_type == kind


@pytest.mark.parametrize(
    ("file", "field"),
    [
        (AttachedFile("a.pdf"), "content"),
        (AttachedFile("a.pdf", content=b"x", attachment_id="a" * 64), "content"),
        (AttachedFile("../a.pdf", content=b"x"), "filename"),
        (AttachedFile("c:\\a.pdf", content=b"x"), "filename"),
        (AttachedFile("a\r\nBcc: b@example.com", content=b"x"), "filename"),
        (AttachedFile("a\0.pdf", content=b"x"), "filename"),
        (AttachedFile(". .", content=b"x"), "filename"),
        (AttachedFile("setup.exe", content=b"x"), "filename"),
        (AttachedFile("invoice.pdf.JS", content=b"x"), "filename"),
        (AttachedFile("setup.exe. ", content=b"x"), "filename"),
        (AttachedFile("a.pdf", "application/pdf\r\nX: y", b"x"), "content_type"),
        (AttachedFile("a.pdf", "application", b"x"), "content_type"),
        (AttachedFile("a.pdf", "multipart/mixed; boundary=x", b"x"), "content_type"),
        (AttachedFile("a.eml", "message/rfc822", b"x"), "content_type"),
        (AttachedFile("a.pdf", "application/pdf; name=é", b"x"), "content_type"),
        (AttachedFile("a.pdf", 'application/octet-stream; Name="a.exe"', b"x"), "content_type"),
        (AttachedFile("photo\u202egpj.docm", "", b"x"), "filename"),
        (AttachedFile("a.exe\u00a0", "", b"x"), "filename"),
        (AttachedFile("\u00a0", "", b"x"), "filename"),
        (AttachedFile("a.ex\u200be", "", b"x"), "filename"),
        (AttachedFile("a.\uff45\uff58\uff45", "", b"x"), "filename"),
    ],
)
def test_what_can_not_be_one_is_refused_by_field(file: AttachedFile, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_attachments([AttachedFile("first.txt", content=b"x"), file])
    assert caught.value.violations[0].field == f"attachments[1].{field}"


def test_two_pictures_have_two_names() -> None:
    logo = AttachedFile("logo.png", content=b"x", content_id="logo")
    with pytest.raises(InvalidArgument, match="content_id"):
        check_attachments([logo, logo._replace(content=b"y")])
