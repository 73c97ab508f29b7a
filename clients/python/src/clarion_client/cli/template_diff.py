"""How templates differ: files from what is published, and versions from each other."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from clarion_client import _values as v
from clarion_client import errors
from clarion_client.cli.session import session
from clarion_client.cli.template_files import CHANGEABLE, META, Source, fold


def with_published(name: str, source: Source) -> list[str]:
    """What publishing the files would change, as lines of a unified diff."""
    try:
        number = session.clarion.templates.get(name).published_version
    except errors.NotFound:
        number = 0
    published = version_of(name, number) if number else Source.of({})
    return list(between(published, spelled_like(published, source), f"published/{name}", f"files/{name}"))


def version_of(name: str, number: int) -> Source:
    """What a version is made of. Raises ClarionError."""
    return Source.of(v.encode(session.clarion.templates.get_version(name, number)))


# What stands where there is nothing, as the API has it.
_UNSET = {"on_unknown": "resend", "default_locale": "en", "mandatory": False}


class MetaDiff(NamedTuple):
    """Where `meta.yaml` says something else than the template: what can be changed, as lines of a unified diff too, and what can't."""

    changes: dict[str, Any]
    lines: list[str]
    fixed: list[str]


def of_meta(name: str, meta: dict[str, Any]) -> MetaDiff:
    """Empty for a template that is not there yet. What `meta.yaml` does not name stays as it is."""
    try:
        template = v.encode(session.clarion.templates.get(name))
    except errors.NotFound:
        return MetaDiff({}, [], [])
    differing = {key: meta[key] for key in META if key in meta and not _same(key, meta[key], template.get(key))}
    changes = {key: value for key, value in differing.items() if key in CHANGEABLE}
    was, now = ([f"{key}: {_said(side.get(key))}" for key in changes] for side in (template, changes))
    lines = list(difflib.unified_diff(was, now, f"published/{name}/meta.yaml", f"files/{name}/meta.yaml", lineterm=""))
    fixed = [
        f"{name}: meta.yaml: {key}: is {_said(template.get(key))} at the template, which can't be changed, and not {_said(value)}"
        for key, value in differing.items()
        if key not in changes
    ]
    return MetaDiff(changes, lines, fixed)


def between(old: Source, new: Source, old_name: str, new_name: str) -> Iterator[str]:
    """The lines of a unified diff of each part."""
    before, after = _parts(old), _parts(new)
    for locale in sorted({*before, *after}):
        for part in sorted({*before.get(locale, {}), *after.get(locale, {})}):
            was, now = (_lines(side.get(locale, {}).get(part, "")) for side in (before, after))
            yield from difflib.unified_diff(was, now, f"{old_name}/{locale}.{part}", f"{new_name}/{locale}.{part}", lineterm="")
            if was == now and before.get(locale, {}).get(part, "") != after.get(locale, {}).get(part, ""):
                yield f"@@ {new_name}/{locale}.{part}: the end of its lines differs"


def show(lines: Iterable[str]) -> None:
    """Lines of a unified diff in colours."""
    for line in lines:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        session.out.print(line, style=colour or None, markup=False)


def _same(key: str, value: Any, known: Any) -> bool:
    if key == "default_locale" and value:
        value, known = fold(value), fold(str(known))
    return (value or _UNSET.get(key, "")) == (known or _UNSET.get(key, ""))


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value not in {None, ""} else "nothing"


def spelled_like(published: Source, source: Source) -> Source:
    """With the locales as they are published: a file `pt_BR.txt` is what is published as `pt-BR`."""
    known = {fold(locale): locale for locale in (*published.contents, *published.catalogs)}
    contents = {known.get(fold(locale), locale): content for locale, content in source.contents.items()}
    catalogs = {known.get(fold(locale), locale): catalog for locale, catalog in source.catalogs.items()}
    if len(contents) + len(catalogs) < len(source.contents) + len(source.catalogs):
        return source  # two spellings of one, which the server names
    return source._replace(contents=contents, catalogs=catalogs)


def _parts(source: Source) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {**source.contents, **{locale: {"po": text} for locale, text in source.catalogs.items()}}
    if source.variables_schema:
        parts["variables"] = {"schema.json": source.variables_schema}
    return {**parts, "meta": {"sender": source.sender}} if source.sender else parts


def _lines(value: Any) -> list[str]:
    return (value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True)).splitlines()
