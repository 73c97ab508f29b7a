"""JSON Schema (draft 2020-12) for what callers send: nothing is fetched, and a violation names the place and the rule, never the value.

The library is jsonschema-rs: it is the one for Python that checks a usual object in microseconds, and its patterns take linear time.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs

from mesh.errors import FieldViolation

MAX_SCHEMA = 64_000
MAX_VIOLATIONS = 20
_ARTICLES = {"integer": "a whole number", "array": "a list", "object": "an object", "null": "null", "boolean": "true or false"}


class InvalidSchema(ValueError):
    """What is no JSON Schema: `path` is where in it, such as `properties.order.type`; the message says why."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(description)
        self.path = path
        self.description = description


class JsonSchema:
    """A schema that is ready to check with. Raises InvalidSchema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.source = schema
        _refuse_references(schema)
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                dict(schema), validate_formats=True, pattern_options=jsonschema_rs.RegexOptions(), retriever=_fetch_nothing
            )
        except jsonschema_rs.ValidationError as error:
            raise InvalidSchema(path_of(error.instance_path), "is not JSON Schema (draft 2020-12)") from None
        except (ValueError, TypeError, jsonschema_rs.ReferencingError):
            raise InvalidSchema("", "is not JSON Schema (draft 2020-12)") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonSchema) and self.source == other.source

    def __hash__(self) -> int:
        return hash(len(self.source))

    def violations(self, root: str, value: Any) -> list[FieldViolation]:
        """What is wrong with the value, whose name is `root`; at most MAX_VIOLATIONS."""
        if self._validator.is_valid(value):
            return []
        errors = islice(self._validator.iter_errors(value), MAX_VIOLATIONS)
        return [violation for error in errors for violation in _violations(root, error)][:MAX_VIOLATIONS]

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


def path_of(steps: Iterable[str | int]) -> str:
    """`order.items[0].id` of ["order", "items", 0, "id"]."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


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


def _refuse_references(schema: Any) -> None:
    """Only what is in the schema itself may be referred to."""
    stack: list[tuple[list[str | int], Any]] = [([], schema)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            for key, member in value.items():
                if key in {"$ref", "$dynamicRef"} and not (isinstance(member, str) and member.startswith("#")):
                    raise InvalidSchema(path_of([*path, key]), "must refer to a place in the schema itself, such as #/$defs/address")
                if key == "$id":
                    raise InvalidSchema(path_of([*path, key]), "is not available")
                stack.append(([*path, str(key)], member))
        elif isinstance(value, list):
            stack.extend(([*path, index], member) for index, member in enumerate(value))


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
