"""The committed `gen/` is exactly what `protos/` says."""

from pathlib import Path

import pytest

from scripts.gen import GEN, differences, generate


@pytest.mark.processes
def test_gen_is_what_protoc_makes_of_protos_today(tmp_path: Path) -> None:
    generate(tmp_path)
    assert differences(tmp_path, GEN) == [], "run `make gen` and commit the result"


def test_every_kind_of_difference_is_named(tmp_path: Path) -> None:
    fresh, present = tmp_path / "fresh", tmp_path / "present"
    for folder, files in ((fresh, {"a": "1", "b": "1"}), (present, {"b": "2", "c": "1"})):
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    assert differences(fresh, present) == ["left over: c", "missing: a", "stale: b"]
