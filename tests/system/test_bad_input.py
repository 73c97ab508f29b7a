"""What people get wrong, over REST, against the real processes: one clear error each, in the form of google.rpc.Status."""

import json
import time
from typing import Any, NamedTuple

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devstack.processes import API_KEY
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

NOBODY = "01890000-0000-7000-8000-000000000000"
PASSWORD = "correct-horse-battery"


class People(NamedTuple):
    """Two who can log in, and their tokens."""

    ada: str
    ada_token: str
    bob: str
    bobs_notification: str


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def people(system: System) -> People:
    """Ada and Bob, and a notification to Bob."""
    await system.client.create_template("welcome", "email", WELCOME)
    await system.client.call("POST", "/v1/templates", {"name": "unpublished", "channel": "email"})
    ada = await system.client.call("POST", "/v1/users", {"email": "ada@input.example.com", "password": PASSWORD})
    bob = await system.client.call("POST", "/v1/users", {"email": "bob@input.example.com"})
    login = await system.client.call("POST", "/v1/auth/login", {"email": "ada@input.example.com", "password": PASSWORD})
    sent = await system.client.send(bob["id"], "email", "welcome", {"name": "Bob"})
    return People(ada["id"], login["access_token"], bob["id"], sent)


class Case(NamedTuple):
    """A wrong request and the answer that it gets. `{ada}`, `{bob}` and `{bobs}` in the path stand for ids."""

    name: str
    method: str
    path: str
    body: Any
    status: int
    reason: str
    field: str = ""


def _send(**fields: Any) -> dict[str, Any]:
    return {"user_id": "{ada}", "channel": "email", "template": "welcome", "variables": {"name": "x"}, **fields}


SEND = "/v1/notifications"
CASES = [
    Case("malformed JSON", "POST", SEND, b'{"user_id": ', 400, "MALFORMED_JSON"),
    Case("unknown field", "POST", SEND, _send(colour="red"), 400, "INVALID_ARGUMENT", "colour"),
    Case("wrong type", "POST", SEND, _send(template=5), 400, "INVALID_ARGUMENT", "template"),
    Case("unknown channel", "POST", SEND, _send(channel="pigeon"), 400, "INVALID_ARGUMENT", "channel"),
    Case("missing fields", "POST", SEND, {}, 400, "INVALID_ARGUMENT", "user_id"),
    Case("unknown user", "POST", SEND, _send(user_id=NOBODY), 400, "USER_NOT_FOUND", "user_id"),
    Case("unknown template", "POST", SEND, _send(template="nothing"), 400, "TEMPLATE_NOT_FOUND", "template"),
    Case("unpublished template", "POST", SEND, _send(template="unpublished"), 400, "TEMPLATE_NOT_PUBLISHED", "template"),
    Case("missing variable", "POST", SEND, _send(variables={}), 400, "MISSING_VARIABLE", "variables.name"),
    Case("another channel's template", "POST", SEND, _send(channel="push"), 400, "CHANNEL_MISMATCH", "channel"),
    Case("locale that does not exist", "POST", SEND, _send(locale="xx-nowhere"), 400, "INVALID_ARGUMENT", "locale"),
    Case("expiry in the past", "POST", SEND, _send(expires_at="2020-01-01T00:00:00Z"), 400, "INVALID_ARGUMENT", "expires_at"),
    Case("time that is none", "POST", SEND, _send(send_at="tomorrow"), 400, "INVALID_ARGUMENT", "send_at"),
    Case("address with CR LF", "POST", "/v1/users", {"email": "a@example.com\r\nBcc: b@example.com"}, 400, "INVALID_ARGUMENT", "email"),
    Case(
        "user's locale that does not exist",
        "POST",
        "/v1/users",
        {"email": "q@example.com", "locale": "qq"},
        400,
        "INVALID_ARGUMENT",
        "locale",
    ),
    Case(
        "zone that does not exist",
        "POST",
        "/v1/users",
        {"email": "q@example.com", "timezone": "Mars/Olympus"},
        400,
        "INVALID_ARGUMENT",
        "timezone",
    ),
    Case("address taken", "POST", "/v1/users", {"email": "ADA@input.example.com"}, 409, "EMAIL_TAKEN"),
    Case("device token of 10 kB", "POST", "/v1/users/{ada}/devices", {"token": "t" * 10_240}, 400, "INVALID_ARGUMENT", "token"),
    Case("page size", "GET", f"{SEND}?page_size=1000", None, 400, "INVALID_ARGUMENT", "page_size"),
    Case("page token", "GET", f"{SEND}?page_token=nonsense", None, 400, "INVALID_ARGUMENT", "page_token"),
    Case("unknown query parameter", "GET", f"{SEND}?colour=red", None, 400, "INVALID_ARGUMENT", "colour"),
    Case("unknown notification", "GET", f"{SEND}/{NOBODY}", None, 404, "NOTIFICATION_NOT_FOUND"),
    Case("unknown path", "GET", "/v1/nothing", None, 404, "NO_SUCH_PATH"),
]


def _check(response: httpx.Response, status: int, reason: str, field: str = "") -> None:
    """The status, one ErrorInfo with the reason, and the field among the violations; nothing of ours leaks."""
    assert response.status_code == status, response.text
    body = response.json()
    details = {detail["@type"].rpartition(".")[2]: detail for detail in body["details"]}
    assert details["ErrorInfo"]["reason"] == reason
    assert details["ErrorInfo"]["domain"] == "clarion"
    if field:
        assert field in [violation["field"] for violation in details["BadRequest"]["field_violations"]]
        assert field.partition(".")[0] in body["message"]
    for leak in ("Traceback", "sqlalchemy", "asyncpg", "SELECT ", "_pb2", "google.protobuf", "127.0.0.1"):
        assert leak not in response.text
    assert response.headers["x-correlation-id"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_wrong_request_gets_one_clear_error(system: System, people: People, case: Case) -> None:
    """Status, reason and field are told."""
    content = case.body
    if content is not None and not isinstance(content, bytes):
        content = json.dumps(content).replace("{ada}", people.ada).encode()
    headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=system.processes.url) as http:
        response = await http.request(case.method, case.path.format(ada=people.ada), content=content, headers=headers)
    _check(response, case.status, case.reason, case.field)


async def test_a_body_over_one_mebibyte_is_refused(system: System) -> None:
    """413, before it is read to the end."""
    headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=system.processes.url) as http:
        response = await http.post(SEND, content=b'{"template": "' + b"x" * 2**20 + b'"}', headers=headers)
    assert response.status_code == 413
    assert "1 MiB" in response.json()["message"] or "1048576" in response.json()["message"]


def _forged(**claims: Any) -> str:
    now = int(time.time())
    body = {"iss": "clarion", "aud": "clarion", "sub": NOBODY, "iat": now, "exp": now + 60, **claims}
    return jwt.encode(body, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"typ": "at+jwt", "kid": "forged"})


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "CREDENTIALS_MISSING"),
        ("Basic dTpw", "CREDENTIALS_INVALID"),
        ("Bearer clk_live_unknown", "CREDENTIALS_INVALID"),
        ("Bearer nonsense", "CREDENTIALS_INVALID"),
        (f"Bearer {_forged()}", "CREDENTIALS_INVALID"),
    ],
    ids=["none", "another scheme", "unknown key", "nonsense", "forged"],
)
async def test_no_or_bad_credentials_are_refused(system: System, authorization: str | None, reason: str) -> None:
    """401 with WWW-Authenticate, without repeating the credential."""
    headers = {"authorization": authorization} if authorization else {}
    async with httpx.AsyncClient(base_url=system.processes.url) as http:
        response = await http.get(SEND, headers=headers)
    _check(response, 401, reason)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert authorization is None or authorization.split()[1] not in response.text


async def test_a_key_without_the_scope_is_refused(system: System) -> None:
    """403, and the scope that is missing is named."""
    made = await system.client.call("POST", "/v1/api-keys", {"name": "reader", "scopes": ["templates:read"]})
    async with httpx.AsyncClient(base_url=system.processes.url, headers={"authorization": f"Bearer {made['secret']}"}) as http:
        response = await http.get(SEND)
    _check(response, 403, "SCOPE_MISSING")
    assert "notifications:read" in response.text


async def test_a_person_reaches_their_own_objects_only(system: System, people: People) -> None:
    """Another's profile is forbidden, another's notification does not exist, and a list shows none of it."""
    async with httpx.AsyncClient(base_url=system.processes.url, headers={"authorization": f"Bearer {people.ada_token}"}) as http:
        own = await http.get(f"/v1/users/{people.ada}")
        profile = await http.get(f"/v1/users/{people.bob}")
        devices = await http.post(f"/v1/users/{people.bob}/devices", json={"token": "stolen"})
        notification = await http.get(f"{SEND}/{people.bobs_notification}")
        listed = await http.get(f"{SEND}?user_id={people.bob}")
    assert own.status_code == 200
    _check(profile, 403, "NOT_OWNER")
    _check(devices, 403, "NOT_OWNER")
    _check(notification, 404, "NOTIFICATION_NOT_FOUND")
    assert listed.json()["notifications"] == []


async def test_a_wrong_password_and_an_unknown_address_sound_the_same(system: System, people: People) -> None:
    """Nobody learns who has an account."""
    async with httpx.AsyncClient(base_url=system.processes.url) as http:
        answers = [
            await http.post("/v1/auth/login", json={"email": email, "password": "wrong-password"})
            for email in ("ada@input.example.com", "nobody@input.example.com")
        ]
    assert people.ada
    messages = {(answer.status_code, answer.json()["message"]) for answer in answers}
    assert len(messages) == 1
    assert {answer.status_code for answer in answers} == {401}
