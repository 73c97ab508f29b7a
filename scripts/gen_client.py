"""Generate the Python client from the schema: its models, its methods (sync and async) and the schema that its gRPC door ships.

`make gen` runs it after gen/ is fresh. `--check` changes nothing and exits 1 when something is stale.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor

from clarion.options.v1 import options_pb2

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "clients" / "python" / "src" / "clarion_client"
WIDTH = 136
# service -> attribute of the client, class, the noun that its methods' names leave out
RESOURCES = {
    "NotificationService": ("notifications", "Notifications", "Notification"),
    "UserService": ("users", "Users", "User"),
    "TemplateService": ("templates", "Templates", "Template"),
    "PartialService": ("partials", "Partials", "Partial"),
    "CanaryService": ("canaries", "Canaries", "Canary"),
    "ScheduledPublicationService": ("scheduled_publications", "ScheduledPublications", "ScheduledPublication"),
    "AttachmentService": ("attachments", "Attachments", "Attachment"),
    "SenderService": ("senders", "Senders", "Sender"),
    "DeadLetterService": ("dead_letters", "DeadLetters", "DeadLetter"),
    "AuthService": ("auth", "Auth", ""),
    "AuditService": ("audit", "Audit", ""),
    "SignInService": ("sign_ins", "SignIns", ""),
    "AccountService": ("accounts", "Accounts", ""),
    "SecondFactorService": ("second_factors", "SecondFactors", ""),
    "ActivityService": ("activity", "ActivityCounters", "Activity"),
    "BreakerService": ("breakers", "Breakers", "Breaker"),
    "SagaService": ("sagas", "Sagas", "Saga"),
    "ChangeService": ("changes", "Changes", "Change"),
    "ProjectService": ("projects", "Projects", "Project"),
    "PolicyService": ("policies", "Policies", ""),
    "RoleService": ("roles", "Roles", "Role"),
    "PersonalDataService": ("personal_data", "PersonalData", ""),
    "PreferencePageService": ("preference_pages", "PreferencePages", ""),
    "WebhookService": ("webhooks", "Webhooks", "WebhookEndpoint"),
}
_SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: ("bool", "same", "False"),
    FieldDescriptor.CPPTYPE_INT32: ("int", "integer", "0"),
    FieldDescriptor.CPPTYPE_UINT32: ("int", "integer", "0"),
    FieldDescriptor.CPPTYPE_INT64: ("int", "integer", "0"),
    FieldDescriptor.CPPTYPE_UINT64: ("int", "integer", "0"),
    FieldDescriptor.CPPTYPE_DOUBLE: ("float", "float", "0.0"),
    FieldDescriptor.CPPTYPE_FLOAT: ("float", "float", "0.0"),
    FieldDescriptor.CPPTYPE_STRING: ("str", "same", '""'),
}
_WELL_KNOWN = {
    "google.protobuf.Timestamp": ("datetime", "time"),
    "google.protobuf.Duration": ("timedelta", "duration"),
    "google.protobuf.FieldMask": ("str", "same"),
    "google.protobuf.Struct": ("Mapping[str, Any]", "same"),
    "google.protobuf.Value": ("Any", "same"),
    "google.protobuf.ListValue": ("Sequence[Any]", "same"),
    "google.rpc.Status": ("Mapping[str, Any]", "same"),
}


def public_files() -> list[FileDescriptor]:
    """The files of the schema that hold a method with a REST binding, in the order of their names."""
    modules = sorted(path.relative_to(ROOT / "gen").with_suffix("") for path in (ROOT / "gen").rglob("*_pb2.py"))
    found: list[FileDescriptor] = [import_module(".".join(path.parts)).DESCRIPTOR for path in modules]
    return [file for file in found if any(True for service in file.services_by_name.values() for _ in public_methods(service))]


def public_methods(service: ServiceDescriptor) -> Iterator[MethodDescriptor]:
    yield from (method for method in service.methods if method.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern"))


class Comments:
    """The comments of the schema, which generated Python code lacks."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        described = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "gen" / "clarion" / "descriptors.binpb").read_bytes())
        for file in described.file:
            by_path = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
            self._messages(file.message_type, (4,), file.package, by_path)
            self._enums(file.enum_type, (5,), file.package, by_path)
            for index, service in enumerate(file.service):
                self._by_name[f"{file.package}.{service.name}"] = by_path.get((6, index), "")
                for number, method in enumerate(service.method):
                    self._by_name[f"{file.package}.{service.name}.{method.name}"] = by_path.get((6, index, 2, number), "")

    def of(self, name: str, *, drop: str = "") -> str:
        """The comment without the name that it begins with, as a sentence."""
        text = " ".join(self._by_name.get(name, "").split())
        text = re.sub(rf"^{re.escape(drop)} (is |are )?", "", text) if drop else text
        return text[:1].upper() + text[1:]

    def _messages(self, messages: Any, path: tuple[int, ...], prefix: str, by_path: dict[tuple[int, ...], str]) -> None:
        for index, message in enumerate(messages):
            name, here = f"{prefix}.{message.name}", (*path, index)
            self._by_name[name] = by_path.get(here, "")
            for number, field in enumerate(message.field):
                self._by_name[f"{name}.{field.name}"] = by_path.get((*here, 2, number), "")
            self._messages(message.nested_type, (*here, 3), name, by_path)
            self._enums(message.enum_type, (*here, 4), name, by_path)

    def _enums(self, enums: Any, path: tuple[int, ...], prefix: str, by_path: dict[tuple[int, ...], str]) -> None:
        for index, enum in enumerate(enums):
            self._by_name[f"{prefix}.{enum.name}"] = by_path.get((*path, index), "")
            for number, value in enumerate(enum.value):
                self._by_name[f"{prefix}.{enum.name}.{value.name}"] = by_path.get((*path, index, 2, number), "")


class Types:
    """Every message and enum that the public methods need, with their Python names."""

    def __init__(self, files: list[FileDescriptor], comments: Comments) -> None:
        self.comments = comments
        self.messages: dict[str, Descriptor] = {}
        self.enums: dict[str, EnumDescriptor] = {}
        for file in files:
            for service in file.services_by_name.values():
                for method in public_methods(service):
                    self._arguments(method)
                    kind, _ = answer_of(method)
                    item = item_of(method).message_type if is_list(method) else None
                    self._need(item or kind)

    def _arguments(self, method: MethodDescriptor) -> None:
        for field in method.input_type.fields:
            self._need_field(field)

    def _need(self, message: Descriptor) -> None:
        if message.full_name in self.messages or message.full_name in _WELL_KNOWN:
            return
        self.messages[message.full_name] = message
        for field in message.fields:
            self._need_field(field)

    def _need_field(self, field: FieldDescriptor) -> None:
        if field.enum_type is not None:
            self.enums[field.enum_type.full_name] = field.enum_type
        elif field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                self._need_field(map_value(field))
            else:
                self._need(field.message_type)

    def kind(self, field: FieldDescriptor) -> tuple[str, str]:
        """The Python type of one value of the field, and the expression that reads it from JSON."""
        if field.enum_type is not None:
            return name_of(field.enum_type), f"v.member({name_of(field.enum_type)})"
        if field.message_type is not None:
            if field.message_type.full_name in _WELL_KNOWN:
                kind, read = _WELL_KNOWN[field.message_type.full_name]
                return kind, f"v.{read}"
            name = name_of(field.message_type)
            return name, f"v.message(lambda: {name})"
        if field.type == FieldDescriptor.TYPE_BYTES:
            return "bytes", "v.data"
        kind, read, _ = _SCALARS[field.cpp_type]
        return kind, "float" if read == "float" else f"v.{read}"

    def argument(self, field: FieldDescriptor) -> str:
        """The type of an argument."""
        if is_map(field):
            return f"Mapping[str, {self.argument(map_value(field))}]"
        kind, _ = self.kind(field)
        if field.enum_type is not None:
            kind = f"{kind} | str"
        elif field.message_type is not None and field.message_type.full_name not in _WELL_KNOWN:
            kind = f"{kind} | Mapping[str, Any]"
        return f"Sequence[{kind}]" if field.is_repeated else kind


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def map_value(field: FieldDescriptor) -> FieldDescriptor:
    """The field that holds the values of a map."""
    assert field.message_type is not None
    return field.message_type.fields_by_name["value"]


def name_of(described: Descriptor | EnumDescriptor) -> str:
    """Nested ones are called by their whole path."""
    outer = described.containing_type
    return (name_of(outer) if outer is not None else "") + described.name


def answer_of(method: MethodDescriptor) -> tuple[Descriptor, str]:
    """What a method returns, and the field of its response that holds it (empty: the response itself)."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    output = method.output_type
    field = rule.response_body
    if method.client_streaming and (element := output.fields_by_name[field].message_type) is not None:
        return element, field
    if not field and method.server_streaming and len(output.fields) == 1 and (only := output.fields[0].message_type) is not None:
        return only, ""
    inner = output.fields_by_name[field].message_type if field else None
    return (output, "") if inner is None else (inner, field)


def is_list(method: MethodDescriptor) -> bool:
    return "next_page_token" in method.output_type.fields_by_name


def is_open(method: MethodDescriptor) -> bool:
    """Whether anyone may call it: then the server takes no idempotency key, which belongs to a caller."""
    return bool(method.GetOptions().Extensions[options_pb2.policy].access == options_pb2.ACCESS_OPEN)


def item_of(method: MethodDescriptor) -> FieldDescriptor:
    return next(field for field in method.output_type.fields if field.is_repeated)


def method_name(rpc: str, noun: str, taken: set[str]) -> str:
    """`SendNotification` of notifications is `send`; of two that differ in number, the plural one is `…_many`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", rpc).lower()
    short = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", noun).lower()
    name = words
    if short:
        name = re.sub(rf"_{short}s?(?=_|$)", "", words) or words
    if name in taken:
        name += "_many"
    taken.add(name)
    return name


def docstring(text: str, by: str, more: list[str] | None = None) -> str:
    """A docstring of the text, indented."""
    lines = wrap(text or "See the API's reference.", WIDTH - len(by) - 3)
    body = [*lines, *(["", *more] if more else [])]
    if len(body) == 1 and len(body[0]) + len(by) + 6 <= WIDTH:
        return f'{by}"""{body[0]}"""\n'
    return f'{by}"""' + indent("\n".join(body), by).lstrip() + f'\n{by}"""\n'


def models(types: Types) -> str:
    out = [
        '"""The API\'s objects. Generated from the schema by scripts/gen_client.py: do not edit."""\n\n',
        "from __future__ import annotations\n\nimport enum\nfrom collections.abc import Mapping, Sequence\n",
        "from dataclasses import dataclass\nfrom dataclasses import field as stored  # a message may have a field of that name\n",
        "from datetime import datetime, timedelta\nfrom typing import Any\n\n",
        "from clarion_client import _values as v\n\n",
    ]
    for enum in sorted(types.enums.values(), key=name_of):
        out.append(f"\nclass {name_of(enum)}(str, enum.Enum):\n")
        out.append(docstring(types.comments.of(enum.full_name, drop=enum.name), "    ") + "\n")
        prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
        for value in enum.values:
            if not value.name.endswith("_UNSPECIFIED"):
                short = value.name.removeprefix(prefix)
                comment = types.comments.of(f"{enum.full_name}.{value.name}")
                out.append(f'    {short} = "{short.lower()}"\n' + (docstring(comment, "    ") if comment else ""))
        out.append("\n    def __str__(self) -> str:\n        return str(self.value)\n\n")
    for message in sorted(types.messages.values(), key=name_of):
        out.append(f"\n@dataclass(frozen=True)\nclass {name_of(message)}:\n")
        out.append(docstring(types.comments.of(message.full_name, drop=message.name), "    "))
        if message.fields:
            out.append("\n")
        out.extend(model_field(types, one) for one in message.fields)
        out.append("\n")
    return "".join(out)


def model_field(types: Types, one: FieldDescriptor) -> str:
    assert one.containing_type is not None
    comment = types.comments.of(f"{one.containing_type.full_name}.{one.name}")
    if is_map(one):
        kind, read = types.kind(map_value(one))
        line = f'    {one.name}: Mapping[str, {kind}] = stored(default_factory=dict, metadata={{"read": v.table({read})}})\n'
    elif one.is_repeated:
        kind, read = types.kind(one)
        line = f'    {one.name}: tuple[{kind}, ...] = stored(default=(), metadata={{"read": v.many({read})}})\n'
    else:
        kind, read = types.kind(one)
        optional = one.message_type is not None or one.enum_type is not None or one.has_presence or one.cpp_type not in _SCALARS
        default = "None" if optional else 'b""' if kind == "bytes" else _SCALARS[one.cpp_type][2]
        shown = f"{kind} | None" if optional else kind
        line = f'    {one.name}: {shown} = stored(default={default}, metadata={{"read": {read}}})\n'
    return line + (docstring(comment, "    ") if comment else "")


def calls(files: list[FileDescriptor]) -> str:
    out = ['"""Every public method of the API. Generated from the schema by scripts/gen_client.py: do not edit."""\n\n']
    out.append("from clarion_client._calls import Call\n\n")
    for file in files:
        for service in file.services_by_name.values():
            for method in public_methods(service):
                rule = method.GetOptions().Extensions[annotations_pb2.http]
                verb = rule.WhichOneof("pattern")
                extra = [f'body="{rule.body}"'] if rule.body else []
                extra += [f'answer="{rule.response_body}"'] if rule.response_body else []
                extra += ["idempotent=True"] if method.GetOptions().idempotency_level else []
                extra += ["unkeyed=True"] if is_open(method) else []
                extra += ["streams=True"] if method.server_streaming else []
                extra += ["uploads=True"] if method.client_streaming else []
                parts = [f'"/{service.full_name}/{method.name}"', f'"{verb.upper()}"', f'"{getattr(rule, verb)}"', *extra]
                out.append(f"{constant(method)} = Call({', '.join(parts)})\n")
    return "".join(out)


def constant(method: MethodDescriptor) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method.name).upper()


def resources(files: list[FileDescriptor], types: Types, *, asynchronous: bool) -> str:
    base, pager, stream = ("AsyncResource", "AsyncPager", "AsyncIterator") if asynchronous else ("Resource", "Pager", "Iterator")
    names = sorted([*map(name_of, types.messages.values()), *map(name_of, types.enums.values())])
    out = [
        f'"""The API\'s methods{", for asyncio" if asynchronous else ""}. Generated by scripts/gen_client.py: do not edit."""\n\n',
        f"from __future__ import annotations\n\nfrom collections.abc import Iterable, {stream}, Mapping, Sequence\n",
        "from datetime import datetime, timedelta\nfrom typing import Any\n\n",
        "from clarion_client import _api as api\nfrom clarion_client import _values as v\n",
        f"from clarion_client._base import {pager}, {base}\n",
        f"from clarion_client.models import {', '.join(names)}\n\n",
    ]
    for file in files:
        for service in file.services_by_name.values():
            _, cls, noun = RESOURCES[service.name]
            taken: set[str] = set()
            out.append(f"\nclass {'Async' if asynchronous else ''}{cls}({base}):\n")
            out.append(docstring(types.comments.of(service.full_name, drop=service.name), "    "))
            out.extend(
                "\n" + resource_method(method, method_name(method.name, noun, taken), types, asynchronous=asynchronous)
                for method in singular_first(service)
            )
            out.append("\n")
    return "".join(out)


def singular_first(service: ServiceDescriptor) -> list[MethodDescriptor]:
    """Of `RequeueDeadLetter` and `RequeueDeadLetters` the first gets the short name."""
    return sorted(public_methods(service), key=lambda method: (method.name.endswith("s") and not is_list(method), method.index))


def upload_method(method: MethodDescriptor, name: str, types: Types, *, asynchronous: bool) -> str:
    """A method that takes a stream: its one argument is what can be iterated over."""
    items = method.input_type.fields_by_name[method.GetOptions().Extensions[annotations_pb2.http].body]
    kind, _ = answer_of(method)
    text = types.comments.of(f"{method.containing_service.full_name}.{method.name}", drop=method.name)
    explained = f"{items.name}: {types.comments.of(items.full_name)} They are read ahead; one without a `request_id` gets one of its own."
    given = types.argument(items).replace("Sequence", "Iterable", 1)
    result = f"{'AsyncIterator' if asynchronous else 'Iterator'}[{name_of(kind)}]"
    body = f"return self._upload(api.{constant(method)}, {items.name}, lambda answer: v.decode({name_of(kind)}, answer))"
    more = wrap(explained, WIDTH - 12, subsequent_indent="    ")
    return f"    def {name}(self, {items.name}: {given}) -> {result}:\n{docstring(text, '        ', more)}        {body}\n"


def resource_method(method: MethodDescriptor, name: str, types: Types, *, asynchronous: bool) -> str:
    if method.client_streaming:
        return upload_method(method, name, types, asynchronous=asynchronous)
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    path = re.findall(r"\{(\w+)\}", getattr(rule, rule.WhichOneof("pattern")))
    fields = [field for field in method.input_type.fields if not (is_list(method) and field.name == "page_token")]
    positional = [field for wanted in path for field in fields if field.name == wanted]
    named = [field for field in fields if field not in positional]
    required = [field for field in named if field.GetOptions().Extensions[options_pb2.rules].required or field.name == rule.body]
    optional = [field for field in named if field not in required]
    parameters = ["self", *(f"{field.name}: {types.argument(field)}" for field in positional), "*"]
    parameters += [f"{field.name}: {types.argument(field)}" for field in required]
    parameters += [f"{field.name}: {types.argument(field)} | None = None" for field in optional]
    keyed = rule.WhichOneof("pattern") == "post" and not method.GetOptions().idempotency_level and not is_open(method)
    if not method.server_streaming:
        parameters.append("timeout_s: float | None = None")
    if keyed:
        parameters.append("idempotency_key: str | None = None")
    if parameters[-1] == "*":
        parameters.pop()
    body = f"v.body_of({', '.join(f'{field.name}={field.name}' for field in [*positional, *named])})"
    call = f"api.{constant(method)}"
    kind, _ = answer_of(method)
    pager, stream = ("AsyncPager", "AsyncIterator") if asynchronous else ("Pager", "Iterator")
    comment = types.comments.of(f"{method.containing_service.full_name}.{method.name}", drop=method.name)
    explained = [f"{field.name}: {types.comments.of(f'{method.input_type.full_name}.{field.name}')}" for field in [*positional, *named]]
    more = [line for text in explained for line in wrap(text, WIDTH - 12, subsequent_indent="    ")]
    awaited = "async " if asynchronous else ""
    if is_list(method):
        item = item_of(method)
        kind_name, read = types.kind(item)
        result, statement, awaited = f"{pager}[{kind_name}]", f'return self._pages({call}, {body}, "{item.name}", {read}, timeout_s)', ""
    elif method.server_streaming:
        inner = method.output_type.fields[0] if kind is not method.output_type else None
        resume_by = method.GetOptions().Extensions[options_pb2.policy].resume_by
        resumed = f', "{resume_by}"' if resume_by else ""
        read = (
            f'lambda message: v.decode({name_of(kind)}, message["{inner.name}"])'
            if inner
            else f"lambda message: v.decode({name_of(kind)}, message)"
        )
        result, statement, awaited = f"{stream}[{name_of(kind)}]", f"return self._stream({call}, {body}, {read}{resumed})", ""
    else:
        key = ", idempotency_key" if keyed else ""
        empty = not kind.fields
        result = "None" if empty else name_of(kind)
        read = "lambda answer: None" if empty else f"lambda answer: v.decode({name_of(kind)}, answer)"
        statement = f"return {'await ' if asynchronous else ''}self._unary({call}, {body}, {read}, timeout_s{key})"
        if empty:
            statement = statement.removeprefix("return ")
    return f"    {awaited}def {name}({', '.join(parameters)}) -> {result}:\n{docstring(comment, '        ', more)}        {statement}\n"


def client(*, asynchronous: bool) -> str:
    prefix = "Async" if asynchronous else ""
    module = "aio_resources" if asynchronous else "resources"
    lines = [f"        self.{attribute} = {module}.{prefix}{cls}(transport, settings)\n" for attribute, cls, _ in RESOURCES.values()]
    return "".join(lines)


def schema(files: list[FileDescriptor]) -> bytes:
    """The public files with everything that they import, each after what it needs."""
    ordered: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in ordered:
            for dependency in file.dependencies:
                add(dependency)
            ordered[file.name] = file

    for file in files:
        add(file)
    described = descriptor_pb2.FileDescriptorSet()
    for file in ordered.values():
        file.CopyToProto(described.file.add())
    return described.SerializeToString(deterministic=True)


def generate() -> dict[str, bytes]:
    """Every generated file by its name below the package."""
    files = public_files()
    types = Types(files, Comments())
    texts = {
        "models.py": models(types),
        "_api.py": calls(files),
        "resources.py": resources(files, types, asynchronous=False),
        "aio_resources.py": resources(files, types, asynchronous=True),
        "_attach.py": attach(),
    }
    return {**{name: formatted(text) for name, text in texts.items()}, "schema.binpb": schema(files)}


def attach() -> str:
    """The clients' attributes, one per service."""
    out = ['"""The attributes of the clients. Generated by scripts/gen_client.py: do not edit."""\n\n']
    out.append("from clarion_client import aio_resources, resources\n")
    out.append("from clarion_client._base import AsyncTransport, Settings, Transport\n\n")
    for asynchronous in (False, True):
        prefix = "Async" if asynchronous else ""
        out.append(f'\nclass {prefix}Services:\n    """Every service of the API."""\n\n')
        out.append(
            f"    def __init__(self, transport: {prefix}Transport, settings: Settings) -> None:\n{client(asynchronous=asynchronous)}\n"
        )
    return "".join(out)


def formatted(text: str) -> bytes:
    """The code as ruff writes it, with the imports that it uses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.py"
        path.write_text(text)
        ruff = [str(Path(sys.executable).parent / "ruff")]
        common = ["--quiet", "--config", str(ROOT / "clients" / "python" / "ruff.toml"), str(path)]
        subprocess.run([*ruff, "check", "--fix", "--exit-zero", *common], check=True)
        subprocess.run([*ruff, "format", *common], check=True)
        return path.read_bytes()


def main() -> int:
    """Generate, or check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the client is not what the schema says")
    options = parser.parse_args()
    stale = [name for name, content in generate().items() if not (PACKAGE / name).exists() or (PACKAGE / name).read_bytes() != content]
    # the examples call the client, so both are made together
    examples = subprocess.run([sys.executable, "-m", "scripts.gen_samples", *(["--check"] if options.check else [])], cwd=ROOT, check=False)
    if options.check:
        for name in stale:
            print(f"clients/python is not fresh, run `make gen`: {name}", file=sys.stderr)
        return 1 if stale else examples.returncode
    for name, content in generate().items():
        if name in stale:
            (PACKAGE / name).write_bytes(content)
    print(f"clients/python: {len(stale)} changed")
    return examples.returncode


if __name__ == "__main__":
    sys.exit(main())
