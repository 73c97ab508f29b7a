"""The pictures of the console: what `make screenshots` takes is what is there, and each is shown somewhere."""

from devstack.processes import ROOT
from scripts.screenshots import IMAGES, SHOTS


def test_each_picture_is_one_that_is_taken_and_the_other_way_round() -> None:
    assert {path.stem for path in IMAGES.glob("*.png")} == {shot.name for shot in SHOTS}


def test_each_picture_is_shown_on_a_page() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
    assert [shot.name for shot in SHOTS if f"images/{shot.name}.png" not in pages] == []


def test_there_are_light_dark_and_phone_ones() -> None:
    assert {shot.dark for shot in SHOTS} == {True, False}
    assert min(shot.width for shot in SHOTS) < 400
