"""Texts in files: in UTF-8, whatever the machine's own encoding is, so that a repository of templates is the same everywhere."""

from pathlib import Path

from clarion_client.cli.session import UsageProblem


def read_text(path: Path) -> str:
    """The file's text, without the mark that editors of Windows begin one with. Raises UsageProblem, which names it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{path}: is not in UTF-8") from None


def inside(folder: Path, name: str) -> Path:
    """The path of a file or folder in a folder. Raises UsageProblem for a name that leads elsewhere: the names are the server's."""
    if name in {"", ".", ".."} or not {"/", "\\", "\0"}.isdisjoint(name):
        raise UsageProblem(f"{folder}: {name!r} is no name of a file; nothing was written there")
    return folder / name


def write_text(path: Path, text: str) -> None:
    """Makes the file or replaces it. Raises OSError."""
    path.write_text(text, encoding="utf-8")
