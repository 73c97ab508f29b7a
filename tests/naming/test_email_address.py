"""Facts about addresses: the short way that most take decides as the validator does."""

import string

from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from naming.email_address import check_email, email_key

_PARTS = st.text(string.ascii_letters + string.digits + "!#%&'*+-/=?^_`{|}~.\"\\ @[](),:;<>ü\x00", max_size=12)
_DOMAINS = st.one_of(
    st.sampled_from(
        [
            "example.com",
            "EXAMPLE.com",
            "a.b-c.example",
            "münchen.example",
            "xn--mnchen-3ya.example",
            "-a.example",
            "localhost",
            "[127.0.0.1]",
        ]
    ),
    st.text(string.ascii_letters + string.digits + "-.", max_size=20),
)


def _validated(address: str) -> str | None:
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True)
    except EmailNotValidError:
        return None
    return address if address.isascii() else f"{found.ascii_local_part}@{found.ascii_domain}"


@given(st.builds("{}@{}".format, st.one_of(_PARTS, st.from_regex(r"[a-z.]{60,70}", fullmatch=True)), _DOMAINS))
@example(f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.example")
@example(f"{'a' * 65}@example.com")
@example("ada@example.com\n")
@example("@example.com")
@example("ada")
def test_an_address_is_one_when_the_validator_says_so(address: str) -> None:
    """Twice, since what is known of a domain is kept."""
    expected = _validated(address)
    for _ in range(2):
        try:
            kept = check_email("email", address)
        except InvalidArgument:
            kept = None
        assert kept == expected
        assert email_key(address) == (None if expected is None else expected.lower())
