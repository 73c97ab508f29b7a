"""The body of a mail as bytes: texts, pictures in them, and files (RFC 2045 to 2049, 2183, 2392, 6047).

    mixed( alternative( text, related( html, pictures ), invitation ), files )

Each level is there only where it is needed: a text alone is no multipart.
"""

import binascii
import re
import secrets
from collections.abc import Sequence
from urllib.parse import quote

from email_worker.models import Mail, MailFile

_NOT_7BIT = re.compile("[^\t\n\x20-\x7e]")
_NEWLINES = re.compile("\r\n?")
_BODY_LINE = 990  # RFC 5322 allows 998; some relays count the line end
_QUOTED = re.compile(r'[\\"]')
_METHOD = re.compile(r";\s*method=", re.IGNORECASE)
_PARAMETER = 60  # characters of a header's parameter that fit a line beside its name
_LINE_BYTES = 57  # 76 characters of base64


def content_of(mail: Mail) -> bytes:
    """The headers of the content, an empty line, and the content; ends with a line end."""
    texts = [_part(kind, text) for kind, text in (("plain", mail.text), ("html", mail.html)) if text] or [_part("plain", "")]
    pictures = [file for file in mail.files if file.content_id and mail.html]
    if pictures:
        texts[-1] = _multipart("related", [texts[-1], *map(_inline, pictures)])
    invitations = [_invitation(file) for file in mail.files if _is_invitation(file)]
    body = _multipart("alternative", [*texts, *invitations]) if len(texts) + len(invitations) > 1 else texts[0]
    files = [_attached(file) for file in mail.files if file not in pictures]
    whole = _multipart("mixed", [body, *files]) if files else body
    return whole if whole.endswith(b"\r\n") else whole + b"\r\n"


def encoded(content: bytes) -> bytes:
    """The content as lines of base64, as every mail that carries it holds it."""
    whole = memoryview(content)
    lines = (binascii.b2a_base64(whole[at : at + _LINE_BYTES], newline=False) for at in range(0, len(whole), _LINE_BYTES))
    return b"\r\n".join(lines)


def _multipart(kind: str, parts: Sequence[bytes]) -> bytes:
    # never guessable, so that no variable's value can end a part and begin another
    boundary = f"=_{secrets.token_hex(16)}"
    line = f"--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
    return b"".join((head, *(piece for part in parts for piece in (line, part, b"\r\n")), f"--{boundary}--\r\n".encode()))


def _part(kind: str, text: str) -> bytes:
    if "\r" in text:
        text = _NEWLINES.sub("\n", text)
    if _is_7bit(text):
        head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        return (head + text.replace("\n", "\r\n")).encode("ascii")
    body = text.replace("\n", "\r\n").encode("utf-8", "replace")
    # quoted-printable triples each byte that is not ASCII, base64 adds a third to all of them
    if len(body) - len(text) > len(body) // 6:
        head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        return head.encode() + encoded(body)
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    printable = binascii.b2a_qp(body, istext=True)
    # it breaks lines as the text's first line ends, and with a bare LF where the text is one line: relays refuse that
    return head.encode() + (printable if b"\n" in body else printable.replace(b"\n", b"\r\n"))


def _is_7bit(text: str) -> bool:
    if not text.isascii() or _NOT_7BIT.search(text):
        return False
    return len(text) <= _BODY_LINE or max(map(len, text.split("\n"))) <= _BODY_LINE


def _inline(file: MailFile) -> bytes:
    return _file(file, "inline", f"Content-ID: <{file.content_id}>\r\n")


def _attached(file: MailFile) -> bytes:
    return _file(file, "attachment", f"Content-ID: <{file.content_id}>\r\n" if file.content_id else "")


def _file(file: MailFile, disposition: str, more: str) -> bytes:
    kind = "application/octet-stream" if _is_invitation(file) and disposition == "attachment" else file.content_type
    head = (
        f"Content-Type: {kind}{_named('name', file.filename)}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: {disposition}{_named('filename', file.filename)}\r\n{more}\r\n"
    )
    return head.encode("ascii") + file.body


def _is_invitation(file: MailFile) -> bool:
    """RFC 6047: what a mail program answers to is a part of its own, beside the texts."""
    return file.content_type.lower().startswith("text/calendar") and bool(_METHOD.search(file.content_type))


def _invitation(file: MailFile) -> bytes:
    kind = file.content_type if "charset=" in file.content_type.lower() else f"{file.content_type}; charset=utf-8"
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode("ascii") + file.body


def _named(parameter: str, filename: str) -> str:
    """The parameter of a header: quoted, or by RFC 2231 where it is not ASCII or too long for a line."""
    if filename.isascii() and len(filename) <= _PARAMETER:
        return f';\r\n\t{parameter}="{_QUOTED.sub(lambda found: chr(92) + found.group(), filename)}"'
    text = f"utf-8''{quote(filename.encode('utf-8', 'replace'), safe='')}"
    pieces = _pieces(text)
    if len(pieces) == 1:
        return f";\r\n\t{parameter}*={text}"
    return "".join(f";\r\n\t{parameter}*{number}*={piece}" for number, piece in enumerate(pieces))


def _pieces(text: str) -> list[str]:
    """Of a line's length each; none ends within a %XX."""
    pieces: list[str] = []
    while text:
        end = _PARAMETER
        while end < len(text) and "%" in text[end - 2 : end]:
            end -= 1
        pieces.append(text[:end])
        text = text[end:]
    return pieces
