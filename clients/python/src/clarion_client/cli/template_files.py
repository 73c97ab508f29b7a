"""A folder of templates: what each file is, read and written.

A folder has a folder per template: `welcome/meta.yaml` (channel, category, description, sender ...) and per locale `en.subject.txt`, `en.html`, `en.txt`
for e-mail (`en.mjml` in place of `en.html`), or `en.push.yaml` for push; `pl.po` translates the default locale's files into Polish,
and `variables.schema.json` is the JSON Schema of the variables. The folder `_partials` has a file per partial, such as `_partials/footer.html`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from clarion_client.cli.files import inside, read_text, write_text
from clarion_client.cli.session import UsageProblem, read_json

CHANGEABLE = ("category", "description", "mandatory", "on_unknown")
META = ("channel", "default_locale", *CHANGEABLE)
PARTS = {"subject": ".subject.txt", "mjml": ".mjml", "html": ".html", "text": ".txt"}
CATALOG = ".po"
PARTIALS = "_partials"
_PUSH = ".push.yaml"
_SCHEMA = "variables.schema.json"


class Source(NamedTuple):
    """What a version is made of."""

    contents: dict[str, dict[str, Any]]
    catalogs: dict[str, str]
    variables_schema: dict[str, Any]
    sender: str = ""

    @classmethod
    def of(cls, version: dict[str, Any]) -> Source:
        """That of a version as the API answers it."""
        schema = _whole(version.get("variables_schema", {}))
        return cls(version.get("contents", {}), version.get("catalogs", {}), schema, version.get("sender", ""))


def fold(locale: str) -> str:
    """The same for all spellings of a locale."""
    return locale.replace("_", "-").lower()


def write(folder: Path, meta: dict[str, Any], source: Source) -> list[str]:
    """A template as files. The names of others that are there and would be read with them. Raises UsageProblem."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: meta[name] for name in META if meta.get(name)} | ({"sender": source.sender} if source.sender else {})
    texts = {"meta.yaml": yaml.safe_dump(kept, sort_keys=True, allow_unicode=True)}
    for locale, content in source.contents.items():
        texts |= texts_of(locale, content)
    texts |= {f"{locale}{CATALOG}": catalog for locale, catalog in source.catalogs.items()}
    if source.variables_schema:
        texts[_SCHEMA] = json.dumps(source.variables_schema, indent=2, ensure_ascii=False) + "\n"
    for name, text in texts.items():
        write_text(inside(folder, name), text)
    read_too = (*PARTS.values(), _PUSH, CATALOG, _SCHEMA)
    return sorted(path.name for path in folder.glob("[!.]*") if path.name not in texts and path.name.endswith(read_too))


def texts_of(stem: str, content: dict[str, Any]) -> dict[str, str]:
    """A content as texts of files, by their names."""
    found = {f"{stem}{ending}": str(content[part]) for part, ending in PARTS.items() if content.get(part)}
    pushed = {name: value for name, value in content.items() if name not in PARTS and value}
    if pushed:
        found[f"{stem}{_PUSH}"] = yaml.safe_dump(pushed, sort_keys=True, allow_unicode=True)
    return found


def read(folder: Path) -> tuple[dict[str, Any], Source]:
    """A template from files: its description, and what its version is made of. Raises UsageProblem."""
    try:
        meta = _meta(yaml.safe_load(read_text(folder / "meta.yaml")) or {})
        contents: dict[str, dict[str, Any]] = {}
        catalogs = {path.name.removesuffix(CATALOG): read_text(path) for path in sorted(folder.glob(f"[!.]*{CATALOG}"))}
        for path in sorted(folder.glob("[!.]*")):  # not what editors and systems keep beside them
            for part, ending in PARTS.items():
                locale = path.name.removesuffix(ending)
                if path.name.endswith(ending) and "." not in locale:
                    contents.setdefault(locale, {})[part] = read_text(path)
            if path.name.endswith(_PUSH):
                contents.setdefault(path.name.removesuffix(_PUSH), {}).update(_mapping(path.name, yaml.safe_load(read_text(path)) or {}))
        schema = _whole(read_json(read_text(folder / _SCHEMA))) if (folder / _SCHEMA).exists() else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageProblem(f"{folder}: {error}") from None
    if not contents:
        raise UsageProblem(f"{folder}: has no locale, such as en.subject.txt and en.html, or en.push.yaml")
    return meta, Source(contents, catalogs, schema, str(meta.get("sender") or ""))


def read_all(folder: Path, names: list[str] | None) -> Iterator[tuple[str, dict[str, Any], Source]]:
    """Every template of a folder, or those that are named. Raises UsageProblem."""
    if not folder.is_dir():
        raise UsageProblem(f"{folder} is no folder; get one with: clarion templates pull --folder {folder}")
    found = sorted(path.parent.name for path in folder.glob("*/meta.yaml"))
    for name in names or []:
        if name not in found:
            raise UsageProblem(f"{folder / name}: has no meta.yaml")
    for name in names or found:
        yield (name, *read(folder / name))


def _meta(found: Any) -> dict[str, Any]:
    """Raises ValueError for what YAML takes for something else than its author: `no`, the Norwegian, is false there."""
    for name, value in _mapping("meta.yaml", found).items():
        wanted = bool if name == "mandatory" else str
        if name in {*META, "sender"} and value is not None and not isinstance(value, wanted):
            rule = "true or false" if wanted is bool else "text, in quotes where YAML takes it for something else"
            raise ValueError(f"meta.yaml: {name}: must be {rule}, and is {json.dumps(value, default=str)}")
    return {str(name): value for name, value in found.items()}


def _mapping(file: str, found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{file}: must have names with values, such as channel: email")  # noqa: TRY004  a fault of the file's, not of a type
    return found


def _whole(value: Any) -> Any:
    """JSON's 2.0 as 2: the API has one kind of number in objects, and a file is compared with it."""
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_whole(element) for element in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
