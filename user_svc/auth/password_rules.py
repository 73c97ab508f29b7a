"""What a new password must be: long enough, and none of those that are guessed first (NIST SP 800-63B-4, section 3.1.1.2)."""

from collections.abc import Collection

from zxcvbn import zxcvbn

from mesh.errors import InvalidArgument
from naming.password import UnusablePassword, canonical_password

# The least that NIST allows for a password that is the only factor.
MIN_PASSWORD_LENGTH = 15
MAX_PASSWORD_LENGTH = 256

# The estimate takes time that grows faster than the text; what is longer is not found by guessing its beginning.
_JUDGED_LENGTH = 72
# Guesses in which a dictionary attack finds it. The backoff of logins leaves an attacker thousands a year.
_LEAST_GUESSES = 1_000_000
_SERVICE_WORDS = ("clarion", "notification", "notifications")


def check_password(field: str, value: str, *, known_words: Collection[str] = ()) -> str:
    """The password as it is hashed. `known_words` are what a guesser tries first for this person: address and name.

    Takes tens of milliseconds of a core. Raises InvalidArgument, which never repeats the password.
    """
    try:
        password = canonical_password(value) if value else ""
    except UnusablePassword:
        raise InvalidArgument.of(field, "must not contain line breaks or other invisible characters") from None
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidArgument.of(field, f"must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters; a few words make a good one")
    if password.casefold() in {word.casefold() for word in known_words} or _guesses(password, known_words) < _LEAST_GUESSES:
        raise InvalidArgument.of(
            field, "is among those that are guessed first; use a few words that do not belong together", reason="PASSWORD_TOO_COMMON"
        )
    return password


def _guesses(password: str, known_words: Collection[str]) -> float:
    words = [part for word in (*_SERVICE_WORDS, *known_words) for part in (word, *word.replace("@", " ").split()) if part]
    return float(zxcvbn(password[:_JUDGED_LENGTH], user_inputs=words, max_length=_JUDGED_LENGTH)["guesses"])
