"""JSON Schema (draft 2020-12) for what callers send: nothing is fetched, and a violation names the place and the rule, never the value.

The library is jsonschema-rs: it is the one for Python that checks a usual object in microseconds, and its patterns take linear time.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs

from mesh.errors import FieldViolation
from mesh.schema_cost import InvalidSchema, measure, path_of, weigh

__all__ = ["MAX_SCHEMA", "MAX_VIOLATIONS", "InvalidSchema", "JsonSchema"]

MAX_SCHEMA = 64_000
MAX_VIOLATIONS = 20
# Of a pattern as it is compiled. The library's time for a character grows with it, to some 20 µs.
_PATTERN_BYTES = 200_000
# Parts of a value times values of the schema, at 40 ns each; characters times patterns; and as before where each may be found at fault.
_MOST_STEPS = 2_000_000
_MOST_MATCHES = 100_000
_MOST_EXPLAINED = 10_000
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES)
_NO_PATTERN = "is no pattern, or too large a one: no look-around and back-references; counts belong into minLength and maxLength"
_ARTICLES = {"integer": "a whole number", "array": "a list", "object": "an object", "null": "null", "boolean": "true or false"}


class JsonSchema:
    """A schema that is ready to check with. Raises InvalidSchema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.source = schema
        self._weight = weigh(schema)
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                dict(schema), validate_formats=True, pattern_options=_PATTERNS, retriever=_fetch_nothing
            )
        except jsonschema_rs.ValidationError as error:
            pattern = error.instance_path[-1:] == ["pattern"] or "patternProperties" in error.instance_path
            raise InvalidSchema(path_of(error.instance_path), _NO_PATTERN if pattern else "is not JSON Schema (draft 2020-12)") from None
        except (ValueError, TypeError, jsonschema_rs.ReferencingError):
            raise InvalidSchema("", "is not JSON Schema (draft 2020-12)") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonSchema) and self.source == other.source

    def __hash__(self) -> int:
        return hash(len(self.source))

    def violations(self, root: str, value: Any) -> list[FieldViolation]:
        """What is wrong with the value, whose name is `root`; at most MAX_VIOLATIONS."""
        parts, characters = measure(value)
        steps = self._weight.values * parts
        if steps > _MOST_STEPS or self._weight.patterns * characters > _MOST_MATCHES:
            return [FieldViolation(root, "must be fewer or shorter: they are too much to be checked")]
        if self._validator.is_valid(value):
            return []
        return [violation for error in self._errors(value, steps) for violation in _violations(root, error)][:MAX_VIOLATIONS] or [
            FieldViolation(root, "does not keep to the schema, and is too large to say where")
        ]

    def _errors(self, value: Any, steps: int) -> Iterable[jsonschema_rs.ValidationError]:
        """All that is wrong; of a large value the first, or nothing where the library would write down each branch of a choice."""
        if steps <= _MOST_EXPLAINED:
            return islice(self._validator.iter_errors(value), MAX_VIOLATIONS)
        if not self._weight.choices:
            try:
                self._validator.validate(value)
            except jsonschema_rs.ValidationError as error:
                return [error]
        return []

    def names(self) -> frozenset[str]:
        """The members that the schema declares."""
        declared = self.source.get("properties")
        return frozenset(declared) if isinstance(declared, Mapping) else frozenset()

    def required(self) -> frozenset[str]:
        """The members that it asks for."""
        asked = self.source.get("required")
        return frozenset(asked) if isinstance(asked, list) else frozenset()

    def example(self) -> dict[str, Any]:
        """A value with the first example, or the default, of each member that has one."""
        members = self.source.get("properties")
        examples = {name: found[0] for name, member in (members or {}).items() if (found := _examples(member))}
        return {name: value for name, value in examples.items() if value is not None}


def _examples(member: Any) -> list[Any]:
    if not isinstance(member, Mapping):
        return []
    if isinstance(member.get("examples"), list) and member["examples"]:
        return list(member["examples"])
    if "default" in member:
        return [member["default"]]
    if isinstance(member.get("properties"), Mapping):
        inner = {name: found[0] for name, each in member["properties"].items() if (found := _examples(each))}
        return [inner] if inner else []
    inner_items = _examples(member.get("items"))
    return [inner_items[:1]] if inner_items else []


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(uri)


def _violations(root: str, error: jsonschema_rs.ValidationError) -> list[FieldViolation]:
    place = path_of([root, *error.instance_path])
    kind: Any = error.kind
    if kind.name == "required":
        return [FieldViolation(f"{place}.{kind.property}", "is required")]
    if kind.name in {"additionalProperties", "unevaluatedProperties"}:
        return [FieldViolation(f"{place}.{name}", "is not declared") for name in kind.unexpected]
    return [FieldViolation(place, _description(kind))]


def _description(kind: Any) -> str:
    limit = getattr(kind, "limit", None)
    words = {
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
        "exclusiveMinimum": f"must be more than {limit}",
        "exclusiveMaximum": f"must be less than {limit}",
        "minLength": f"must have at least {limit} characters",
        "maxLength": f"must have at most {limit} characters",
        "minItems": f"must have at least {limit} elements",
        "maxItems": f"must have at most {limit} elements",
        "uniqueItems": "must not have an element twice",
    }
    if kind.name in words:
        return words[kind.name]
    if kind.name == "type":
        types = kind.types if isinstance(kind.types, list) else [kind.types]
        return f"must be {' or '.join(_ARTICLES.get(str(each), f'a {each}') for each in types)}"
    if kind.name == "enum":
        return f"must be one of {', '.join(map(str, kind.options))}"
    if kind.name == "format":
        return f"must be of the format {kind.format}"
    if kind.name == "pattern":
        return f"must match {kind.pattern}"
    return f"does not keep to the schema's {kind.name}"
