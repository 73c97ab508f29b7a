"""What checking a value by a JSON Schema may cost at most, known before it is done: the library can't be stopped and holds its process up.

A schema is weighed with its references followed, so that `{"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}` counts twice, which
thirty of in a row would take for ever. At each part of a value at most the whole schema is at work.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

MAX_WEIGHT = 20_000
MAX_PATTERNS = 200
_REFERENCES = frozenset({"$ref", "$dynamicRef"})
_ANCHORS = frozenset({"$anchor", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"})
_PATTERNS = frozenset({"pattern", "patternProperties"})
_CHOICES = frozenset({"anyOf", "oneOf"})


class InvalidSchema(ValueError):
    """What is no JSON Schema: `path` is where in it, such as `properties.order.type`; the message says why."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(description)
        self.path = path
        self.description = description


class Weight(NamedTuple):
    """Values in a schema, patterns among them, and whether it offers a choice; its references followed."""

    values: int = 1
    patterns: int = 0
    choices: bool = False

    def __add__(self, other: "Weight") -> "Weight":  # type: ignore[override]  # not a longer tuple
        return Weight(self.values + other.values, self.patterns + other.patterns, self.choices or other.choices)


def weigh(schema: Mapping[str, Any]) -> Weight:
    """Raises InvalidSchema for references in a circle or out of the schema, and for a schema that is too heavy."""
    try:
        found = _Scales(schema).weigh(schema, ())
    except RecursionError:
        raise InvalidSchema("", "is nested too deeply, in itself or by its references") from None
    if found.values > MAX_WEIGHT:
        raise InvalidSchema("", f"must have at most {MAX_WEIGHT} values, each as often as it is referred to")
    if found.patterns > MAX_PATTERNS:
        raise InvalidSchema("", f"must have at most {MAX_PATTERNS} patterns, each as often as it is referred to")
    return found


def referred(schema: Mapping[str, Any], target: str) -> Any:
    """What a reference in a weighed schema leads to."""
    return _Scales(schema).at(target, ())[0]


def measure(value: Any) -> tuple[int, int]:
    """Parts of a value, and characters in it."""
    parts, characters, stack = 0, 0, [value]
    while stack:
        one = stack.pop()
        parts += 1
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, Mapping):
            characters += sum(map(len, one))
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
    return parts, characters


class _Scales:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._known: dict[str, Weight | None] = {"#": None}  # None while a reference is followed

    def weigh(self, value: Any, path: tuple[str | int, ...]) -> Weight:
        found = Weight()
        if isinstance(value, list):
            for index, member in enumerate(value):
                found += self.weigh(member, (*path, index))
        elif isinstance(value, Mapping):
            for key, member in value.items():
                if key in _REFERENCES:
                    found += self._referred(member, (*path, key))
                elif key == "$id" or key in _ANCHORS:
                    raise InvalidSchema(path_of([*path, key]), "is not available; refer by a path, such as #/$defs/address")
                else:
                    patterns = len(member) if key == "patternProperties" and isinstance(member, Mapping) else int(key in _PATTERNS)
                    found += Weight(0, patterns, key in _CHOICES) + self.weigh(member, (*path, key))
        return found

    def _referred(self, target: Any, path: tuple[str | int, ...]) -> Weight:
        if not (isinstance(target, str) and (target == "#" or target.startswith("#/"))):
            raise InvalidSchema(path_of(path), "must refer to a place in the schema itself, such as #/$defs/address")
        if target not in self._known:
            self._known[target] = None
            self._known[target] = self.weigh(*self.at(target, path))
        known = self._known[target]
        if known is None:
            raise InvalidSchema(path_of(path), "must not lead back to where it stands")
        return known

    def at(self, target: str, path: tuple[str | int, ...]) -> tuple[Any, tuple[str | int, ...]]:
        """What is at a place, and its path."""
        found: Any = self._schema
        steps: list[str | int] = []
        for step in unquote(target).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and re.fullmatch(r"\d{1,6}", name) and int(name) < len(found):
                steps.append(int(name))
            elif isinstance(found, Mapping) and name in found:
                steps.append(name)
            else:
                raise InvalidSchema(path_of(path), "must refer to a place that there is in the schema")
            found = found[steps[-1]]
        return found, tuple(steps)


def path_of(steps: Iterable[str | int]) -> str:
    """`order.items[0].id` of ["order", "items", 0, "id"]."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
