"""Field rules of the schema (`clarion.options.v1.rules`), compiled once per message type and checked on every request."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import islice
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from clarion.options.v1 import options_pb2
from mesh.errors import FieldViolation, InvalidArgument
from mesh.rpc.finite import FREE_JSON, MOST_BYTES, MOST_LEVELS, may_be_too_deep, may_have_unfit_numbers, too_deep, unfit_numbers

Check: TypeAlias = Callable[[Message, str, list[FieldViolation]], None]

_FINITE = "must be a finite number"
_SHALLOW = f"must not nest lists and objects deeper than {MOST_LEVELS} levels"
_LONGEST_PATH = 256  # characters: the caller chooses the keys
_MOST_NUMBERS = 20  # that one error names
_FLOATS = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
_NUMBERS = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}


def validate(request: Message) -> None:
    """Raises InvalidArgument with every breach when the request breaks its schema's rules."""
    violations: list[FieldViolation] = []
    for check in _checks_of(request.DESCRIPTOR):
        check(request, "", violations)
    if violations:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InvalidArgument(f"{first.field}: {first.description}{more}", violations=violations)


@cache
def _checks_of(descriptor: Descriptor) -> tuple[Check, ...]:
    checks: list[Check] = []
    one_of = tuple(descriptor.GetOptions().Extensions[options_pb2.needs_one_of])
    if one_of:
        checks.append(_one_of_check([descriptor.fields_by_name[name] for name in one_of]))
    for field in descriptor.fields:
        options = field.GetOptions()
        if options.HasExtension(options_pb2.rules):
            checks.append(_rule_check(field, options.Extensions[options_pb2.rules]))
        if field.message_type is not None and field.message_type.full_name.startswith("clarion.") and not _is_left_to_handler(field):
            checks.append(_descend(field))
        elif _holds_free_json(field):
            checks.append(_free_json_check(field))
        elif field.cpp_type in _FLOATS:
            checks.append(_finite_check(field))
    return tuple(checks)


def _holds_free_json(field: FieldDescriptor) -> bool:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        kind = kind.fields_by_name["value"].message_type
    return kind is not None and kind.full_name in FREE_JSON


def _values_of(field: FieldDescriptor) -> Callable[[Message, str], Iterable[tuple[str, Any]]]:
    """What gives the field's values in a message at a path, each with its own path."""
    name, has_presence = field.name, field.has_presence
    if _is_map(field):
        return lambda message, path: [(f"{path}{name}.{key}", value) for key, value in getattr(message, name).items()]
    if field.is_repeated:
        return lambda message, path: [(f"{path}{name}[{index}]", value) for index, value in enumerate(getattr(message, name))]
    return lambda message, path: [(path + name, getattr(message, name))] if not has_presence or message.HasField(name) else ()


def _free_json_check(field: FieldDescriptor) -> Check:
    values_of = _values_of(field)

    def check(message: Message, path: str, violations: list[FieldViolation]) -> None:
        for at, value in values_of(message, path):
            wire = value.SerializeToString()
            if len(wire) > MOST_BYTES:
                problem = f"takes {len(wire):,} bytes as protobuf and must take at most {MOST_BYTES:,}"
                violations.append(FieldViolation(at[:_LONGEST_PATH], problem))
            elif may_be_too_deep(wire) and too_deep(value):
                violations.append(FieldViolation(at[:_LONGEST_PATH], _SHALLOW))
            elif may_have_unfit_numbers(wire):
                violations.extend(FieldViolation(bad[:_LONGEST_PATH], _FINITE) for bad in islice(unfit_numbers(value, at), _MOST_NUMBERS))

    return check


def _finite_check(field: FieldDescriptor) -> Check:
    values_of = _values_of(field)

    def check(message: Message, path: str, violations: list[FieldViolation]) -> None:
        for at, value in values_of(message, path):
            if not math.isfinite(value):
                violations.append(FieldViolation(at, _FINITE))

    return check


def _is_left_to_handler(field: FieldDescriptor) -> bool:
    return field.GetOptions().Extensions[options_pb2.rules].element_wise


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _nothing(_message: Message, _path: str, _violations: list[FieldViolation]) -> None:
    """A map of scalars has nothing to descend into."""


def _descend(field: FieldDescriptor) -> Check:
    name = field.name
    if _is_map(field):
        entry = field.message_type
        value_type = entry.fields_by_name["value"].message_type if entry else None
        if value_type is None:
            return _nothing

        def check_map(message: Message, path: str, violations: list[FieldViolation]) -> None:
            for key, value in getattr(message, name).items():
                for check in _checks_of(value_type):
                    check(value, f"{path}{name}.{key}.", violations)

        return check_map

    nested, is_repeated = field.message_type, field.is_repeated

    def check_nested(message: Message, path: str, violations: list[FieldViolation]) -> None:
        if is_repeated:
            for index, value in enumerate(getattr(message, name)):
                for check in _checks_of(nested):
                    check(value, f"{path}{name}[{index}].", violations)
        elif message.HasField(name):
            for check in _checks_of(nested):
                check(getattr(message, name), f"{path}{name}.", violations)

    return check_nested


def _one_of_check(fields: Sequence[FieldDescriptor]) -> Check:
    first, *others = [field.name for field in fields]
    problem = f"is required where there is no {' or '.join(others)}"
    texts = [field.name for field in fields if field.message_type is None]
    messages = [field.name for field in fields if field.message_type is not None]

    def check(message: Message, path: str, violations: list[FieldViolation]) -> None:
        if not (any(getattr(message, name) for name in texts) or any(message.HasField(name) for name in messages)):
            violations.append(FieldViolation(path + first, problem))

    return check


def _rule_check(field: FieldDescriptor, rules: options_pb2.FieldRules) -> Check:
    # read here once, since a descriptor builds each of them anew: a tenth of what checking a request costs
    name, has_presence, is_repeated, required = field.name, field.has_presence, field.is_repeated, rules.required
    value_problem = _value_problem(field, rules)

    def check(message: Message, path: str, violations: list[FieldViolation]) -> None:
        if has_presence and not message.HasField(name):
            if required:
                violations.append(FieldViolation(path + name, "is required"))
            return
        value = getattr(message, name)
        if not has_presence and not value:
            if required:
                violations.append(FieldViolation(path + name, "is required"))
            elif not (isinstance(value, int) and not isinstance(value, bool)):
                return
        if is_repeated:
            _check_items(path + name, value, rules, value_problem, violations)
            return
        problem = value_problem(value)
        if problem and not (required and not value):
            violations.append(FieldViolation(path + name, problem))

    return check


def _check_items(
    path: str, values: Any, rules: options_pb2.FieldRules, value_problem: Callable[[Any], str | None], violations: list[FieldViolation]
) -> None:
    if rules.max_items and len(values) > rules.max_items:
        violations.append(FieldViolation(path, f"must have at most {rules.max_items} elements"))
        return
    entries = values.items() if hasattr(values, "items") else enumerate(values)
    for key, value in entries:
        problem = value_problem(value) if isinstance(value, str | bytes | int) else None
        if problem:
            violations.append(FieldViolation(f"{path}.{key}" if hasattr(values, "items") else f"{path}[{key}]", problem))


def _value_problem(field: FieldDescriptor, rules: options_pb2.FieldRules) -> Callable[[Any], str | None]:
    pattern = re.compile(rules.pattern) if rules.pattern else None
    unit = "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "characters"
    least = rules.min if rules.HasField("min") else None
    most = rules.max if rules.HasField("max") else None
    shortest, longest, hint = rules.min_length, rules.max_length, rules.pattern_hint

    def number_problem(value: Any) -> str | None:
        if least is not None and value < least:
            return f"must be at least {least}"
        if most is not None and value > most:
            return f"must be at most {most}"
        return None

    def text_problem(value: Any) -> str | None:
        if not isinstance(value, str | bytes):
            return None
        if value and len(value) < shortest:
            return f"must have at least {shortest} {unit}"
        if longest and len(value) > longest:
            return f"must have at most {longest} {unit}"
        if pattern and isinstance(value, str) and value and not pattern.fullmatch(value):
            return f"must be {hint}"
        return None

    return number_problem if field.cpp_type in _NUMBERS else text_problem
