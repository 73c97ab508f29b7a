"""The wall between projects: every public method, asked from one project with the ids of another one's objects."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from clarion.notification.v1 import (
    activity_service_pb2,
    change_service_pb2,
    dead_letter_service_pb2,
    notification_service_pb2,
    personal_data_service_pb2,
    saga_service_pb2,
)
from clarion.operations.v1 import breaker_service_pb2
from clarion.options.v1 import options_pb2
from clarion.template.v1 import (
    attachment_service_pb2,
    canary_service_pb2,
    partial_service_pb2,
    scheduled_publication_service_pb2,
    sender_service_pb2,
    template_service_pb2,
)
from clarion.user.v1 import (
    account_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    policy_service_pb2,
    preference_page_service_pb2,
    project_service_pb2,
    role_service_pb2,
    second_factor_service_pb2,
    sign_in_service_pb2,
    user_service_pb2,
)
from clarion.webhook.v1 import webhook_service_pb2
from devstack.client import Client, RefusedError
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.system.conftest import System
from user_svc.auth.models import Scope

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_FILES = (
    user_service_pb2, template_service_pb2, notification_service_pb2, dead_letter_service_pb2, saga_service_pb2, auth_service_pb2,
    breaker_service_pb2, partial_service_pb2, sender_service_pb2, attachment_service_pb2, project_service_pb2, change_service_pb2,
    policy_service_pb2, webhook_service_pb2, preference_page_service_pb2, personal_data_service_pb2, sign_in_service_pb2,
    activity_service_pb2, audit_service_pb2,
    account_service_pb2, scheduled_publication_service_pb2, canary_service_pb2, second_factor_service_pb2, role_service_pb2,
)  # fmt: skip
METHODS = [
    method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.GetOptions().Extensions[options_pb2.policy].access == options_pb2.ACCESS_SCOPE
]

# What each request needs beside the ids.
_BODIES: dict[str, dict[str, Any]] = {
    "UpdateUser": {"user": {"name": "Eve"}, "update_mask": "name"},
    "UpdatePreferences": {"rules": [{"channel": "CHANNEL_EMAIL", "choice": "CHOICE_DENY"}]},
    "CreateDevice": {"token": "stolen", "platform": "PLATFORM_ANDROID"},
    "UpdateTemplate": {"template": {"description": "Eve"}},
    "CreateVersion": {"contents": {"en": {"subject": "Eve", "text": "Eve"}}},
    "GetCatalog": {"locale": "pl"},
    "StartCanary": {"percent": 10},
    "CreateScheduledPublication": {"publish_at": "2040-01-31T09:00:00Z"},
    "PreviewTemplate": {"variables": {"name": "Eve"}},
    "SendNotification": {"channel": "CHANNEL_EMAIL", "variables": {"name": "Eve"}},
    "AnnotateDeadLetter": {"note": "Eve"},
    "DeleteSession": {"id": "-"},
    "UpdateCategory": {"category": {"mandatory": True}},
    "LookUpUser": {"device_token": "token-behind-the-wall"},
    "UpdateRole": {"role": {"description": "Eve"}},
    "UpdateWebhookEndpoint": {"webhook_endpoint": {"description": "Eve"}},
    "ReplayWebhookDeliveries": {"state": "WEBHOOK_DELIVERY_STATE_FAILED"},
}
# What these answer is an answer to a question about the caller's own project: a list without the other's, or a new object of its own.
_OWN: dict[str, dict[str, Any]] = {
    "CreateUser": {"name": "Bob"},
    "BatchUpsertUsers": {"users": [{"external_id": "bobs-own"}]},
    "ListUsers": {},
    "GetActivity": {},
    "ListProblems": {},
    "ListQueues": {},
    "CreateSuppression": {},
    "ListSuppressions": {},
    "CreateTemplate": {"channel": "CHANNEL_EMAIL"},
    "ListTemplates": {},
    "ListPartials": {},
    "ListScheduledPublications": {},
    "ListSenders": {},
    "ListSenderDomains": {},
    "CreateAttachment": {"content": "Qm9i"},
    "AddSenderDomain": {"domain": "bob.example"},
    "UpdateSender": {"name": "bobs-own", "sender": {"email": "bob@trusted.example"}},
    "UpdatePartial": {"name": "bobs-own", "source": "Bob"},
    "LintContents": {"channel": "CHANNEL_EMAIL", "contents": {"en": {"subject": "Bob", "text": "Bob"}}},
    "BatchSendNotifications": {"requests": [{"channel": "CHANNEL_EMAIL", "user_id": "{user}", "template": "{template}"}]},
    "BulkSendNotifications": {"notifications": [{"channel": "CHANNEL_EMAIL", "user_id": "{user}", "template": "{template}"}]},
    "ListNotifications": {},
    "ListDeadLetters": {},
    "RequeueDeadLetters": {"filter": {}},
    "DiscardDeadLetters": {"filter": {"channel": "CHANNEL_EMAIL"}},
    "ListDeadLetterJobs": {},
    "ListSagas": {},
    "CreateApiKey": {"name": "bob", "scopes": ["users:read"]},
    "ListApiKeys": {},
    "ListChanges": {},
    "ListAuditEvents": {},
    "GetDeliveryPolicy": {},
    "UpdateDeliveryPolicy": {"policy": {"rules": [{"category": "bobs", "choice": "CHOICE_DENY"}]}},
    "GetBrand": {},
    "UpdateBrand": {"brand": {"name": "Bob"}},
    "CreateCategory": {},
    "CreateRole": {},
    "ListRoles": {},
    "DeleteRole": {},
    "ListCategories": {},
    "DeleteCategory": {},
    "CreateWebhookEndpoint": {"webhook_endpoint": {"url": "https://bob.example/"}},
    "ListWebhookEndpoints": {},
    "DeleteWebhookEndpoint": {},
}
_STREAM_S = 2.0
_PEOPLE_ONLY = {"ChangePassword", "ChangeEmail", "BeginSecondFactor", "ConfirmSecondFactor", "CreateRecoveryCodes"}


@dataclass(frozen=True)
class Objects:
    """One of each kind, by what requests call it."""

    user: str
    device: str
    address: str
    template: str
    notification: str
    job: str
    saga: str
    api_key: str
    category: str
    endpoint: str
    partial: str
    plan: str
    sender: str
    domain: str
    role: str

    @classmethod
    def unknown(cls) -> "Objects":
        identifiers = [str(uuid4()) for _ in range(13)]
        return cls(identifiers[0], identifiers[1], "unknown@example.com", "no-such-template", *identifiers[2:])

    def named_by(self, method: MethodDescriptor, field: str) -> Any:
        """What a field of the method's request names; None when it names nothing."""
        service = method.containing_service.name
        if field in {"user_id", "notification_id", "address", "template", "version"}:
            named = (self.user, self.notification, self.address, self.template, 1)
            return dict(zip(("user_id", "notification_id", "address", "template", "version"), named, strict=True))[field]
        if field == "name":
            return {
                "TemplateService": self.template,
                "CanaryService": self.template,
                "PartialService": self.partial,
                "SenderService": self.sender,
            }.get(service)
        if field == "domain":
            return self.domain
        if method.name == "AssignRole" and field == "role":
            return self.role
        if field != "id":
            return None
        special = {"DeleteDevice": self.device, "GetDeadLetterJob": self.job, "CancelDeadLetterJob": self.job, "DeleteApiKey": self.api_key}
        kinds = {
            "UserService": self.user,
            "NotificationService": self.notification,
            "SagaService": self.saga,
            "PolicyService": self.category,
            "RoleService": self.role,
            "WebhookService": self.endpoint,
            "ScheduledPublicationService": self.plan,
        }
        return special.get(method.name) or kinds.get(service)

    def text(self) -> set[str]:
        return {
            self.user,
            self.device,
            self.address,
            self.template,
            self.notification,
            self.job,
            self.saga,
            self.api_key,
            self.category,
            self.endpoint,
            self.partial,
            self.plan,
            self.sender,
            self.domain,
            self.role,
        }


@dataclass(frozen=True)
class Answer:
    code: grpc.StatusCode
    reason: str
    words: str


@dataclass(frozen=True)
class Wall:
    """Alice's project with one of each, and a credential with every scope of another project."""

    alice: Client
    objects: Objects
    channel: grpc.aio.Channel
    key: str

    async def ask(self, method: MethodDescriptor, objects: Objects) -> Answer:
        """What the other project's credential is answered about these objects."""
        name = f"/{method.containing_service.full_name}/{method.name}"
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        kinds: dict[tuple[bool, bool], Any] = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }
        make = kinds[method.client_streaming, method.server_streaming]
        call: Any = make(name, request_serializer=request.SerializeToString, response_deserializer=response.FromString)
        metadata = (("authorization", f"Bearer {self.key}"),)
        try:
            if method.server_streaming:
                asked = _request(method, objects)
                given = iter([asked]) if method.client_streaming else asked
                async with aclosing(_items(call(given, metadata=metadata, timeout=_STREAM_S))) as items:
                    return Answer(grpc.StatusCode.OK, "", str(await anext(items)))
            return Answer(grpc.StatusCode.OK, "", str(await call(_request(method, objects), metadata=metadata)))
        except grpc.aio.AioRpcError as error:
            return Answer(error.code(), _reason(error), error.details() or "")

    async def seen_by_alice(self) -> list[Any]:
        """All that may not change."""
        objects = self.objects
        paths = (
            f"/v1/users/{objects.user}", f"/v1/users/{objects.user}/preferences", f"/v1/users/{objects.user}/devices", "/v1/suppressions",
            f"/v1/users/{objects.user}/addresses",
            f"/v1/templates/{objects.template}", f"/v1/templates/{objects.template}/versions", f"/v1/notifications/{objects.notification}",
            f"/v1/dead-letters/{objects.notification}?view=basic", f"/v1/dead-letter-jobs/{objects.job}", f"/v1/sagas/{objects.saga}",
            "/v1/api-keys", "/v1/delivery-policy", "/v1/brand", f"/v1/categories/{objects.category}", f"/v1/roles/{objects.role}",
            "/v1/scheduled-publications", f"/v1/partials/{objects.partial}",
            f"/v1/webhook-endpoints/{objects.endpoint}/deliveries", "/v1/webhook-endpoints",
        )  # fmt: skip
        return [await self.alice.call("GET", path) for path in paths]


async def _items(call: Any) -> AsyncGenerator[Message, None]:
    async for item in call:
        yield item


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = status_pb2.Status.FromString(cast("bytes", error.trailing_metadata().get("grpc-status-details-bin", b"")))
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def _request(method: MethodDescriptor, objects: Objects) -> Message:
    named: dict[str, Any] = {field.name: objects.named_by(method, field.name) for field in method.input_type.fields}
    body: dict[str, Any] = dict(_BODIES.get(method.name, {}))
    body.update(_OWN.get(method.name, {}))
    if "requests" in body:
        body["requests"] = [{**item, "user_id": objects.user, "template": objects.template} for item in body["requests"]]
    values: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    values.update(body)
    if method.name == "CreateCategory":
        values["category"] = {"id": uuid4().hex}
    if method.name == "CreateRole":
        values["role"] = {"id": uuid4().hex, "scopes": ["users:read"]}
    if method.name in {"CreateTemplate", "CreateSuppression"}:  # its own: what it has then is no secret
        values |= {"name": f"bobs-{uuid4().hex}"} if method.name == "CreateTemplate" else {"address": f"{uuid4().hex}@example.com"}
    return ParseDict(values, GetMessageClass(method.input_type)())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wall(system: System) -> AsyncIterator[Wall]:
    alice = system.client
    address, template = "wall@example.com", "the-wall"
    await alice.create_template(template, "email", WELCOME)
    user, leaver = await alice.create_user(address), await alice.create_user("leaver-of-the-wall@example.com")
    device = await alice.call("POST", f"/v1/users/{user}/devices", {"token": "token-behind-the-wall", "platform": "android"})
    await alice.call("POST", "/v1/suppressions", {"address": "suppressed-behind-the-wall@example.com"})
    await alice.call("POST", f"/v1/users/{user}/addresses", {"address": "suppressed-behind-the-wall@example.com"})
    system.smtp.script(address, replies("550 5.2.1 Mailbox disabled"))
    notification = await alice.send(user, "email", template, {"name": "Alice"})
    assert (await alice.settled(notification))["status"] == "failed"
    job = await alice.call("POST", "/v1/dead-letters:discard", {"filter": {"template": "no-letter-has-this"}})
    saga = await alice.call("DELETE", f"/v1/users/{leaver}")
    key = await alice.call("POST", "/v1/api-keys", {"name": "alice", "scopes": ["users:read"]})
    category = await alice.call("POST", "/v1/categories", {"id": "alices-own", "texts": {"en": {"name": "walled-in"}}})
    made = await alice.call("POST", "/v1/webhook-endpoints", {"url": "https://alice.example/", "description": "Alice"})
    hook = await alice.call("PATCH", f"/v1/webhook-endpoints/{made['webhook_endpoint']['id']}", {"disabled": True})
    partial = await alice.call("PUT", "/v1/partials/alices-footer", {"source": "Alice behind the wall"})
    planned = {"template": template, "version": 1, "publish_at": "2040-01-31T09:00:00Z", "note": "Alice"}
    plan = await alice.call("POST", "/v1/scheduled-publications", planned)
    sender = await alice.call("PUT", "/v1/senders/alices-sender", {"email": "alice@trusted.example"})
    domain = await alice.call("PUT", "/v1/sender-domains/alices-domain.example")
    role = await alice.call("POST", "/v1/roles", {"id": "alices-role", "description": "Behind the wall", "scopes": ["users:read"]})
    await alice.call("POST", f"/v1/users/{user}:assignRole", {"role": role["id"]})
    listed = "suppressed-behind-the-wall@example.com"
    made_ids = (job["id"], saga["saga_id"], key["api_key"]["id"], category["id"], hook["id"])
    ids = (*made_ids, partial["name"], plan["id"], sender["name"], domain["domain"], role["id"])
    objects = Objects(user, device["id"], listed, template, notification, *ids)
    key_of_bob = await _another_project(alice)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.processes.grpc_ports['gateway']}") as channel:
        yield Wall(alice, objects, channel, key_of_bob)


async def _another_project(alice: Client) -> str:
    """A key with every scope of a new project."""
    project = f"bob-{uuid4().hex[:8]}"
    await alice.call("POST", "/v1/projects", {"id": project, "display_name": "Bob"})
    made = await alice.call("POST", "/v1/api-keys", {"name": "bob", "scopes": list(Scope), "project": project})
    assert (made["api_key"]["project"], made["api_key"]["test"]) == (project, False)
    return str(made["secret"])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.containing_service.name}.{method.name}")
async def test_another_project_reads_lists_changes_and_learns_nothing(wall: Wall, method: MethodDescriptor) -> None:
    """Every id is answered as one that does not exist, and the other project's objects stay as they are."""
    before = await wall.seen_by_alice()
    unknown = Objects.unknown()
    answer, expected = await wall.ask(method, wall.objects), await wall.ask(method, unknown)
    assert (answer.code, answer.reason) == (expected.code, expected.reason)
    if method.GetOptions().Extensions[options_pb2.policy].installation:
        assert answer.reason == "INSTALLATION_ONLY"
    elif method.name == "WatchChanges":
        assert answer.code is grpc.StatusCode.OK
        assert "change" not in answer.words  # where it begins, and nothing of another's
    elif method.name in _PEOPLE_ONLY:
        assert answer.code is not grpc.StatusCode.OK
    elif method.name in _OWN:
        assert answer.code is grpc.StatusCode.OK, answer
        asked = {str(value) for _, value in _request(method, wall.objects).ListFields()}
        shown = {text for text in wall.objects.text() if text in answer.words and not any(text in value for value in asked)}
        assert not shown
    else:
        assert answer.code is grpc.StatusCode.NOT_FOUND or answer.reason in {"USER_NOT_FOUND", "TEMPLATE_NOT_FOUND"}, answer
        assert _blank(answer.words, wall.objects) == _blank(expected.words, unknown)
    assert await wall.seen_by_alice() == before


def _blank(words: str, objects: Objects) -> str:
    for text in objects.text():
        words = words.replace(text, "…")
    return words


async def test_names_and_addresses_are_unique_within_a_project_only(system: System, wall: Wall) -> None:
    async with Client(system.processes.url, await _another_project(wall.alice)) as bob:
        user = await bob.create_user("wall@example.com", locale="en", name="Another")
        await bob.create_template(wall.objects.template, "email", WELCOME)
        await bob.call("POST", f"/v1/users/{user}/devices", {"token": "token-behind-the-wall", "platform": "android"})
        with pytest.raises(RefusedError, match="EMAIL_TAKEN"):
            await bob.create_user("wall@example.com")
        sent = await bob.settled(await bob.send(user, "email", wall.objects.template, {"name": "Bob"}))
    devices = await wall.alice.call("GET", f"/v1/users/{wall.objects.user}/devices")
    assert [device["id"] for device in devices["devices"]] == [wall.objects.device]
    assert sent["status"] == "sent"
    letters = await wall.alice.call("GET", f"/v1/notifications?user_id={wall.objects.user}")
    assert sent["id"] not in str(letters)


async def test_people_sign_in_to_their_project(system: System, wall: Wall) -> None:
    person = {"email": "sign-in@example.com", "password": "correct horse battery staple"}
    async with Client(system.processes.url, wall.key) as bob:
        created = await bob.call("POST", "/v1/users", {**person, "name": "Bob"})
        project = (await bob.call("GET", "/v1/api-keys"))["api_keys"][0]["project"]
    async with Client(system.processes.url, "") as stranger:
        with pytest.raises(RefusedError, match="LOGIN_FAILED"):
            await stranger.call("POST", "/v1/auth/login", person)
        tokens = await stranger.call("POST", "/v1/auth/login", {**person, "project": project})
    async with Client(system.processes.url, tokens["access_token"]) as own:
        assert (await own.call("GET", f"/v1/users/{created['id']}"))["name"] == "Bob"


async def test_only_the_first_project_makes_projects_and_keys_of_others(system: System, wall: Wall) -> None:
    async with Client(system.processes.url, wall.key) as bob, Client(system.processes.url, API_KEY) as operator:
        with pytest.raises(RefusedError, match="INSTALLATION_ONLY"):
            await bob.call("POST", "/v1/projects", {"id": "eve"})
        with pytest.raises(RefusedError, match="projects:admin"):
            await bob.call("POST", "/v1/api-keys", {"name": "eve", "scopes": ["users:read"], "project": "default"})
        for body, words in (({"id": "Eve"}, "lower-case"), ({"id": "default"}, "PROJECT_EXISTS"), ({}, "project.id")):
            with pytest.raises(RefusedError, match=words):
                await operator.call("POST", "/v1/projects", body)
        with pytest.raises(RefusedError, match="PROJECT_NOT_FOUND"):
            await operator.call("POST", "/v1/api-keys", {"name": "eve", "scopes": ["users:read"], "project": "nowhere"})
        assert "default" in [project["id"] for project in (await operator.call("GET", "/v1/projects"))["projects"]]
