"""What a link in a mail about an account is."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from naming.account_mails import ADDRESS_VERIFICATION, PASSWORD_RESET


class Purpose(StrEnum):
    """What a link does."""

    PASSWORD_RESET = "password_reset"  # noqa: S105  a purpose, and no password
    ADDRESS_VERIFICATION = "address_verification"


LIFE = {Purpose.PASSWORD_RESET: timedelta(minutes=30), Purpose.ADDRESS_VERIFICATION: timedelta(hours=24)}
TEMPLATE_OF = {Purpose.PASSWORD_RESET: PASSWORD_RESET, Purpose.ADDRESS_VERIFICATION: ADDRESS_VERIFICATION}
PURPOSE_OF = {template: purpose for purpose, template in TEMPLATE_OF.items()}
# The page of the console that a link leads to.
PAGE_OF = {Purpose.PASSWORD_RESET: "reset-password", Purpose.ADDRESS_VERIFICATION: "verify-address"}
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


class Asked(StrEnum):
    """What came of asking for a person's mail."""

    TO_BE_SENT = "to_be_sent"
    NEEDLESS = "needless"  # it is verified already
    NO_PERSON = "no_person"
    NO_ADDRESS = "no_address"
    TOO_MANY = "too_many"
