"""Variables for other eyes than the recipient's: without the values that the author of the template has marked as sensitive.

The mark is `"sensitive": true` in the JSON Schema of a version's variables. A value that several parts of the schema speak of is
sensitive where one of them says so, also one that the value would not keep to. A mark below a keyword of which it is not known what part of
the value it speaks of (`contentSchema`, `not`, one that no draft has) hides the value whole.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from mesh.json_schema import JsonSchema
from mesh.rpc.redaction import MASK, is_plain, masked_value
from mesh.schema_cost import path_of, referred
from naming.variables import PERSON
from template_svc.errors import InvalidVariables
from template_svc.messages import json_of_struct

MARK = "sensitive"
_ALSO_MANY = ("allOf", "anyOf", "oneOf")
_ALSO_ONE = ("if", "then", "else")
_REFERENCES = ("$ref", "$dynamicRef")
_REST_OF_OBJECT = ("additionalProperties", "unevaluatedProperties")
_REST_OF_LIST = ("items", "contains", "unevaluatedItems")
_NAMES = "propertyNames"
_FOLLOWED = {
    *_ALSO_MANY, *_ALSO_ONE, *_REFERENCES, *_REST_OF_OBJECT, *_REST_OF_LIST, _NAMES,
    "properties", "patternProperties", "prefixItems", "dependentSchemas",
}  # fmt: skip
# What holds values, or is looked at where it is referred to.
_NO_SCHEMAS = {"const", "default", "definitions", "$defs", "enum", "examples", "required", "dependentRequired"}

# Keywords whose members are schemas by names that are no keywords.
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
# How much of it a word has at least that is meant to be MARK.
_ALIKE = 0.8

# the schemas that speak of one value
Place = tuple[Mapping[str, Any], ...]


def misspelt(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Where a schema has a keyword that is meant to be `sensitive` and hides nothing, such as `Sensitive`: its path, and the keyword."""
    members = enumerate(schema) if isinstance(schema, list) else schema.items() if isinstance(schema, Mapping) else ()
    for key, inner in members:
        place = (*path, key)
        if isinstance(key, str) and key != MARK and _is_meant(key):
            yield path_of(place), key
        elif key in _BY_NAME and isinstance(inner, Mapping):
            for name, each in inner.items():
                yield from misspelt(each, (*place, name))
        elif key not in _NO_SCHEMAS:
            yield from misspelt(inner, place)


def check(schema: Mapping[str, Any], variables: bytes) -> None:
    """Raises InvalidVariables for a serialized Struct that does not keep to the schema; the person in it is not looked at."""
    if not schema:
        return
    known, given = JsonSchema(schema), json_of_struct(Struct.FromString(variables))
    if PERSON not in known.names():
        given.pop(PERSON, None)
    if wrong := known.violations("variables", given):
        raise InvalidVariables.because(wrong)


def masked(schema: Mapping[str, Any], variables: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A serialized Struct with what the schema marks masked, and the paths of that, sorted."""
    if not schema:
        return variables, ()
    struct, found = Struct.FromString(variables), _Masking(schema)
    found.mask(struct)
    return struct.SerializeToString(), tuple(sorted(found.paths))


class _Masking:
    """Walks through a value and the schemas of each of its parts. What follows from a place is found out once, however long a list is."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._known: dict[tuple[int, str | int], Place] = {}
        self._marked: dict[int, bool] = {}
        self._root = self._place([schema])
        self.paths: set[str] = set()

    def mask(self, struct: Struct) -> None:
        """In place."""
        if self._is_marked(self._root):
            for name, value in struct.fields.items():
                self._hide(value, (name,))
        else:
            self._members(struct, self._root, ())

    def _members(self, struct: Struct, place: Place, path: tuple[str | int, ...]) -> None:
        """A name that the schema has not is data, and goes where all names are marked, or with its marked value if it is no plain one."""
        all_names = any(self._holds_mark(schema[_NAMES]) for schema in place if _NAMES in schema)
        for name in list(struct.fields):
            below = self._below(place, name)
            hidden = all_names or (self._is_marked(below) and not is_plain(name) and not _declares(place, name))
            self._value(struct.fields[name], below, (*path, MASK if hidden else name))
            if hidden:
                if all_names:
                    self.paths.add(path_of((*path, MASK)))
                struct.fields[MASK].CopyFrom(struct.fields[name])
                if name != MASK:
                    del struct.fields[name]

    def _value(self, value: Value, place: Place, path: tuple[str | int, ...]) -> None:
        if not place:
            return
        if self._is_marked(place):
            self._hide(value, path)
        elif value.HasField("struct_value"):
            self._members(value.struct_value, place, path)
        elif value.HasField("list_value"):
            for index, element in enumerate(value.list_value.values):
                self._value(element, self._below(place, index), (*path, index))

    def _hide(self, value: Value, path: tuple[str | int, ...]) -> None:
        self.paths.add(path_of(path))
        value.CopyFrom(masked_value(value))

    def _below(self, place: Place, key: str | int) -> Place:
        # all further elements of a list have the same schemas
        known = (id(place), key if isinstance(key, str) or key < _longest(place) else -1)
        if known not in self._known:
            self._known[known] = self._place([one for schema in place for one in _inner(schema, key)])
        return self._known[known]

    def _place(self, schemas: Sequence[Any]) -> Place:
        """These, and those that they lead to. References do not go in a circle: such a schema is refused."""
        found: dict[int, Mapping[str, Any]] = {}
        waiting = list(schemas)
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, Mapping) or id(schema) in found:
                continue
            found[id(schema)] = schema
            waiting += [referred(self._schema, schema[name]) for name in _REFERENCES if name in schema]
            waiting += [schema[name] for name in _ALSO_ONE if name in schema]
            waiting += [one for name in _ALSO_MANY for one in schema.get(name, ())]
            waiting += schema.get("dependentSchemas", {}).values()
        return tuple(found.values())

    def _is_marked(self, place: Place) -> bool:
        """Places are kept in `_known`, so that none has another one's number."""
        if id(place) not in self._marked:
            self._marked[id(place)] = any(_has_mark(schema) or self._is_marked_elsewhere(schema) for schema in place)
        return self._marked[id(place)]

    def _is_marked_elsewhere(self, schema: Mapping[str, Any]) -> bool:
        return any(self._holds_mark(inner) for keyword, inner in schema.items() if keyword not in _FOLLOWED | _NO_SCHEMAS)

    def _holds_mark(self, part: Any) -> bool:
        if isinstance(part, list):
            return any(map(self._holds_mark, part))
        if not isinstance(part, Mapping):
            return False
        inner = (referred(self._schema, found) if key in _REFERENCES else found for key, found in part.items() if key not in _NO_SCHEMAS)
        return _has_mark(part) or any(map(self._holds_mark, inner))


def _has_mark(schema: Mapping[str, Any]) -> bool:
    # also by what is no boolean, and by a word of an older version that is not quite it: who has written it meant to hide something
    return any(value not in (None, False) for key, value in schema.items() if key == MARK or (key not in _FOLLOWED and _is_meant(key)))


@lru_cache(maxsize=1000)
def _is_meant(keyword: str) -> bool:
    letters = re.sub(r"[^a-z]", "", keyword[:40].lower())
    return SequenceMatcher(None, letters, MARK).ratio() >= _ALIKE


def _declares(place: Place, name: str) -> bool:
    return any(name in schema.get("properties", {}) for schema in place)


def _longest(place: Place) -> int:
    return max(len(schema.get("prefixItems", ())) for schema in place)


def _inner(schema: Mapping[str, Any], key: str | int) -> Iterator[Any]:
    """The schemas of a member or an element. A pattern counts for every name: what it might mean is masked."""
    if isinstance(key, int):
        prefix = schema.get("prefixItems", ())
        if key < len(prefix):
            yield prefix[key]
        else:
            yield from (schema[name] for name in _REST_OF_LIST if name in schema)
        return
    yield from schema.get("patternProperties", {}).values()
    declared = schema.get("properties", {})
    if key in declared:
        yield declared[key]
    else:
        yield from (schema[name] for name in _REST_OF_OBJECT if name in schema)
