"""`clarion templates test`: what files make is compared with what they made before, which lies beside them (golden files).

A template's folder has a folder `tests` with a file per case, such as `tests/polish.yaml` with `locale`, `timezone` and `variables`, and what the
case made: `tests/polish.subject.txt`, `tests/polish.html` and `tests/polish.txt`, or `tests/polish.push.yaml`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from clarion_client import _values as v
from clarion_client import errors
from clarion_client.cli import template_diff
from clarion_client.cli.files import read_text, write_text
from clarion_client.cli.session import EXIT_REFUSED, UsageProblem, session
from clarion_client.cli.template_files import PARTS, Source, read_all, texts_of

_TESTS = "tests"
_GIVEN = frozenset({"locale", "timezone", "variables"})


def test(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="All when none is named.")] = None,
    folder: Annotated[Path, typer.Option("--folder", "-f", help="The folder of templates.")] = Path("templates"),
    update: Annotated[bool, typer.Option("--update", help="Keep what is made now; the first time with a case for each locale.")] = False,
) -> int:
    """Render files without pushing them and compare with what is kept in `tests`; exit 1 when they differ."""
    cases, failed = 0, 0
    for name, _, source in read_all(folder, names):
        tests = folder / name / _TESTS
        if update and not tests.is_dir():
            tests.mkdir()
            for locale in (*source.contents, *source.catalogs):
                write_text(tests / f"{locale}.yaml", yaml.safe_dump({"locale": locale}))
        for path in sorted(tests.glob("*.yaml")):
            if not path.name.endswith(".push.yaml"):
                cases += 1
                failed += not _passes(name, source, path, update=update)
    session.say(f"{cases} cases, {failed} failed" if cases else "no cases; clarion templates test --update makes one for each locale")
    return EXIT_REFUSED if failed else 0


def _passes(name: str, source: Source, path: Path, *, update: bool) -> bool:
    said = f"{name} {path.stem}"
    try:
        made = _made(name, source, path)
    except errors.InvalidRequest as error:
        for violation in error.violations:
            session.out.print(f"{said}: error: {violation.field}: {violation.description}", style="red", markup=False)
        return False
    kept = {each: read_text(path.parent / each) for each in _kept(path)}
    lines = list(_difference(path, kept, made))
    if update and lines:
        for gone in kept.keys() - made.keys():
            (path.parent / gone).unlink()
        for file, text in made.items():
            write_text(path.parent / file, text)
        session.say(f"{said}: kept")
        return True
    template_diff.show(lines)
    if lines and not kept:
        session.say(f"{said}: nothing is kept yet; clarion templates test {name} --update keeps this")
    return not lines


def _made(name: str, source: Source, path: Path) -> dict[str, str]:
    """Raises UsageProblem, ClarionError."""
    try:
        case = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise UsageProblem(f"{path}: {error}") from None
    if not isinstance(case, dict) or case.keys() - _GIVEN:
        raise UsageProblem(f"{path}: has only {', '.join(sorted(_GIVEN))}")
    for field in case.keys() - {"variables"}:
        if not isinstance(case[field], str):  # `no`, the Norwegian, is false in YAML
            raise UsageProblem(f"{path}: {field}: must be text, in quotes where YAML takes it for something else")
    made = session.clarion.templates.preview(
        name,
        **case,
        contents=source.contents,
        catalogs=source.catalogs or None,
        variables_schema=source.variables_schema or None,
    )
    return texts_of(path.stem, v.encode(made.content))


def _kept(path: Path) -> list[str]:
    names = (f"{path.stem}{ending}" for ending in (*PARTS.values(), ".push.yaml"))
    return [each for each in names if (path.parent / each).exists()]


def _difference(path: Path, kept: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    for file in sorted({*kept, *made}):
        old, new = (side.get(file, "").splitlines() for side in (kept, made))
        yield from difflib.unified_diff(old, new, f"{path.parent / file}", "made now", lineterm="")
        if old == new and kept.get(file) != made.get(file):
            yield f"@@ {path.parent / file}: the end of its lines differs"
