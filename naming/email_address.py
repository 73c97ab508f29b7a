"""E-mail addresses: what is one, how it is kept, and the key under which every look-up finds it."""

import re
from functools import lru_cache

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from mesh.errors import InvalidArgument

# A local part that needs no second look (RFC 5321, Dot-string), and more than which an address is looked at as a whole.
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_LOCAL_LENGTH, _PLAIN_LENGTH = 64, 200
# What the validator quotes of the address, in brackets at the end of its sentence.
_QUOTATION = re.compile(r"\s*\(.*$", re.DOTALL)


def check_email(field: str, value: str) -> str:
    """The address as it is kept: as given, but with its domain in ASCII (IDNA 2008 with UTS 46 mapping).

    Raises InvalidArgument, which says what is wrong and never repeats the address.
    """
    if _is_plain(value):
        return value
    try:
        return _kept(value, _parse(value))
    except EmailNotValidError as error:
        raise InvalidArgument.of(field, f"must be an e-mail address such as ada@example.com: {_reason(value, error)}") from None


def email_key(address: str) -> str | None:
    """What two spellings of one address have in common; None when it is not an address. Case is ignored, as providers do."""
    if _is_plain(address):
        return address.lower()
    try:
        return _kept(address, _parse(address)).lower()
    except EmailNotValidError:
        return None


def domain_key(domain: str) -> str | None:
    """What two spellings of one domain have in common; None when no address can have it."""
    key = email_key(f"a@{domain}")
    return None if key is None else key.rpartition("@")[2]


def _is_plain(value: str) -> bool:
    """Whether it is an address as nearly all are. Lists of people have few domains, and a domain is what takes the validator long."""
    local, _, domain = value.rpartition("@")
    if not value.isascii() or len(value) > _PLAIN_LENGTH or len(local) > _PLAIN_LOCAL_LENGTH or not _PLAIN.fullmatch(local):
        return False
    return _is_domain(domain)


@lru_cache(maxsize=4096)
def _is_domain(domain: str) -> bool:
    try:
        _parse(f"a@{domain}")
    except EmailNotValidError:
        return False
    return True


def _parse(value: str) -> ValidatedEmail:
    return validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True)


def _kept(given: str, address: ValidatedEmail) -> str:
    return given if given.isascii() else f"{address.ascii_local_part}@{address.ascii_domain}"


def _reason(value: str, error: EmailNotValidError) -> str:
    local, at, _ = value.rpartition("@")
    if at and not local.isascii():
        return "letters outside ASCII before the @-sign need SMTPUTF8, which most mail servers do not take"
    if local.startswith('"'):
        return "a quoted part before the @-sign is not supported"
    sentence = _QUOTATION.sub("", str(error)).rstrip(".")
    return sentence[:1].lower() + sentence[1:]
