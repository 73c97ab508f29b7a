"""An in-memory Clarion for your own unit tests: the client with everything behind it replaced.

    memory = MemoryClarion()
    code_under_test(memory.client())
    assert memory.sent[0].template == "welcome"

It accepts what the API accepts as far as a caller's tests need it: users, templates and notifications are kept, a repeated idempotency
key answers the first response, a person or template that does not exist is refused with the real error. Nothing is rendered or delivered;
`finish` moves a notification to where the test wants it. A method that it does not know raises NotImplementedError.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from clarion_client import _api as api
from clarion_client import _values as v
from clarion_client._calls import Call, Options
from clarion_client.client import AsyncClarion, Clarion
from clarion_client.errors import ClarionError, from_status
from clarion_client.models import Notification

_EPOCH = datetime(2030, 1, 1, tzinfo=timezone.utc)
_TERMINAL = frozenset({"sent", "failed", "skipped", "cancelled", "expired"})
_INVALID, _NOT_FOUND, _EXISTS, _PRECONDITION = 3, 5, 6, 9


class MemoryClarion:
    """The state behind the clients that it makes. `fail_next` makes the next call raise."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.notifications: dict[str, dict[str, Any]] = {}
        self._variables: dict[str, Mapping[str, Any]] = {}
        self._answers: dict[tuple[str, str], tuple[str, Any]] = {}
        self._failures: list[ClarionError] = []
        self._ticks = itertools.count()

    def client(self) -> Clarion:
        """A client of it."""
        return Clarion("http://memory.invalid", retries=0, transport=_MemoryTransport(self))

    def async_client(self) -> AsyncClarion:
        """A client of it for asyncio."""
        return AsyncClarion("http://memory.invalid", retries=0, transport=_AsyncMemoryTransport(self))

    @property
    def sent(self) -> list[Notification]:
        """The notifications that were accepted, oldest first."""
        return [v.decode(Notification, one) for one in self.notifications.values()]

    def variables_of(self, notification_id: str) -> Mapping[str, Any]:
        """What a send gave as variables, which the API itself never returns."""
        return self._variables[notification_id]

    def fail_next(self, error: ClarionError) -> None:
        """The next call raises this; several are raised one after the other."""
        self._failures.append(error)

    def finish(self, notification_id: str, status: str = "sent", *, reason: str = "") -> None:
        """Moves a notification on, as a worker would."""
        one = self.notifications[notification_id]
        one["status"], one["reason"], one["update_time"] = status, reason, self._now()
        one["timeline"] = [*one["timeline"], {"time": one["update_time"], "status": status, "reason": reason}]

    def call(self, call: Call, fields: Mapping[str, Any], key: str) -> Any:
        """Answers a call. Raises ClarionError like the API."""
        if self._failures:
            raise self._failures.pop(0)
        method = _METHODS.get(call)
        if method is None:
            raise NotImplementedError(f"clarion_client.testing does not know {call.rpc}; use a real Clarion for it (`make run`)")
        key = str(fields.get("request_id") or key)
        asked = json.dumps(fields, sort_keys=True, default=str)
        if key and (call.rpc, key) in self._answers:
            before, answer = self._answers[call.rpc, key]
            if before != asked:
                raise _error(_INVALID, "IDEMPOTENCY_KEY_REUSED", "the idempotency key was used for another request")
            return answer
        answer = method(self, dict(fields))
        if key:
            self._answers[call.rpc, key] = asked, answer
        return answer

    def bulk_item(self, item: dict[str, Any]) -> Any:
        """Answers an item of `bulk_send`."""
        try:
            accepted = self.call(api.SEND_NOTIFICATION, item, "")
        except ClarionError as error:
            return {"request_id": item["request_id"], "error": {"code": error.code, "message": error.message}}
        return {"request_id": item["request_id"], "accepted": accepted}

    def _now(self) -> str:
        # a clock of its own, so that a test may compare what it reads
        return (_EPOCH + timedelta(seconds=next(self._ticks))).isoformat().replace("+00:00", "Z")

    def _create_user(self, fields: dict[str, Any]) -> Any:
        if any(one["email"] == fields.get("email") for one in self.users.values()):
            raise _error(_EXISTS, "EMAIL_TAKEN", "email: another user has this address", "email")
        now = self._now()
        user = {"locale": "en", **fields, "id": str(uuid.uuid4()), "create_time": now, "update_time": now}
        user.pop("password", None)
        self.users[user["id"]] = user
        return user

    def _get_user(self, fields: dict[str, Any]) -> Any:
        return self._existing(self.users, fields["id"], "USER_NOT_FOUND", "user")

    def _list_users(self, fields: dict[str, Any]) -> Any:
        email = fields.get("email")
        return {"users": [one for one in self.users.values() if not email or one["email"] == email]}

    def _create_template(self, fields: dict[str, Any]) -> Any:
        if fields["name"] in self.templates:
            raise _error(_EXISTS, "TEMPLATE_EXISTS", "name: there is a template of this name", "name")
        now = self._now()
        self.templates[fields["name"]] = {**fields, "latest_version": 0, "published_version": 0, "create_time": now, "update_time": now}
        return self.templates[fields["name"]]

    def _create_version(self, fields: dict[str, Any]) -> Any:
        template = self._existing(self.templates, fields["name"], "TEMPLATE_NOT_FOUND", "template")
        template["latest_version"] += 1
        if fields.get("publish"):
            template["published_version"] = template["latest_version"]
        return {
            "template": fields["name"],
            "version": template["latest_version"],
            "contents": fields["contents"],
            "create_time": self._now(),
        }

    def _send(self, fields: dict[str, Any]) -> Any:
        to = fields.pop("to", None)
        if to:
            having = [user["id"] for user in self.users.values() if user.get("email", "").lower() == to["email"].lower()]
            fields["user_id"] = having[0] if having else self._create_user(dict(to))["id"]
        if fields.get("user_id") not in self.users:
            raise _error(_INVALID, "USER_NOT_FOUND", f"user_id: there is no user {fields.get('user_id', '')}", "user_id")
        template = self.templates.get(fields["template"])
        if template is None:
            raise _error(_INVALID, "TEMPLATE_NOT_FOUND", f"template: there is no template {fields['template']}", "template")
        if template["channel"] != fields["channel"]:
            raise _error(_INVALID, "CHANNEL_MISMATCH", f"channel: the template is for {template['channel']}", "channel")
        now, identifier = self._now(), str(uuid.uuid4())
        status = "scheduled" if fields.get("send_at") or fields.get("send_at_local") else "pending"
        self._variables[identifier] = fields.pop("variables", {})
        self.notifications[identifier] = {
            **fields,
            "id": identifier,
            "status": status,
            "template_version": template["published_version"],
            "create_time": now,
            "update_time": now,
            "timeline": [{"time": now, "status": status}],
        }
        return {"id": identifier, "status": status, "create_time": now}

    def _batch(self, fields: dict[str, Any]) -> Any:
        results: list[Any] = []
        for item in fields["requests"]:
            try:
                results.append({"accepted": self._send(dict(item))})
            except ClarionError as error:
                results.append({"error": {"code": error.code, "message": error.message}})
        return {"results": results, "accepted_count": sum("accepted" in result for result in results)}

    def _get(self, fields: dict[str, Any]) -> Any:
        return self._existing(self.notifications, fields["id"], "NOTIFICATION_NOT_FOUND", "notification")

    def _list(self, fields: dict[str, Any]) -> Any:
        wanted = {name: fields[name] for name in ("user_id", "channel", "status", "template") if name in fields}
        labels = dict(label.split("=", 1) for label in fields.get("metadata", ()))
        found = [
            one
            for one in self.notifications.values()
            if all(one.get(name) == value for name, value in wanted.items()) and labels.items() <= dict(one.get("metadata", {})).items()
        ]
        return {"notifications": found[::-1]}

    def _cancel(self, fields: dict[str, Any]) -> Any:
        one = self._get(fields)
        if one["status"] in _TERMINAL - {"cancelled"}:
            raise _error(_PRECONDITION, "TOO_LATE_TO_CANCEL", f"the notification can't be cancelled any more: it is {one['status']}")
        if one["status"] != "cancelled":
            self.finish(fields["id"], "cancelled")
        return one

    @staticmethod
    def _existing(kept: dict[str, dict[str, Any]], key: str, reason: str, noun: str) -> dict[str, Any]:
        if key not in kept:
            raise _error(_NOT_FOUND, reason, f"there is no such {noun}")
        return kept[key]


_METHODS: dict[Call, Callable[[MemoryClarion, dict[str, Any]], Any]] = {
    api.CREATE_USER: MemoryClarion._create_user,
    api.GET_USER: MemoryClarion._get_user,
    api.LIST_USERS: MemoryClarion._list_users,
    api.CREATE_TEMPLATE: MemoryClarion._create_template,
    api.CREATE_VERSION: MemoryClarion._create_version,
    api.SEND_NOTIFICATION: MemoryClarion._send,
    api.BATCH_SEND_NOTIFICATIONS: MemoryClarion._batch,
    api.GET_NOTIFICATION: MemoryClarion._get,
    api.LIST_NOTIFICATIONS: MemoryClarion._list,
    api.CANCEL_NOTIFICATION: MemoryClarion._cancel,
}


def _error(code: int, reason: str, message: str, field: str = "") -> ClarionError:
    details: list[Any] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "clarion"}]
    if field:
        violation = {"field": field, "description": message.partition(": ")[2]}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": [violation]})
    return from_status({"code": code, "message": message, "details": details})


class _MemoryTransport:
    def __init__(self, memory: MemoryClarion) -> None:
        self._memory = memory

    def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        return self._memory.call(call, fields, options.key)

    def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> Iterator[Any]:
        yield {"notification": self._memory.call(api.GET_NOTIFICATION, fields, "")}

    def upload(self, call: Call, items: Iterator[Any], options: Options) -> Iterator[Any]:
        yield from (self._memory.bulk_item(item) for item in items)

    def close(self) -> None:
        return


class _AsyncMemoryTransport:
    def __init__(self, memory: MemoryClarion) -> None:
        self._memory = memory

    async def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        return self._memory.call(call, fields, options.key)

    async def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> AsyncIterator[Any]:
        yield {"notification": self._memory.call(api.GET_NOTIFICATION, fields, "")}

    async def upload(self, call: Call, items: Iterator[Any], options: Options) -> AsyncIterator[Any]:
        for item in items:
            yield self._memory.bulk_item(item)

    async def close(self) -> None:
        return
