"""Lines of text for people."""

import pytest

from mesh.errors import InvalidArgument
from naming.text import check_label, check_name, check_text


@pytest.mark.parametrize("value", [" ", "\u00a0", "\u3000 \t", "\n", "\u200b", "\ufeff ", "\u3164", "\u2800\u00ad"])
def test_a_name_is_not_blank(value: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_name("category.texts.en.name", value)
    assert "blank" in str(refused.value.violations)


@pytest.mark.parametrize("value", ["", "News", " News ", "-", "\u674e", "\u00e9 \U0001f3f3"])
def test_a_name_is_kept_as_it_is(value: str) -> None:
    assert check_name("name", value) == check_text("name", value) == value


@pytest.mark.parametrize("value", ["a\nb", "a\0", "\x85a", "a\u2028b", "a\u2029"])
def test_a_line_has_no_control_characters(value: str) -> None:
    for check in (check_name, check_text):
        with pytest.raises(InvalidArgument):
            check("name", value)


@pytest.mark.parametrize("value", ["photo\u202egpj.docm", "\u2066a", "a\u2028b"])
def test_a_label_is_shown_as_it_is_written(value: str) -> None:
    with pytest.raises(InvalidArgument):
        check_label("name", value)
    assert check_label("name", "\u05e7\u05d5\u05d1\u05e5.pdf") == "\u05e7\u05d5\u05d1\u05e5.pdf"
