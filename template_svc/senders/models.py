"""Senders and sender domains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

MAX_PER_PROJECT = 100
# What a DKIM record begins with (RFC 6376, section 3.6.1).
_RECORD = "v=DKIM1; k=rsa; p="


class SenderKey(NamedTuple):
    """Names a sender."""

    project: str
    name: str


class DomainKey(NamedTuple):
    """Names a sender domain; `domain` is in ASCII and lower case."""

    project: str
    domain: str


@dataclass(frozen=True, slots=True)
class NewSender:
    """From whom mails are to be. `domain` is the sender domain that allows the address, None for one that the installation trusts."""

    email: str = field(repr=False)
    display_name: str
    reply_to_email: str = field(repr=False)
    is_default: bool
    domain: str | None


@dataclass(frozen=True, slots=True)
class Sender(NewSender):
    """From whom mails are."""

    name: str
    update_time: datetime


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A DKIM key. `private_key` is PKCS #8 in DER, `public_key` the base64 that the record holds."""

    selector: str
    private_key: bytes = field(repr=False)
    public_key: str


class Record(NamedTuple):
    """A key as DNS shows it."""

    domain: str
    selector: str
    public_key: str

    @property
    def name(self) -> str:
        """Where receivers look for it."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def value(self) -> str:
        """What they are to find there."""
        return _RECORD + self.public_key


@dataclass(frozen=True, slots=True)
class SenderDomain:
    """A domain that a project's mails may be from once it is `verified`. `problem` is what the last look at DNS found wrong.

    `next` is the key that is to take the place of the present one, `former` that before it, since `rotate_time`.
    """

    record: Record
    verified: bool
    problem: str
    create_time: datetime
    check_time: datetime | None
    next: Record | None = None
    next_problem: str = ""
    former: Record | None = None
    rotate_time: datetime | None = None

    @property
    def domain(self) -> str:
        """Its name."""
        return self.record.domain

    @property
    def selector(self) -> str:
        """Of the key that signs."""
        return self.record.selector


class Look(NamedTuple):
    """What a look at DNS found wrong with the keys of these selectors; empty for nothing."""

    selector: str
    problem: str
    next_selector: str = ""
    next_problem: str = ""


class Identity(NamedTuple):
    """From whom one mail is; without `dkim_selector` it is not signed."""

    email: str
    display_name: str
    reply_to_email: str
    dkim_domain: str = ""
    dkim_selector: str = ""


class Identities(NamedTuple):
    """A project's senders by name, and the default one where there is one."""

    by_name: Mapping[str, Identity]
    default: Identity | None

    def of(self, name: str) -> Identity | None:
        """That of the name, else the default one; None for the installation's own."""
        return self.by_name.get(name, self.default)


NO_IDENTITIES = Identities({}, None)


def parents_of(domain: str) -> list[str]:
    """The domain and those above it, the longest first, without top-level domains: an owner of one owns what is below it."""
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)]


def key_in(record: str) -> str:
    """The public key of a DKIM record's text; empty where it is none, or a key that was revoked."""
    tags = dict(pair for part in record.split(";") if len(pair := [each.strip() for each in part.split("=", 1)]) == 2)
    if tags.get("v", "DKIM1") != "DKIM1":
        return ""
    return "".join(tags.get("p", "").split())
