"""What others have written does not steer the terminal of who reads it."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from clarion_client.cli.harmless import HarmlessConsole, harmless, json_text

STEERING = ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x7f", "\r", "\u202e", "\u2066", "\u200f"]


def printed(*what: object) -> str:
    out = io.StringIO()
    HarmlessConsole(file=out, highlight=False, emoji=False, soft_wrap=True, width=200).print(*what, markup=False)
    return out.getvalue()


@pytest.mark.parametrize("text", STEERING)
def test_it_is_shown_and_not_done(text: str) -> None:
    table = Table(box=None)
    table.add_column("name")
    table.add_row(f"Ada {text} Lovelace")
    for said in (printed(f"Ada {text} Lovelace"), printed(table)):
        assert said.replace("\n", "").isprintable()
        assert "Ada" in said


def test_colours_of_our_own_stay() -> None:
    out = io.StringIO()
    HarmlessConsole(file=out, force_terminal=True, color_system="standard", highlight=False, _environ={}).print("[red]a\x1b[2Jb[/red]")
    assert out.getvalue() == "\x1b[31ma\\x1b[2Jb\x1b[0m\n"


def test_lines_tabs_and_letters_of_all_languages_stay() -> None:
    text = "a\tb\nשלום 你好 é 👩‍👩‍👧"
    assert harmless(text) == text


@given(st.recursive(st.text(st.characters(codec="utf-8")), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_the_same_value_and_steers_nothing(value: object) -> None:
    said = json_text(value)
    assert json.loads(said) == value
    assert harmless(said) == said
