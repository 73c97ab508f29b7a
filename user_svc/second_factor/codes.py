"""Codes: of authenticator apps (TOTP, RFC 6238, with what every app takes: SHA-1, 6 digits, 30 s), and recovery codes.

`cryptography` generates them; it is here for sealing already.
"""

import base64
import hashlib
import secrets
from datetime import datetime

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_S = 30
DIGITS = 6
# RFC 4226 asks for 160 bits.
SECRET_BYTES = 20
RECOVERY_CODES = 10
# 80 bits: no guesser of a hash gets through them.
_RECOVERY_BYTES = 10
_GROUP = 4
# The code before and after count too: clocks of phones differ, and people type slowly.
_STEPS_OFF = (0, -1, 1)


def new_secret() -> bytes:
    """Random."""
    return secrets.token_bytes(SECRET_BYTES)


def base32_of(secret: bytes) -> str:
    """As people type it into an app."""
    return base64.b32encode(secret).decode()


def uri_of(secret: bytes, account: str, issuer: str) -> str:
    """As apps open or scan it."""
    return _totp(secret).get_provisioning_uri(account, issuer)


def step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """The step whose code it is, of those around now; None where it is none's. Takes as long whichever it is."""
    given, present = code.encode(), int(now.timestamp()) // STEP_S
    fitting = [present + off for off in _STEPS_OFF if bytes_eq(_totp(secret).generate((present + off) * STEP_S), given)]
    return fitting[0] if fitting else None


def normal(code: str) -> str:
    """As it is compared: people type blanks and hyphens, and capitals."""
    return "".join(code.split()).replace("-", "").lower()


def is_app_code(code: str) -> bool:
    """Whether it has the form of an app's, in its normal form; all others are tried as recovery codes."""
    return len(code) == DIGITS and code.isascii() and code.isdigit()


def new_recovery_codes() -> list[str]:
    """As they are shown, such as "abcd-efgh-ijkl-mnop"."""
    return [_grouped(base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()) for _ in range(RECOVERY_CODES)]


def hash_of(code: str) -> bytes:
    """As a recovery code is kept."""
    return hashlib.sha256(normal(code).encode()).digest()


def _grouped(text: str) -> str:
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303  what RFC 6238 prescribes, and the only one that all apps take
