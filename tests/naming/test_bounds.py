"""What a key is narrowed to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naming.bounds import covers, covers_address, domain_pattern

WORDS = st.text("abz0-_.", min_size=1, max_size=8)


@given(WORDS, WORDS)
def test_a_pattern_stands_for_all_that_begin_so_and_a_name_for_itself(beginning: str, rest: str) -> None:
    assert covers([f"{beginning}*"], beginning + rest)
    assert covers([beginning], beginning)
    assert not covers([beginning], beginning + rest)
    assert not covers([f"{beginning}{rest}*"], beginning)


@pytest.mark.parametrize(
    ("domains", "address", "covered"),
    [
        (["own.example"], "ada@own.example", True),
        (["own.example"], "ada@OWN.Example", True),
        (["own.example"], "ada@mail.own.example", False),
        (["own.example"], "ada@notown.example", False),
        (["*.own.example"], "ada@mail.own.example", True),
        (["*.own.example"], "ada@own.example", False),
        (["*.own.example"], "ada@notown.example", False),
        (["xn--mnchen-3ya.example"], "ada@m\u00fcnchen.example", True),
        (["own.example"], '"@own.example"@evil.example', False),
        (["own.example"], "", False),
        (["own.example"], "own.example", False),
    ],
)
def test_an_address_is_of_a_domain_by_all_of_its_domain(domains: list[str], address: str, covered: bool) -> None:
    assert covers_address(domains, address) is covered


@pytest.mark.parametrize(
    ("given_as", "kept"),
    [
        ("Example.COM", "example.com"),
        ("*.m\u00fcnchen.example", "*.xn--mnchen-3ya.example"),
        ("*", None),
        ("*.", None),
        ("", None),
        ("a.*.example", None),
        ("ada@example.com", None),
        ("exa mple.com", None),
        ("*.*.example.com", None),
    ],
)
def test_a_domain_is_kept_in_lower_case_and_ascii(given_as: str, kept: str | None) -> None:
    assert domain_pattern(given_as) == kept
