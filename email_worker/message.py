"""Composes mails as bytes (RFC 5322, 2045 to 2047), fast and closed to header injection.

`email.message.EmailMessage` costs 3 ms a mail, half of everything that a notification costs. Here the few headers that we send are
written directly, with the encoders of the standard library; tests prove with its parser that what is read is what was meant.
"""

import binascii
import re
from email.utils import formatdate, parseaddr

import idna

from email_worker.errors import UnsafeMail
from email_worker.models import ComposedMail, Mail, MailSender
from email_worker.parts import content_of
from mesh import ids
from naming.bounce_address import BounceAddresses

# Controls, and the separators that Python and some mail programs take for line ends.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_LOCAL_PART = re.compile(r"[^\s\"(),:;<>@\[\\\]]+")
_HEADER_LINE = 76  # RFC 2047: a line that holds an encoded word
_WORD_BYTES = 39  # 52 characters of base64: fits a line beside the longest of our header names
_ID = re.compile(r"[0-9a-f-]{36}")
# What each provider takes from a mail and puts into its events about it, by the provider's name.
EVENT_HEADERS = {
    "sendgrid": 'X-SMTPAPI: {"unique_args": {"clarion_notification_id": "{id}"}}\r\n',
    "ses": "X-SES-MESSAGE-TAGS: clarion_notification_id={id}\r\nX-Clarion-Notification-ID: {id}\r\n",
    "mailgun": 'X-Mailgun-Variables: {"clarion_notification_id": "{id}"}\r\n',
}


class Composer:
    """Writes mails from one sender. `sender` is an address with or without a display name, such as `Clarion <no-reply@example.com>`.

    `domain` stands on the right of every Message-ID; by default the sender's.
    `events` is the provider whose events are to name the notification (a key of EVENT_HEADERS); empty for none.
    `bounces` makes the addresses to which mails come back; None for the sender's own.
    """

    def __init__(self, sender: str, *, domain: str = "", events: str = "", bounces: BounceAddresses | None = None) -> None:
        name, address = parseaddr(sender)
        self.sender = _address(address)[0]
        self._domain = domain or self.sender.rpartition("@")[2]
        self._bounces = bounces
        self._event_header = EVENT_HEADERS.get(events, "")
        self._from = _mailbox("From", name, self.sender)
        if not self.sender.isascii():
            raise UnsafeMail("SENDER_INVALID", "the sender's address must be ASCII")

    def compose(self, mail: Mail) -> ComposedMail:
        """The finished mail. Raises UnsafeMail for an address or a subject that can't be sent safely."""
        if _CONTROL.search(mail.subject):
            raise UnsafeMail("SUBJECT_INVALID", "the subject holds a line break or another control character")
        recipient, utf8 = _address(mail.address)
        # a name is decoration: one that could break a header is left out and does not cost the person the mail
        name = "" if _CONTROL.search(mail.name) else mail.name.strip()
        head = (
            f"From: {self._from if mail.sender is None else _from(mail.sender)}\r\n"
            f"To: {_mailbox('To', name, recipient)}\r\n"
            f"Subject: {_unstructured('Subject', mail.subject)}\r\n"
            f"Date: {formatdate(usegmt=True).replace('GMT', '+0000')}\r\n"
            f"Message-ID: <{mail.id}@{self._domain}>\r\n"
            "Auto-Submitted: auto-generated\r\n"
            "MIME-Version: 1.0\r\n"
        )
        if mail.sender is not None and mail.sender.reply_to:
            head += f"Reply-To: {_address(mail.sender.reply_to)[0]}\r\n"
        if mail.correlation_id and not _CONTROL.search(mail.correlation_id):
            head += f"X-Correlation-ID: {_unstructured('X-Correlation-ID', mail.correlation_id)}\r\n"
        if self._event_header and _ID.fullmatch(mail.notification_id):
            head += self._event_header.replace("{id}", mail.notification_id)
        if mail.unsubscribe_url:
            # RFC 2369 and 8058: mail programs show a button, and receivers of many mails ask for it
            head += f"List-Unsubscribe: <{mail.unsubscribe_url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        returns_to = ""
        if self._bounces is not None and (notification_id := ids.parse(mail.notification_id)) is not None:
            returns_to = self._bounces.address(notification_id)
        return ComposedMail(recipient, head.encode() + content_of(mail), utf8, returns_to=returns_to)


def _from(sender: MailSender) -> str:
    """Raises UnsafeMail."""
    address, utf8 = _address(sender.email)
    if utf8 or _CONTROL.search(sender.name):
        raise UnsafeMail("SENDER_INVALID", "the sender's address or name can't be written as a header")
    return _mailbox("From", sender.name, address)


def _unstructured(header: str, value: str) -> str:
    """A header's text: as it is where every reader gets exactly that, else in encoded words."""
    plain = value.isascii() and "=?" not in value and value == value.strip()
    if plain and len(header) + 2 + len(value) <= _HEADER_LINE:
        return value
    return _encoded_words(value)


def _encoded_words(value: str) -> str:
    words: list[str] = []
    chunk = b""
    for character in value:
        encoded = character.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > _WORD_BYTES:
            words.append(_encoded_word(chunk))
            chunk = b""
        chunk += encoded
    if chunk:
        words.append(_encoded_word(chunk))
    return "\r\n ".join(words)


def _encoded_word(chunk: bytes) -> str:
    return f"=?utf-8?b?{binascii.b2a_base64(chunk, newline=False).decode()}?="


def _mailbox(header: str, name: str, address: str) -> str:
    if not name:
        return address
    if not name.isascii() or "=?" in name or len(header) + len(name) > 60:
        shown = _encoded_words(name)
    elif _ATOMS.fullmatch(name) and "  " not in name:
        shown = name
    else:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        shown = f'"{quoted}"'
    # an address may be 254 characters long: it gets a line of its own where it must
    last = len(shown) - shown.rfind("\n")
    separator = " " if len(header) + 2 + last + len(address) + 3 <= _HEADER_LINE else "\r\n "
    return f"{shown}{separator}<{address}>"


def _address(address: str) -> tuple[str, bool]:
    """The address as SMTP takes it and whether it needs SMTPUTF8. An international domain is written in ASCII (IDNA)."""
    local, _, domain = address.rpartition("@")
    if not local or not domain or len(address) > 254 or _CONTROL.search(address):
        raise UnsafeMail("ADDRESS_INVALID", "the address is not one that can be sent to")
    if not _LOCAL_PART.fullmatch(local) or not _LOCAL_PART.fullmatch(domain):
        raise UnsafeMail("ADDRESS_INVALID", "the address holds characters that are not allowed unquoted")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise UnsafeMail("ADDRESS_INVALID", "the address's domain is not a domain name") from error
    return f"{local}@{domain}", not local.isascii()
