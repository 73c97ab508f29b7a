"""Generate an example of every public method in curl, Python, the command line and grpcurl: `gateway/samples.json`, for `/openapi.json`.

scripts/gen_client.py runs it. `--check` changes nothing and exits 1 when the file is stale.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from typing import Any
from urllib.parse import quote, urlencode

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

from clarion.options.v1 import options_pb2
from scripts.client_schema import RESOURCES, ROOT, is_list, is_map, is_open, map_value, method_name, public_files, singular_first

TARGET = ROOT / "gateway" / "samples.json"
_ID = "0190f1d2-7c5e-7b7a-9d2f-3c1e5a6b7c8d"
_WIDTH = 88
_SEND = {"user_id": _ID, "channel": "email", "template": "welcome", "variables": {"name": "Ada"}}
_CONTENTS = {"en": {"subject": "Hello {{ name }}", "text": "Hello {{ name }}!"}}
# Fields whose example is the same wherever they are required.
_VALUES: dict[str, Any] = {
    "id": _ID, "user_id": _ID, "notification_id": _ID, "email": "ada@example.com", "new_email": "ada@example.org",
    "address": "ada@example.com", "password": "correct horse battery", "current_password": "correct horse battery",
    "new_password": "a better horse battery", "refresh_token": "the token that login answered", "template": "welcome", "channel": "email",
    "publish_at": "2040-01-31T09:00:00Z", "domain": "example.com", "content": "JVBERi0xLjcK",
    "version": 1, "percent": 10, "locale": "en", "token": "registration-token", "name": "welcome", "contents": _CONTENTS,
}  # fmt: skip
# What a method's example has besides, or instead.
_REQUESTS: dict[str, dict[str, Any]] = {
    "ListChanges": {"cursor": "0", "statuses": ["sent", "failed"]},
    "WatchChanges": {"statuses": ["sent", "failed"]},
    "ListDeadLetters": {"state": "open"},
    "RequeueDeadLetter": {"note": "the mailbox is open again"},
    "DiscardDeadLetter": {"note": "no longer wanted"},
    "AnnotateDeadLetter": {"note": "asked the provider"},
    "RequeueDeadLetters": {"filter": {"template": "welcome"}},
    "DiscardDeadLetters": {"filter": {"template": "welcome"}},
    "SendNotification": _SEND,
    "BatchSendNotifications": {"requests": [_SEND]},
    "BulkSendNotifications": {"notifications": [{"request_id": "order-17", **_SEND}]},
    "ListNotifications": {"status": "failed", "metadata": ["order=17"]},
    "ForceBreaker": {"name": "smtp", "force": "open"},
    "CreateVersion": {"publish": True},
    "UpdateTemplate": {"template": {"category": "news"}},
    "PreviewTemplate": {"variables": {"name": "Ada"}},
    "UpdateSender": {"name": "billing", "sender": {"email": "billing@example.com", "display_name": "Acme Billing"}},
    "GetSender": {"name": "billing"},
    "DeleteSender": {"name": "billing"},
    # one that the examples before have not added: who tries them has no record in DNS
    "VerifySenderDomain": {"domain": "example.org"},
    "RotateSenderDomainKey": {"domain": "example.org"},
    "ListScheduledPublications": {"state": "planned"},
    "CreateApiKey": {"name": "shop", "scopes": ["notifications:send"]},
    "UpdateDeliveryPolicy": {"policy": {"rules": [{"category": "news", "choice": "deny"}]}},
    "GetCategory": {"id": "news"},
    "DeleteCategory": {"id": "news"},
    "LookUpUser": {"device_token": "fcm-registration-token"},
    "CreateRole": {"role": {"id": "support", "scopes": ["notifications:read", "deadletters:review"]}},
    "AssignRole": {"role": "support"},
    "CreateCategory": {"category": {"id": "news", "texts": {"en": {"name": "News"}}}},
    "UpdateCategory": {"id": "news", "category": {"mandatory": False}},
    "GetProject": {"id": "default"},
    "CreateProject": {"project": {"id": "shop", "display_name": "The shop"}},
    "CreateUser": {"email": "ada@example.com", "name": "Ada", "locale": "en"},
    "ListUsers": {"email": "ada@example.com"},
    "UpdateUser": {"user": {"timezone": "Europe/Paris"}},
    "BatchUpsertUsers": {"users": [{"external_id": "crm-17", "email": "ada@example.com"}]},
    "UpdatePreferences": {"rules": [{"channel": "email", "choice": "deny", "category": "news"}]},
    "CreateDevice": {"platform": "android"},
    "CreateAddress": {"address": "ada@work.example", "primary": True},
    "DeleteAddress": {"address": "ada@work.example"},
    "CreateWebhookEndpoint": {"webhook_endpoint": {"url": "https://shop.example/clarion", "statuses": ["sent", "failed"]}},
    "UpdateWebhookEndpoint": {"webhook_endpoint": {"disabled": True}},
    "ListWebhookDeliveries": {"state": "failed"},
    "ReplayWebhookDeliveries": {"state": "failed"},
    "ResendNotification": {"to": {"email": "ada@example.com"}},
}
# Commands of their own; all others are reached by `clarion api`.
_COMMANDS = {
    "WatchChanges": "clarion tail --status sent --status failed",
    "ListDeadLetters": "clarion dead-letters list",
    "GetDeadLetter": "clarion dead-letters get {notification_id}",
    "RequeueDeadLetter": "clarion dead-letters requeue {notification_id}",
    "DiscardDeadLetter": "clarion dead-letters discard {notification_id}",
    "RequeueDeadLetters": "clarion dead-letters requeue --all --template welcome --yes",
    "DiscardDeadLetters": "clarion dead-letters discard --all --template welcome --yes",
    "SendNotification": "clarion send welcome --user {user_id} --var name=Ada",
    "BulkSendNotifications": "clarion send --from-file items.ndjson",
    "GetNotification": "clarion notifications get {id}",
    "GetSentContent": "clarion notifications content {id}",
    "ResendNotification": "clarion notifications resend {id} --to ada@example.com",
    "ListNotifications": "clarion notifications list --status failed --metadata order=17",
    "CancelNotification": "clarion notifications cancel {id}",
    "WatchNotification": "clarion watch {id}",
    "GetActivity": "clarion overview",
    "ListProblems": "clarion problems",
    "ListQueues": "clarion queues",
    "ListBreakers": "clarion breakers list",
    "ForceBreaker": "clarion breakers force smtp open",
    "ListTemplates": "clarion templates list",
    "ListSenders": "clarion senders list",
    "DeleteSender": "clarion senders delete billing",
    "ListSenderDomains": "clarion senders domains list",
    "AddSenderDomain": "clarion senders domains add example.com",
    "DeleteSenderDomain": "clarion senders domains delete example.com",
    "GetTemplate": "clarion templates get welcome",
    "UpdateTemplate": "clarion templates update welcome --category news",
    "PublishVersion": "clarion templates publish welcome 1",
    "StartCanary": "clarion templates canary start welcome 1 --percent 10",
    "GetCanary": "clarion templates canary show welcome",
    "StopCanary": "clarion templates canary stop welcome",
    "CreateScheduledPublication": "clarion templates schedule welcome 1 --at 2040-01-31T09:00:00Z",
    "ListScheduledPublications": "clarion templates scheduled",
    "ArchiveTemplate": "clarion templates archive welcome",
    "RestoreTemplate": "clarion templates restore welcome",
    "ArchiveVersion": "clarion templates archive welcome --version 1",
    "RestoreVersion": "clarion templates restore welcome --version 1",
    "CreateUser": "clarion users create ada@example.com --name Ada --locale en",
    "GetUser": "clarion users get {id}",
    "ListUsers": "clarion users list",
    "DeleteUser": "clarion users delete {id} --yes",
    "ListDevices": "clarion users devices {user_id}",
    "RotateSigningKey": "clarion keys rotate-signing",
    "CreateAddress": "clarion users addresses add {user_id} ada@work.example --primary",
    "ListAddresses": "clarion users addresses list {user_id}",
    "DeleteAddress": "clarion users addresses remove {user_id} ada@work.example",
    "CreateWebhookEndpoint": "clarion webhooks create https://shop.example/clarion --status sent --status failed",
    "GetWebhookEndpoint": "clarion webhooks get {id}",
    "ListWebhookEndpoints": "clarion webhooks list",
    "DeleteWebhookEndpoint": "clarion webhooks delete {id}",
    "RotateWebhookSecret": "clarion webhooks rotate {id}",
    "TestWebhookEndpoint": "clarion webhooks trigger {id}",
    "ListWebhookDeliveries": "clarion webhooks deliveries {id}",
    "ReplayWebhookDeliveries": "clarion webhooks replay {id} --state failed",
}


def request_of(method: MethodDescriptor) -> dict[str, Any]:
    """An example of the method's request, in the REST edge's JSON."""
    path = _rule(method)[1]
    asked = {field.name: _example(field) for field in method.input_type.fields if _is_required(field) or f"{{{field.name}}}" in path}
    return {**asked, **_REQUESTS.get(method.name, {})}


def _is_required(field: FieldDescriptor) -> bool:
    return field.GetOptions().Extensions[options_pb2.rules].required


def _example(field: FieldDescriptor) -> Any:
    """A value that will do, of a field that must be given."""
    if field.name in _VALUES:
        return _VALUES[field.name]
    value: Any
    if field.enum_type is not None:
        value = field.enum_type.values[1].name.removeprefix(field.enum_type.values[0].name.removesuffix("UNSPECIFIED")).lower()
    elif field.message_type is not None:
        value = {inner.name: _example(inner) for inner in field.message_type.fields if _is_required(inner)}
    else:
        value = f"the {field.name.replace('_', ' ')}" if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else 1
    return [value] if field.is_repeated else value


def samples() -> dict[str, list[dict[str, str]]]:
    """The examples by the method's full name, as OpenAPI's extension `x-codeSamples` has them."""
    found: dict[str, list[dict[str, str]]] = {}
    for file in public_files():
        for service in file.services_by_name.values():
            attribute, _, noun = RESOURCES[service.name]
            taken: set[str] = set()
            for method in singular_first(service):
                name = method_name(method.name, noun, taken)
                found[method.full_name] = [
                    {"lang": "Shell", "label": "curl", "source": curl(method)},
                    {"lang": "Python", "label": "Python", "source": python(method, attribute, name)},
                    {"lang": "Shell", "label": "clarion", "source": command(method)},
                    {"lang": "Shell", "label": "grpcurl", "source": grpcurl(method)},
                ]
    return dict(sorted(found.items()))


def _rule(method: MethodDescriptor) -> tuple[str, str, str]:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return verb.upper(), getattr(rule, verb), rule.body


def _rest(method: MethodDescriptor) -> tuple[str, str, Any]:
    """The verb, the path with its query and the body."""
    verb, path, body = _rule(method)
    left = request_of(method)
    path = re.sub(r"\{(\w+)\}", lambda match: quote(str(left.pop(match[1])), safe="@"), path)
    content = None
    if body == "*":
        content, left = left, {}
    elif body:
        content = left.pop(body)
    query = urlencode([(key, item) for key, value in left.items() for item in (value if isinstance(value, list) else [value])])
    return verb, f"{path}?{query}" if query else path, content


def curl(method: MethodDescriptor) -> str:
    """The call by curl; an upload is a file, a stream is shown line by line."""
    verb, path, content = _rest(method)
    parts = ["curl"] if not method.server_streaming else ["curl --no-buffer"]
    parts[0] += f' "$CLARION_URL{path}"'
    if verb != ("GET" if content is None else "POST"):
        parts[0] = parts[0].replace("curl", f"curl -X {verb}", 1)
    if not is_open(method):
        parts.append('-H "Authorization: Bearer $CLARION_API_KEY"')
    if method.client_streaming:
        parts[0] = parts[0].replace("curl", "curl -X POST", 1).replace("curl -X POST -X POST", "curl -X POST")
        parts += ["-H 'Content-Type: application/x-ndjson'", "-T items.ndjson"]
    elif content is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(content))}"]
    return " \\\n  ".join(parts)


def python(method: MethodDescriptor, attribute: str, name: str) -> str:
    """The call by the Python client."""
    _, path, body = _rule(method)
    left = request_of(method)
    given = [repr(left.pop(variable)) for variable in re.findall(r"\{(\w+)\}", path)]
    if method.client_streaming:
        given, left = [repr(left[body])], {}
    given += [f"{key}={value!r}" for key, value in left.items()]
    call = f"clarion.{attribute}.{name}({', '.join(given)})"
    if len(call) > _WIDTH:
        call = f"clarion.{attribute}.{name}(\n" + "".join(f"    {argument},\n" for argument in given) + ")"
    head = "from clarion_client import Clarion\n\nclarion = Clarion()  # CLARION_URL, CLARION_API_KEY\n"
    if is_list(method) or method.server_streaming:
        return f"{head}for one in {call}:\n    print(one)"
    return f"{head}{call if not method.output_type.fields else f'print({call})'}"


def command(method: MethodDescriptor) -> str:
    """The call by the command line."""
    own = _COMMANDS.get(method.name)
    if own is not None:
        return own.format(**request_of(method))
    verb, path, content = _rest(method)
    data = "" if content is None else f" -d {shlex.quote(json.dumps(content))}"
    return f"clarion api {verb} {shlex.quote(path)}{data}"


def grpcurl(method: MethodDescriptor) -> str:
    """The call by grpcurl, which reads the schema from the server (CLARION_REFLECTION)."""
    asked = _long(method.input_type, request_of(method))
    parts = ["grpcurl -plaintext"]
    if not is_open(method):
        parts.append('-H "authorization: Bearer $CLARION_API_KEY"')
    if asked:
        parts.append(f"-d {shlex.quote(json.dumps(asked))}")
    parts.append(f"localhost:9000 {method.containing_service.full_name}/{method.name}")
    return " \\\n  ".join(parts)


def _long(message: Descriptor, value: dict[str, Any]) -> dict[str, Any]:
    """The value with the schema's own names of enums, which protobuf's JSON wants."""
    return {name: _long_field(message.fields_by_name[name], item) for name, item in value.items()}


def _long_field(field: FieldDescriptor, value: Any) -> Any:
    if is_map(field):
        return {key: _long_field(map_value(field), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_long_field(field, item) for item in value]
    if field.enum_type is not None:
        return _long_name(field.enum_type, value)
    if field.message_type is not None and isinstance(value, dict) and not field.message_type.full_name.startswith("google."):
        return _long(field.message_type, value)
    return value


def _long_name(enum: EnumDescriptor, value: str) -> str:
    return enum.values[0].name.removesuffix("UNSPECIFIED") + value.upper()


def main() -> int:
    """Generate, or check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the examples are not what the schema says")
    options = parser.parse_args()
    content = json.dumps(samples(), indent=1, ensure_ascii=False) + "\n"
    if not TARGET.exists() or TARGET.read_text() != content:
        if options.check:
            print("gateway/samples.json is not fresh, run `make gen`", file=sys.stderr)
            return 1
        TARGET.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
