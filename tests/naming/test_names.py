"""One spelling per e-mail address, password and time zone, whatever was typed."""

from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from naming.email_address import check_email, email_key
from naming.password import UnusablePassword, canonical_password
from naming.time_zones import check_time_zone

OF_NO_PLACE = {"localtime", "Factory"}


@pytest.mark.parametrize(
    "typed", ["lena@münchen.example", "Lena@MÜNCHEN.example", "lena@mu\u0308nchen.example", "lena@XN--MNCHEN-3YA.example"]
)
def test_every_spelling_of_an_address_has_one_key(typed: str) -> None:
    """Unicode, decomposed, upper case and IDNA: the key of what is kept is the key of what is looked up."""
    assert email_key(typed) == "lena@xn--mnchen-3ya.example" == email_key(check_email("email", typed))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ada", "must have an @-sign"),
        ("@example.com", "something before the @-sign"),
        ("ada@localhost", "should have a period"),
        ("ä@example.com", "need SMTPUTF8"),
        ('"a b"@example.com', "a quoted part"),
        ("a b@example.com", "invalid characters before the @-sign: SPACE"),
        ("a" * 65 + "@example.com", "too long before the @-sign"),
    ],
)
def test_a_refused_address_says_why(address: str, reason: str) -> None:
    """The rule is named, and what was typed is not repeated."""
    with pytest.raises(InvalidArgument, match=reason) as refused:
        check_email("email", address)
    assert address in {"ada", "@example.com"} or address not in refused.value.message
    assert email_key(address) is None


@pytest.mark.parametrize(
    ("typed", "zone"),
    [
        ("europe/paris", "Europe/Paris"), ("Asia/Calcutta", "Asia/Kolkata"), ("US/Eastern", "America/New_York"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Zulu", "UTC"), ("Etc/UTC", "UTC"), ("gmt", "UTC"), ("Europe/Stockholm", "Europe/Stockholm"), ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)  # fmt: skip
def test_a_time_zone_is_kept_under_its_present_name(typed: str, zone: str) -> None:
    """Old names and any case are understood; a country's own zone never becomes its neighbour's."""
    assert check_time_zone("timezone", typed) == zone


def test_every_zone_has_a_present_name_that_loads() -> None:
    """Canonical names are stable, and the runtime knows each of them."""
    for name in available_timezones() - OF_NO_PLACE:
        present = check_time_zone("timezone", name)
        assert check_time_zone("timezone", present) == present
        ZoneInfo(present)


@pytest.mark.parametrize("name", [*sorted(OF_NO_PLACE), "posixrules", "right/UTC", "../UTC", "Europe/Nowhere", ""])
def test_what_is_no_place_on_every_machine_is_no_zone(name: str) -> None:
    """`localtime` is another zone on the next machine, and missing on the one after it."""
    with pytest.raises(InvalidArgument):
        check_time_zone("timezone", name)


@pytest.mark.parametrize(
    ("typed", "kept"), [("A\u030angstro\u0308m", "Ångström"), ("two\u3000words", "two words"), ("Case IS kept", "Case IS kept")]
)
def test_a_password_is_the_same_from_every_keyboard(typed: str, kept: str) -> None:
    """RFC 8265 OpaqueString: NFC, and one kind of space."""
    assert canonical_password(typed) == kept


@pytest.mark.parametrize("typed", ["", "line\nbreak", "nul\0", "\ud800"])
def test_an_unusable_password_is_refused(typed: str) -> None:
    """Control characters, lone surrogates and nothing at all."""
    with pytest.raises(UnusablePassword):
        canonical_password(typed)


@given(st.text())
def test_a_canonical_password_stays_as_it_is(typed: str) -> None:
    """The form is idempotent, and no text makes it fail otherwise."""
    try:
        kept = canonical_password(typed)
    except UnusablePassword:
        return
    assert canonical_password(kept) == kept
