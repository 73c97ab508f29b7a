"""Facts about what may be typed into a field."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from naming.email_address import check_email
from naming.text import check_text
from user_svc.auth.password_rules import check_password
from user_svc.fields import check_word, locale_or_default, timezone_or_default


@pytest.mark.parametrize("address", ["ada@example.com", "Ada.Lovelace+news@Mail.Example.COM", "a@b.test"])
def test_a_sound_address_is_kept_as_given(address: str) -> None:
    """Nobody's spelling of their own address is changed."""
    assert check_email("email", address) == address


def test_an_international_domain_is_kept_in_ascii() -> None:
    """SMTP servers know the IDNA form only."""
    assert check_email("email", "ada@exämple.de") == "ada@xn--exmple-cua.de"


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com\r\nBcc: eve@example.com", "ada\n@example.com", "ada\0@example.com", "ada@example.com ", "ada", "@example.com",
        "ada@", "ada@localhost", "a b@example.com", "ada@[127.0.0.1]", "ädä@example.com", "a" * 65 + "@example.com", "a@b..com",
    ],
)  # fmt: skip
def test_a_bad_address_is_refused_without_repeating_it(address: str) -> None:
    """The message names the field and the rule, and holds no part of what was typed."""
    with pytest.raises(InvalidArgument) as refused:
        check_email("user.email", address)
    message = refused.value.message
    prefix = "user.email: must be an e-mail address such as ada@example.com: "
    assert message.startswith(prefix)
    assert address in {"ada", "ada@", "@example.com"} or address not in message


@given(st.text(max_size=60))
def test_no_text_makes_the_address_check_fail_otherwise(text: str) -> None:
    """Any text is either an address without control characters or refused as one."""
    with suppress(InvalidArgument):
        assert check_email("email", text).isprintable()


@pytest.mark.parametrize(
    ("given_tag", "kept"),
    [("", "en"), ("en", "en"), ("pt-br", "pt-BR"), ("ZH-hans-cn", "zh-Hans-CN"), ("es-419", "es-419"), ("pt_BR", "pt-BR"), ("iw", "he")],
)
def test_a_real_locale_is_kept_in_its_usual_case(given_tag: str, kept: str) -> None:
    """An empty one means English."""
    assert locale_or_default("locale", given_tag) == kept


@pytest.mark.parametrize(
    "locale", ["xx-YY-zz!", "qq", "xx-YY", "english", "e", "en-", "-en", "und", "mul", "x-private", "en us", "en\n", "en-0"]
)
def test_an_invented_locale_is_refused_by_name(locale: str) -> None:
    """The message names the field."""
    with pytest.raises(InvalidArgument, match=r"^user\.locale: .*BCP 47"):
        locale_or_default("user.locale", locale)


@given(st.text(max_size=40))
def test_no_text_makes_the_locale_check_fail_otherwise(text: str) -> None:
    """Any text is either a language tag or refused as one."""
    with suppress(InvalidArgument):
        assert locale_or_default("locale", text)


@pytest.mark.parametrize(("zone", "kept"), [("", "UTC"), ("Europe/Paris", "Europe/Paris"), ("asia/calcutta", "Asia/Kolkata")])
def test_a_real_zone_is_kept(zone: str, kept: str) -> None:
    """An empty one means UTC."""
    assert timezone_or_default("timezone", zone) == kept


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "UTC+1", " UTC"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """Only names of the IANA database will do."""
    with pytest.raises(InvalidArgument, match=r"timezone: is not a known time zone"):
        timezone_or_default("timezone", zone)


@pytest.mark.parametrize("text", ["two\nlines", "tab\t", "nul\0", "bell\a", "c1\x85"])
def test_control_characters_are_refused_in_names(text: str) -> None:
    """They could break a header or a log line, and PostgreSQL refuses NUL."""
    with pytest.raises(InvalidArgument, match="name: must not contain line breaks"):
        check_text("name", text)


def test_names_of_every_script_are_kept() -> None:
    """Control characters are the only ones refused."""
    assert check_text("name", "Žofie 李小龍 👩‍🚀") == "Žofie 李小龍 👩‍🚀"


@pytest.mark.parametrize("length", [0, 14, 257])
def test_a_password_has_15_to_256_characters(length: int) -> None:
    """Both bounds of NIST SP 800-63B-4 for a single factor are named; characters are counted, not bytes."""
    with pytest.raises(InvalidArgument, match="password: must have 15 to 256 characters"):
        check_password("password", ("Żółw pije wodę. " * 20)[:length])
    assert len(check_password("password", "Żółw pije wodę.")) == 15


@pytest.mark.parametrize(
    "password",
    ["passwordpassword", "123456789012345", "qwertyuiopasdfgh", "aaaaaaaaaaaaaaa", "iloveyouiloveyou", "P4ssword12345678",
     "lena@example.com",
     "LENA@example.COM", "lenalenalenalena", "clarionclarion1", "password" * 32],
)  # fmt: skip
def test_a_password_that_is_guessed_first_is_refused(password: str) -> None:
    """Leaked ones, simple changes to them, the service's name and the person's own words; the message does not repeat it."""
    with pytest.raises(InvalidArgument, match="password: is among those that are guessed first") as refused:
        check_password("password", password, known_words=("lena@example.com", "Lena"))
    assert refused.value.reason == "PASSWORD_TOO_COMMON"
    assert password not in str(refused.value)


@pytest.mark.parametrize("password", ["correct horse battery", "clarion-development", "Żółw pije wodę.", "x9!Kq#2mVz&7Lp@4"])
def test_a_password_of_any_composition_is_taken(password: str) -> None:
    """NIST forbids rules about the kinds of characters."""
    assert check_password("password", password) == password


@pytest.mark.parametrize("word", ["", "Bounce", "hard bounce", "bounce:hard", "-x"])
def test_a_word_is_machine_readable(word: str) -> None:
    """It becomes part of the rule that a skipped notification shows."""
    with pytest.raises(InvalidArgument, match="reason"):
        check_word("reason", word)
