"""Files of the command line are in UTF-8 on every machine, and what is not is named."""

import re
from pathlib import Path

import pytest

import clarion_client
from clarion_client.cli.files import read_text, write_text
from clarion_client.cli.session import UsageProblem
from clarion_client.cli.template_files import read

SOURCES = sorted(Path(clarion_client.__file__).parent.rglob("*.py"))
# what opens a file as text without a word about its encoding takes the machine's own
_TEXT = re.compile(r"(?:\.read_text|\.write_text|(?<!os)\.open|fdopen)\([^\n]*")


def test_no_file_is_read_or_written_in_the_machines_own_encoding() -> None:
    lines = [f"{path.name}: {line}" for path in SOURCES for line in _TEXT.findall(path.read_text(encoding="utf-8"))]
    assert lines
    assert [line for line in lines if "encoding=" not in line and '"rb"' not in line] == []


def test_a_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Ol\u00e1 \u65e5\u672c")
    assert (tmp_path / "a.txt").read_bytes() == "Ol\u00e1 \u65e5\u672c".encode()
    assert read_text(tmp_path / "a.txt") == "Ol\u00e1 \u65e5\u672c"


def test_a_template_in_another_encoding_is_refused_by_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "welcome"
    folder.mkdir()
    write_text(folder / "meta.yaml", "channel: email\n")
    (folder / "en.subject.txt").write_bytes(b"Gr\xfc\xdfe")
    with pytest.raises(UsageProblem, match=r"en\.subject\.txt: is not in UTF-8"):
        read(folder)
    with pytest.raises(UsageProblem, match=r"nothing\.txt: No such file"):
        read_text(folder / "nothing.txt")
