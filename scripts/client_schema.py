"""The schema as the generated Python client needs it: its public methods, what they take and answer, names and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor

from clarion.options.v1 import options_pb2

ROOT = Path(__file__).resolve().parent.parent
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
SCALARS = {
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
        kind, read, _ = SCALARS[field.cpp_type]
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


def singular_first(service: ServiceDescriptor) -> list[MethodDescriptor]:
    """Of `RequeueDeadLetter` and `RequeueDeadLetters` the first gets the short name."""
    return sorted(public_methods(service), key=lambda method: (method.name.endswith("s") and not is_list(method), method.index))


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


def constant(method: MethodDescriptor) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method.name).upper()
