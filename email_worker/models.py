"""A mail before and after it is composed."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MailSender:
    """From whom a mail is. `project`, `dkim_domain` and `dkim_selector` name the key that signs it; without a selector there is none."""

    email: str = field(repr=False)
    name: str = ""
    reply_to: str = field(default="", repr=False)
    project: str = ""
    dkim_domain: str = ""
    dkim_selector: str = ""


@dataclass(frozen=True, slots=True)
class MailFile:
    """A file of a mail. `body` is its content as lines of base64; `content_id` is how the HTML names a picture, empty for none."""

    filename: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """One text for one person. At least one of `text` and `html` is set. `id` is unique per mail and stable across its attempts."""

    id: str
    address: str = field(repr=False)
    name: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    correlation_id: str = ""
    # what refuses mails of this category in one click (RFC 8058); empty for one that can't be refused
    unsubscribe_url: str = field(default="", repr=False)
    # what the provider's events name it by; empty where none are asked for
    notification_id: str = ""
    # None for the worker's own
    sender: MailSender | None = None
    files: tuple[MailFile, ...] = ()


@dataclass(frozen=True, slots=True)
class ComposedMail:
    """What goes over the wire. `utf8` asks for SMTPUTF8, since the address can't be written in ASCII."""

    recipient: str = field(repr=False)
    message: bytes = field(repr=False)
    # where it comes back to (the envelope's sender); empty for the sender's own address
    returns_to: str = field(default="", kw_only=True)
    utf8: bool = False
