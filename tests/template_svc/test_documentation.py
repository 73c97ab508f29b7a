"""docs/templates.md tells authors exactly what there is."""

import re
from pathlib import Path

from template_svc.filters import template_filters, template_tests
from template_svc.sandbox import DICT_METHODS, TEXT_METHODS
from template_svc.syntax import FUNCTIONS

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "templates.md").read_text()


def listed(start: str) -> set[str]:
    """The words in code style of the paragraph that starts so."""
    paragraph = next(part for part in re.split(r"\n\n|(?<=`)\. ", GUIDE) if part.startswith(start))
    return set(re.findall(r"`([a-z_]+)`", paragraph))


def test_the_guide_names_every_filter_and_no_other() -> None:
    assert listed("Filters:") == set(template_filters())


def test_the_guide_names_every_test_and_no_other() -> None:
    other_names = {"==", "!=", ">", ">=", "<", "<=", "equalto", "greaterthan", "lessthan"}
    assert listed("Tests:") == set(template_tests()) - other_names


def test_the_guide_names_every_method_and_function() -> None:
    assert listed("Methods of texts:") == TEXT_METHODS
    assert listed("Methods of objects:") == DICT_METHODS
    assert listed("Available:") >= FUNCTIONS
