"""What a link in a mail about an account is."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from naming.account_mails import ADDRESS_VERIFICATION, NEW_ADDRESS, PASSWORD_RESET


class Purpose(StrEnum):
    """What a link does."""

    PASSWORD_RESET = "password_reset"  # noqa: S105  a purpose, and no password
    ADDRESS_VERIFICATION = "address_verification"
    NEW_ADDRESS = "new_address"  # as the one above, of an address that is not the primary one


LIFE = {
    Purpose.PASSWORD_RESET: timedelta(minutes=30),
    Purpose.ADDRESS_VERIFICATION: timedelta(hours=24),
    Purpose.NEW_ADDRESS: timedelta(hours=24),
}
TEMPLATE_OF = {
    Purpose.PASSWORD_RESET: PASSWORD_RESET,
    Purpose.ADDRESS_VERIFICATION: ADDRESS_VERIFICATION,
    Purpose.NEW_ADDRESS: NEW_ADDRESS,
}
PURPOSE_OF = {template: purpose for purpose, template in TEMPLATE_OF.items()}
# The page of the console that a link leads to.
PAGE_OF = {
    Purpose.PASSWORD_RESET: "reset-password",
    Purpose.ADDRESS_VERIFICATION: "verify-address",
    Purpose.NEW_ADDRESS: "verify-address",
}
MOST_AN_HOUR = 3


class NewLink(NamedTuple):
    """A link before it is kept: its id, and the hash of the token that follows from it."""

    id: str
    sha256: bytes


class OpenLink(NamedTuple):
    """A link that works. `known_words` are what a guesser of passwords tries first for its person."""

    id: str
    project: str
    user_id: str
    sha256: bytes
    known_words: tuple[str, ...] = ()


class AccountMail(NamedTuple):
    """A mail that is to be sent."""

    id: str
    project: str
    user_id: str
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class AccountSecret:
    """What only the mail holds. `link` is empty where the console's address is not known."""

    link: str = field(repr=False)
    code: str = field(repr=False)
    brand: str


class AddressLink(NamedTuple):
    """A link for an address that is not the primary one, where it is to be mailed, and the brand of the person's project."""

    link: OpenLink
    address: str
    brand: str


class AddressMail(NamedTuple):
    """What a mail to an address that is not the primary one holds, and where it goes."""

    address: str
    secret: AccountSecret


class Asked(StrEnum):
    """What came of asking for a person's mail."""

    TO_BE_SENT = "to_be_sent"
    NEEDLESS = "needless"  # it is verified already
    NO_PERSON = "no_person"
    NO_ADDRESS = "no_address"
    TOO_MANY = "too_many"
