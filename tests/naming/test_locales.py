"""Locale tags: one spelling each, and the nearest content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naming.locales import UnknownLocale, canonical, chain, choose


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("en", "en"),
        ("PT-br", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("pt_BR.UTF-8", "pt-BR"),
        ("sr_RS@latin", "sr-Latn-RS"),
        ("ca_ES@euro", "ca-ES"),
        ("en-US-POSIX", "en-US-u-va-posix"),
        ("en_US_POSIX", "en-US-u-va-posix"),
        ("in", "id"),
        ("eng", "en"),
        ("sh", "sr-Latn"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("iw", "he"),
        ("de-1996", "de-1996"),
    ],
)
def test_a_tag_has_one_spelling(tag: str, expected: str) -> None:
    """Which is taken as it is: what was read can be written back."""
    assert canonical(tag) == canonical(expected) == expected


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "english",
        "xx-YY",
        "zz",
        "pt-BR-BR",
        "a",
        "12",
        "und",
        "mul",
        "en\n",
        "é",
        "en-" + "x" * 40,
        "-",
        "en--US",
        "en-Latn-US-scouse-basiceng-posix",
    ],
)
def test_a_tag_that_does_not_exist_is_refused(tag: str) -> None:
    with pytest.raises(UnknownLocale):
        canonical(tag)


@pytest.mark.parametrize(
    ("requested", "available", "expected"),
    [
        ("pt-BR", ["en", "pt", "pt-BR"], "pt-BR"),
        ("PT-br", ["en", "pt-BR"], "pt-BR"),
        ("pt-BR", ["en", "pt"], "pt"),
        ("pt-BR", ["en", "pt-PT"], "pt-PT"),
        ("pt", ["en", "pt-BR"], "pt-BR"),
        ("de", ["en", "pt"], "en"),
        ("", ["en", "pt"], "en"),
        ("nonsense tag", ["en", "pt"], "en"),
        ("zh-Hant-TW", ["en", "zh-Hant", "zh"], "zh-Hant"),
        ("zh-TW", ["en", "zh-Hans"], "en"),
        ("zh-TW", ["en", "zh"], "en"),
        ("zh-SG", ["en", "zh-Hans"], "zh-Hans"),
        ("sr-Latn", ["en", "sr"], "en"),
        ("iw-IL", ["en", "he"], "he"),
        ("he", ["en", "iw"], "iw"),
        ("in-ID", ["en", "id"], "id"),
        ("zh-TW", ["en", "zh-Hant", "zh"], "zh-Hant"),
        ("zh-Hant", ["en", "zh-TW", "zh"], "zh-TW"),
        ("zh-HK", ["en", "zh", "zh-TW"], "zh-TW"),
        ("cmn-TW", ["en", "zh", "zh-Hant"], "zh-Hant"),
        ("no", ["en", "nb"], "nb"),
        ("nb-NO", ["en", "no"], "no"),
        ("nn", ["nb", "nn-NO"], "nn-NO"),
        ("arb-EG", ["en", "ar"], "ar"),
        ("tl", ["en", "fil"], "fil"),
        ("sh", ["en", "sr", "sr-Latn"], "sr-Latn"),
        ("en-US-POSIX", ["fr", "en-US"], "en-US"),
        ("es-MX", ["en", "es-ES", "es-419"], "es-419"),
        ("es-MX", ["en", "es", "es-419"], "es-419"),
        ("es-MX", ["en", "es", "es-AR"], "es"),
        ("pt-AO", ["en", "pt", "pt-PT"], "pt-PT"),
        ("pt-BR", ["en", "pt", "pt-PT"], "pt"),
        ("en-AU", ["fr", "en", "en-001"], "en-001"),
        ("en-DE", ["fr", "en", "en-150"], "en-150"),
        ("zh-Hant-MO", ["en", "zh-Hant", "zh-Hant-HK"], "zh-Hant-HK"),
        ("hi-Latn", ["de", "en-IN"], "en"),
        ("de", ["en", "no"], "en"),
    ],
)
def test_the_nearest_content_serves(requested: str, available: list[str], expected: str) -> None:
    """The same, then shorter, then the language in another region but the same script, then the default."""
    assert choose(requested, available, "en") == expected


@pytest.mark.parametrize(
    ("requested", "chosen", "looked_for"),
    [
        ("pt-BR", "pt", ("pt-BR", "pt")),
        ("es-MX", "es", ("es-MX", "es-419", "es")),
        ("es-MX", "es-419", ("es-MX", "es-419")),
        ("en-DE", "en", ("en-DE", "en-150", "en-001", "en")),
        # what is there in simplified characters was not looked for
        ("zh-TW", "zh-Hant", ("zh-TW", "zh-Hant")),
        ("nn", "nb", ("nn", "no", "nb")),
        ("de", "en", ("de", "en")),
        ("nonsense tag", "en", ("en",)),
    ],
)
def test_the_chain_says_what_was_looked_for(requested: str, chosen: str, looked_for: tuple[str, ...]) -> None:
    assert chain(requested, chosen) == looked_for


@given(st.text(max_size=40))
def test_any_request_is_answered_with_what_there_is(requested: str) -> None:
    assert choose(requested, ["en", "pt-BR", "zh-Hant"], "en") in {"en", "pt-BR", "zh-Hant"}
