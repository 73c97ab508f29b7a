"""A small REST client of Clarion's own, for the demo, the system tests and the benchmark."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Container, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

# A guard against a wait without end, on machines of any speed.
_GUARD_S = 90.0
_LOOK_AGAIN_S = 0.05
_LIST_AGAIN_S = 0.25
TERMINAL = frozenset({"sent", "failed", "skipped", "cancelled", "expired"})


class RefusedError(Exception):
    """The API answered with an error. `status` is HTTP's, `body` the decoded JSON."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        super().__init__(f"{method} {path} answered {status}: {json.dumps(body)}")
        self.status = status
        self.body = body


class Client:
    """Speaks to a gateway at `base_url` with an API key or access token."""

    def __init__(self, base_url: str, credential: str, *, timeout_s: float = 15.0) -> None:
        headers = {"authorization": f"Bearer {credential}"} if credential else {}
        # to read the certificates of all authorities takes longer than a call, and over http:// there is nothing to check with them
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if base_url.startswith("http:") else True
        # a call that waits for a connection waits for the calls before it, and not for the server
        timeout = httpx.Timeout(timeout_s, pool=None)
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=timeout, verify=verify)
        # a caller may have 50 streams at a time (CLARION_STREAMS_PER_CALLER), of several clients together
        self._watches = asyncio.Semaphore(20)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded answer. Raises RefusedError for a status of 400 and above."""
        response = await self._http.request(method, path, json=body, headers=dict(headers or {}))
        answer = response.json() if response.content else None
        if response.status_code >= 400:
            raise RefusedError(method, path, response.status_code, answer)
        return answer

    async def lines(self, path: str) -> AsyncIterator[str]:
        """The lines of a streamed answer."""
        async with self._http.stream("GET", path) as answer:
            async for line in answer.aiter_lines():
                yield line

    async def create_user(self, email: str, *, locale: str = "en", name: str = "") -> str:
        """The new user's id."""
        user = await self.call("POST", "/v1/users", {"email": email, "locale": locale, "name": name})
        return str(user["id"])

    async def create_template(self, name: str, channel: str, contents: Mapping[str, Mapping[str, Any]], **fields: Any) -> None:
        """A template with one published version; an existing one of the name gets another version."""
        try:
            await self.call("POST", "/v1/templates", {"name": name, "channel": channel, **fields})
        except RefusedError as error:
            if error.status != 409:
                raise
        await self.call("POST", f"/v1/templates/{name}/versions", {"contents": contents, "publish": True})

    async def send(self, user_id: str, channel: str, template: str, variables: Mapping[str, Any], **fields: Any) -> str:
        """The accepted notification's id."""
        body = {"user_id": user_id, "channel": channel, "template": template, "variables": variables, **fields}
        return str((await self.call("POST", "/v1/notifications", body))["id"])

    async def accepted(self, body: Mapping[str, Any], key: str) -> str:
        """A notification's id, as a careful caller asks for it: once more under the same key where a part is away or slow.

        Raises RefusedError for any other answer than 503 and 504, and TimeoutError.
        """
        async with asyncio.timeout(_GUARD_S):
            while True:
                try:
                    return str((await self.call("POST", "/v1/notifications", body, {"Idempotency-Key": key}))["id"])
                except RefusedError as error:
                    if error.status not in {503, 504}:
                        raise
                    await asyncio.sleep(_LOOK_AGAIN_S)

    async def saga_completed(self, saga_id: str, *, timeout_s: float = _GUARD_S) -> None:
        """Returns once a saga has done all. Raises TimeoutError, and ValueError for one that has come to another end."""
        async with asyncio.timeout(timeout_s):
            while (saga := await self.call("GET", f"/v1/sagas/{saga_id}"))["state"] != "completed":
                if saga["state"] != "running":
                    raise ValueError(f"saga {saga_id} is {saga['state']}")
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def settled(self, notification_id: str, *, timeout_s: float = _GUARD_S) -> Any:
        """The notification with its timeline once its status is terminal. Raises TimeoutError."""
        return await self.reached(notification_id, TERMINAL, timeout_s=timeout_s)

    async def all_settled(self, user_id: str, *, timeout_s: float = _GUARD_S) -> dict[str, str]:
        """The status of each of a person's notifications by its id, once all are terminal. Raises RefusedError and TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not TERMINAL.issuperset((found := await self._statuses(user_id)).values()):  # noqa: ASYNC110  the server settles them
                await asyncio.sleep(_LIST_AGAIN_S)
            return found

    async def _statuses(self, user_id: str) -> dict[str, str]:
        found: dict[str, str] = {}
        token = ""
        while True:
            page = await self.call("GET", f"/v1/notifications?user_id={user_id}&page_size=200&page_token={token}")
            found |= {one["id"]: one["status"] for one in page["notifications"]}
            if not (token := page.get("next_page_token", "")):
                return found

    async def reached(self, notification_id: str, statuses: Container[str], *, timeout_s: float = _GUARD_S) -> Any:
        """The notification once its status is one of these, or terminal. Raises RefusedError and TimeoutError."""
        async with self._watches, asyncio.timeout(timeout_s):
            while (found := await self._watched(notification_id, statuses, timeout_s)) is None:
                # a gateway that stops ends its watches, and another one goes on
                found = await self.call("GET", f"/v1/notifications/{notification_id}")
                if found["status"] in statuses or found["status"] in TERMINAL:
                    break
                await asyncio.sleep(_LOOK_AGAIN_S)
            return found

    async def _watched(self, notification_id: str, statuses: Container[str], timeout_s: float) -> Any:
        """The notification as the watch showed it with one of the statuses, None where it ended before."""
        path = f"/v1/notifications/{notification_id}:watch"
        async with self._http.stream("GET", path, timeout=httpx.Timeout(timeout_s)) as answer:
            if 400 <= answer.status_code < 500:
                raise RefusedError("GET", path, answer.status_code, json.loads(await answer.aread()))
            async for line in answer.aiter_lines():
                notification = json.loads(line).get("result", {}).get("notification", {})
                if notification.get("status") in statuses:
                    return notification
        return None
