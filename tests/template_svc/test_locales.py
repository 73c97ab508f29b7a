"""Locale tags: one spelling each, and the nearest content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from template_svc.locales import UnknownLocale, canonical, choose


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("en", "en"), ("PT-br", "pt-BR"), ("pt_BR", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW"), ("iw", "he"), ("de-1996", "de-1996")],
)
def test_a_tag_has_one_spelling(tag: str, expected: str) -> None:
    assert canonical(tag) == expected


@pytest.mark.parametrize(
    "tag", ["", "english", "xx-YY", "zz", "pt-BR-BR", "a", "12", "und", "mul", "en\n", "é", "en-" + "x" * 40, "-", "en--US"]
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
    ],
)
def test_the_nearest_content_serves(requested: str, available: list[str], expected: str) -> None:
    """The same, then shorter, then the language in another region but the same script, then the default."""
    assert choose(requested, available, "en") == expected


@given(st.text(max_size=40))
def test_any_request_is_answered_with_what_there_is(requested: str) -> None:
    assert choose(requested, ["en", "pt-BR", "zh-Hant"], "en") in {"en", "pt-BR", "zh-Hant"}
