"""Files of the command line are in UTF-8 on every machine, and what is not is named."""

import re
from pathlib import Path

import pytest

import clarion_client
from clarion_client.cli.files import inside, read_text, write_text
from clarion_client.cli.session import UsageProblem
from clarion_client.cli.template_diff import between, spelled_like
from clarion_client.cli.template_files import Source, read, write

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


def a_folder(tmp_path: Path, meta: str = "channel: email\n") -> Path:
    folder = tmp_path / "welcome"
    folder.mkdir()
    write_text(folder / "meta.yaml", meta)
    write_text(folder / "en.subject.txt", "Hello")
    write_text(folder / "en.txt", "Hello")
    return folder


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ("channel: email\ndefault_locale: no\n", r"default_locale: must be text, in quotes .* is false"),
        ("channel: email\ncategory: 2030-01-31\n", "category: must be text"),
        ("channel: email\ndescription: 5\n", "description: must be text"),
        ("channel: email\nmandatory: 'no'\n", "mandatory: must be true or false"),
        ("channel: email\nsender: [a]\n", "sender: must be text"),
        ("- email\n", "must have names with values"),
        ("email\n", "must have names with values"),
    ],
)
def test_a_meta_yaml_that_yaml_reads_otherwise_is_named_by_its_field(tmp_path: Path, meta: str, problem: str) -> None:
    with pytest.raises(UsageProblem, match=problem):
        read(a_folder(tmp_path, meta))


def test_what_stands_beside_the_files_is_not_read(tmp_path: Path) -> None:
    """What macOS and editors keep is in no encoding; Windows' editors begin a file with a mark of their own."""
    folder = a_folder(tmp_path)
    for name in (".DS_Store", "._en.push.yaml", ".#en.html", "._pl.po"):
        (folder / name).write_bytes(b"\xff\xfe")
    (folder / "en.html").write_bytes(b"\xef\xbb\xbf<p>a</p>\r\n")
    assert read(folder)[1].contents == {"en": {"subject": "Hello", "text": "Hello", "html": "<p>a</p>\n"}}


def test_files_of_other_parts_are_named_when_a_template_is_written(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    for name in ("en.html", "de.po", "pl.push.yaml", "notes.md", ".gitkeep"):
        write_text(folder / name, "x")
    assert write(folder, {"channel": "email"}, Source({"en": {"subject": "S", "mjml": "M"}}, {}, {})) == [
        "de.po",
        "en.html",
        "en.txt",
        "pl.push.yaml",
    ]


@pytest.mark.parametrize("name", ["../../.bashrc", "..", ".", "", "a/b", "a\\b", "/etc/passwd", "a\0b"])
def test_no_name_of_the_servers_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="is no name of a file"):
        inside(tmp_path, name)
    if "/" in name:
        with pytest.raises(UsageProblem, match="is no name of a file"):
            write(tmp_path, {}, Source({name: {"text": "x"}}, {}, {}))


def test_a_spelling_of_a_locale_and_the_ends_of_lines_are_seen_as_what_they_are() -> None:
    published = Source({"pt-BR": {"text": "a\n"}, "en": {"text": "b"}}, {}, {})
    files = Source({"pt_br": {"text": "a\n"}, "en": {"text": "b\n"}}, {}, {})
    lines = list(between(published, spelled_like(published, files), "published", "files"))
    assert lines == ["@@ files/en.text: the end of its lines differs"]
    twice = Source({"pt_br": {"text": "a"}, "pt-BR": {"text": "b"}}, {}, {})
    assert spelled_like(published, twice) == twice
