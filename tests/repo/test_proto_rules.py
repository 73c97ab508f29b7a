"""The schema carries the policy of every method and the limits of every field that a caller can set."""

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from clarion.options.v1 import options_pb2

ROOT = Path(__file__).resolve().parents[2]
READS = re.compile(r"(Batch)?(Get|List|Watch|Preview|Lint|Evaluate|Check|Describe|LookUp|Render|Export)")
SECRETS = re.compile(r"(.*_)?(email|password|token|secret|address)")


def files() -> list[FileDescriptor]:
    """Load every schema file of ours."""
    names = sorted(path.relative_to(ROOT / "protos").with_suffix("") for path in (ROOT / "protos").rglob("*.proto"))
    return [importlib.import_module(".".join(name.parts) + "_pb2").DESCRIPTOR for name in names]


FILES = files()
METHODS: list[MethodDescriptor] = [method for file in FILES for service in file.services_by_name.values() for method in service.methods]


def messages(of: FileDescriptor | Descriptor) -> Iterator[Descriptor]:
    """Yield the messages of a file with those inside them."""
    inner = of.message_types_by_name if isinstance(of, FileDescriptor) else of.nested_types_by_name
    for message in inner.values():
        yield message
        yield from messages(message)


def enums() -> Iterator[EnumDescriptor]:
    """Yield every enum."""
    for file in FILES:
        yield from file.enum_types_by_name.values()
        for message in messages(file):
            yield from message.enum_types_by_name.values()


def input_fields() -> Iterator[FieldDescriptor]:
    """Yield every field that a caller can set: those of the requests and of all that is inside them."""
    seen: set[str] = set()
    waiting = [method.input_type for method in METHODS]
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            if not message.GetOptions().map_entry:
                yield field
            if field.message_type is not None and field.message_type.full_name.startswith("clarion."):
                waiting.append(field.message_type)


def policy(method: MethodDescriptor) -> options_pb2.MethodPolicy:
    return method.GetOptions().Extensions[options_pb2.policy]


def rules(field: FieldDescriptor) -> options_pb2.FieldRules:
    return field.GetOptions().Extensions[options_pb2.rules]


def bindings(method: MethodDescriptor) -> list[tuple[str, str]]:
    """List (verb, path) of a method's REST bindings."""
    if not method.GetOptions().HasExtension(annotations_pb2.http):
        return []
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    return [(verb, getattr(one, verb)) for one in (rule, *rule.additional_bindings) if (verb := one.WhichOneof("pattern"))]


@pytest.fixture(params=METHODS, ids=lambda method: method.full_name)
def method(request: pytest.FixtureRequest) -> MethodDescriptor:
    """Each method in turn."""
    found: MethodDescriptor = request.param
    return found


def test_a_method_says_who_may_call_it(method: MethodDescriptor) -> None:
    access, scope = policy(method).access, policy(method).scope
    assert access != options_pb2.ACCESS_UNSPECIFIED
    if access == options_pb2.ACCESS_SCOPE:
        assert re.fullmatch(r"[a-z]+:[a-z]+", scope)
    else:
        assert not scope
        assert not policy(method).owner


def test_a_unary_method_has_a_deadline_of_at_most_a_minute(method: MethodDescriptor) -> None:
    deadline_ms = policy(method).default_deadline_ms
    assert 0 < deadline_ms <= 60_000 or method.server_streaming


def test_a_method_that_only_reads_says_so(method: MethodDescriptor) -> None:
    """The client retries what the schema calls idempotent, so a missing level costs availability and a wrong one costs duplicates."""
    level = method.GetOptions().idempotency_level
    reads = bool(READS.match(method.name))
    assert reads == (level == MethodOptions.NO_SIDE_EFFECTS)
    for verb, _ in bindings(method):
        if verb == "get":
            assert level == MethodOptions.NO_SIDE_EFFECTS
        if verb in {"delete", "put", "patch"}:
            assert level == MethodOptions.IDEMPOTENT


def test_only_what_is_for_callers_outside_has_a_rest_binding(method: MethodDescriptor) -> None:
    internal = policy(method).access == options_pb2.ACCESS_INTERNAL
    assert internal != bool(bindings(method))


def test_a_success_status_is_one_of_ours(method: MethodDescriptor) -> None:
    assert policy(method).success_status in {0, 201, 202}


def test_the_variables_of_a_path_are_required_fields_of_the_request(method: MethodDescriptor) -> None:
    for _, path in bindings(method):
        for name in re.findall(r"\{([a-z_]+)[=}]", path):
            assert rules(method.input_type.fields_by_name[name]).required, f"{path}: {name}"


def test_no_two_methods_share_a_rest_binding() -> None:
    shape = Counter((verb, re.sub(r"\{[^}]*\}", "{}", path)) for method in METHODS for verb, path in bindings(method))
    assert [binding for binding, count in shape.items() if count > 1] == []


def test_the_zero_value_of_every_enum_is_unspecified() -> None:
    for enum in enums():
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED"), enum.full_name


def test_every_text_that_a_caller_can_set_has_a_greatest_length() -> None:
    unlimited = [
        field.full_name
        for field in input_fields()
        if field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES} and not rules(field).max_length
    ]
    assert unlimited == []


def test_a_person_can_be_named_by_the_callers_own_id_in_every_path() -> None:
    """`external_id` has up to 128 characters (docs/own-ids.md)."""
    named = [
        method.input_type.fields_by_name[found[1]]
        for method in METHODS
        for _, path in bindings(method)
        if (found := re.match(r"/v1/users/\{(\w+)\}", path))
    ]
    assert len(named) > 10
    assert [field.full_name for field in named if rules(field).max_length != 128] == []


def test_every_list_and_map_that_a_caller_can_set_has_a_greatest_size() -> None:
    assert [field.full_name for field in input_fields() if field.is_repeated and not rules(field).max_items] == []


def test_every_number_of_a_page_has_bounds() -> None:
    for field in input_fields():
        if field.name == "page_size":
            assert rules(field).HasField("min"), field.full_name
            assert rules(field).max, field.full_name


def test_every_pattern_compiles_and_has_a_hint_for_people() -> None:
    for field in input_fields():
        re.compile(rules(field).pattern)
        assert bool(rules(field).pattern) == bool(rules(field).pattern_hint), field.full_name


def test_addresses_and_secrets_are_marked_sensitive() -> None:
    """What is marked reaches no log, span or metric."""
    for file in FILES:
        for message in messages(file):
            for field in message.fields:
                if SECRETS.fullmatch(field.name) and field.name not in {"page_token", "next_page_token"}:
                    assert field.GetOptions().Extensions[options_pb2.sensitive], field.full_name


@pytest.mark.parametrize("path", sorted((ROOT / "protos" / "clarion").rglob("*.proto")), ids=lambda path: path.stem)
def test_no_comment_is_read_as_markup(path: Path) -> None:
    """The viewer of /docs reads comments as Markdown, in which a bare `<img>` is one: it is written as code."""
    comments = "\n".join(line for line in path.read_text().splitlines() if line.lstrip().startswith("//"))
    assert re.findall(r"<[a-zA-Z/!][^>]*>", re.sub(r"`[^`]*`", "", comments)) == []
