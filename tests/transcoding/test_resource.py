"""Entity tags, preconditions, addresses, and bodies that were read before: what HTTP says of a resource beside its JSON."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.notification.v1 import notification_service_pb2
from clarion.template.v1 import template_pb2, template_service_pb2
from clarion.user.v1 import api_key_pb2, device_pb2, preference_pb2, user_pb2, user_service_pb2
from tests.transcoding.fakes import FakeInvoker

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = user_pb2.User(id="u1", email="ada@example.com", name="Ada", role=user_pb2.ROLE_MEMBER, etag="Ab_-1")


def answers(message: Message) -> Callable[[Any], Awaitable[Message]]:
    async def answer(_request: Any) -> Message:
        return message

    return answer


async def test_a_read_is_tagged_and_not_repeated_to_who_has_it(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.handlers["GetUser"] = answers(user_service_pb2.GetUserResponse(user=ADA))
    first = await client.get("/v1/users/u1")
    assert first.headers["etag"] == '"Ab_-1"'
    for known in ('"Ab_-1"', 'W/"Ab_-1"', '"x", "Ab_-1"', "*"):
        again = await client.get("/v1/users/u1", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"Ab_-1"')
        assert "content-length" not in again.headers
    for other in ('"Ab"', "nonsense", '"'):
        assert (await client.get("/v1/users/u1", headers={"If-None-Match": other})).status_code == 200


async def test_a_read_without_a_tag_of_its_own_is_tagged_by_its_bytes(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    first = await client.get("/v1/books")
    assert (await client.get("/v1/books", headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    invoker.handlers["ListBooks"] = answers(invoker.methods["/edgetest.v1.LibraryService/ListBooks"].response_type(titles=["Emma"]))
    assert (await client.get("/v1/books", headers={"If-None-Match": first.headers["etag"]})).status_code == 200


async def test_if_match_binds_a_change_to_the_state_that_was_read(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.handlers["UpdateUser"] = answers(user_service_pb2.UpdateUserResponse(user=ADA))
    response = await client.patch("/v1/users/u1", json={"name": "Ada"}, headers={"If-Match": '"Zz9"'})
    assert (response.status_code, response.headers["etag"]) == (200, '"Ab_-1"')
    assert (invoker.call.request.user.etag, list(invoker.call.request.update_mask.paths)) == ("Zz9", ["name"])


async def test_if_match_binds_a_change_of_the_whole_request_too(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    await client.patch("/v1/users/u1/preferences", json={"rules": []}, headers={"If-Match": '"Zz9"'})
    assert invoker.call.request.etag == "Zz9"


@pytest.mark.parametrize(("header", "bound"), [('"Zz9"', "Zz9"), ("Zz9", "Zz9"), ('W/"Zz9"', "-"), ('""', "-"), ("*", "")], ids=str)
async def test_what_is_no_strong_tag_matches_no_state(client: httpx.AsyncClient, invoker: FakeInvoker, header: str, bound: str) -> None:
    """The service says so, after it has found out that the caller may change the resource and that there is one."""
    assert (await client.patch("/v1/users/u1", json={"name": "Ada"}, headers={"If-Match": header})).status_code == 200
    assert invoker.call.request.user.etag == bound


@pytest.mark.parametrize("header", ['"a", "b"', "a, b", "", '*, "a"', '"a', 'w/"a"'])
async def test_if_match_is_one_tag(client: httpx.AsyncClient, invoker: FakeInvoker, header: str) -> None:
    """A 412 for a list that holds the right one would send its caller to read again for ever."""
    response = await client.patch("/v1/users/u1", json={"name": "Ada"}, headers={"If-Match": header})
    assert (response.status_code, invoker.calls) == (400, [])
    assert "one entity tag" in response.json()["message"]


async def test_if_match_and_the_body_must_agree(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    await client.patch("/v1/users/u1", json={"name": "Ada", "etag": "old"}, headers={"If-Match": '"new"'})
    await client.patch("/v1/users/u1", json={"name": "Ada", "etag": "new"}, headers={"If-Match": '"new"'})
    assert [call.request.user.etag for call in invoker.calls] == ["-", "new"]


async def test_if_match_is_never_ignored(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    response = await client.post("/v1/users", json={"name": "Ada"}, headers={"If-Match": '"Zz9"'})
    assert (response.status_code, invoker.calls) == (400, [])


async def test_what_was_read_can_be_changed_and_written_back(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """What the server alone sets is ignored, whatever it holds."""
    invoker.handlers["GetUser"] = answers(user_service_pb2.GetUserResponse(user=ADA))
    body = (await client.get("/v1/users/u1")).json() | {"name": "Countess", "create_time": "nonsense"}
    assert (await client.patch("/v1/users/u1", json=body)).status_code == 200
    request = invoker.calls[-1].request
    assert set(request.update_mask.paths) == {"email", "name", "locale", "timezone", "external_id"}
    assert (request.user.name, request.user.etag, request.user.id, request.user.role) == ("Countess", "Ab_-1", "", 0)


async def test_preferences_and_versions_are_written_back_as_they_were_read(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    rule = preference_pb2.PreferenceRule(category="news", choice=preference_pb2.CHOICE_DENY)
    preferences = preference_pb2.Preferences(user_id="u1", rules=[rule], update_time=Timestamp(seconds=1), etag="E1")
    invoker.handlers["GetPreferences"] = answers(preference_pb2.GetPreferencesResponse(preferences=preferences))
    body = (await client.get("/v1/users/u1/preferences")).json()
    assert (await client.patch("/v1/users/u1/preferences", json=body)).status_code == 200
    assert (list(invoker.calls[-1].request.rules), invoker.calls[-1].request.etag) == ([rule], "E1")
    version = template_pb2.TemplateVersion(
        template="welcome", version=3, contents={"en": template_pb2.Content(subject="Hi")}, create_time=Timestamp(seconds=1)
    )
    invoker.handlers["GetVersion"] = answers(template_service_pb2.GetVersionResponse(version=version))
    body = (await client.get("/v1/templates/welcome/versions/3")).json()
    assert (await client.post("/v1/templates/welcome/versions", json=body)).status_code == 201
    assert invoker.calls[-1].request.contents["en"].subject == "Hi"


async def test_an_unknown_field_is_refused_with_the_one_that_was_meant(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/users", json={"e_mail": "ada@example.com"})
    assert response.json()["message"] == "e_mail: is not a field of this request; did you mean email?"
    response = await client.get("/v1/users?page_sise=3")
    assert response.json()["message"] == "page_sise: is not a query parameter of this request; did you mean page_size?"
    response = await client.post("/v1/users", json={"zzz": 1})
    assert response.json()["message"] == "zzz: is not a field of this request"


@pytest.mark.parametrize(
    ("path", "body", "name", "reply", "location"),
    [
        ("/v1/users", {"name": "Ada"}, "CreateUser", user_service_pb2.CreateUserResponse(user=ADA), "/v1/users/u1"),
        (
            "/v1/users/u%201/devices",
            {"token": "t"},
            "CreateDevice",
            device_pb2.CreateDeviceResponse(device=device_pb2.Device(id="d1")),
            "/v1/users/u%201/devices/d1",
        ),
        (
            "/v1/api-keys",
            {"name": "x"},
            "CreateApiKey",
            api_key_pb2.CreateApiKeyResponse(api_key=api_key_pb2.ApiKey(id="k1")),
            "/v1/api-keys/k1",
        ),
        (
            "/v1/templates/welcome/versions",
            {},
            "CreateVersion",
            template_service_pb2.CreateVersionResponse(version=template_pb2.TemplateVersion(template="welcome", version=4)),
            "/v1/templates/welcome/versions/4",
        ),
        (
            "/notifications/send",
            {},
            "SendNotification",
            notification_service_pb2.SendNotificationResponse(id="n1"),
            "/v1/notifications/n1",
        ),
    ],
)
async def test_a_post_says_where_what_it_made_is(
    client: httpx.AsyncClient, invoker: FakeInvoker, path: str, body: Any, name: str, reply: Message, location: str
) -> None:
    invoker.handlers[name] = answers(reply)
    assert (await client.post(path, json=body)).headers["location"] == location


async def test_an_answer_without_an_id_says_nothing_of_its_place(client: httpx.AsyncClient) -> None:
    assert "location" not in (await client.post("/v1/users", json={})).headers


async def test_a_large_answer_is_compressed_for_who_takes_it(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    users = [user_pb2.User(id=f"u{index}", name="Ada") for index in range(50)]
    invoker.handlers["ListUsers"] = answers(user_service_pb2.ListUsersResponse(users=users))
    packed = await client.get("/v1/users", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert (packed.headers["content-encoding"], packed.headers["vary"], packed.headers["etag"][:3]) == ("gzip", "accept-encoding", 'W/"')
    for accepted in ("identity", "gzip;q=0", "br"):
        plain = await client.get("/v1/users", headers={"Accept-Encoding": accepted})
        assert "content-encoding" not in plain.headers
        assert plain.headers["vary"] == "accept-encoding"
        assert plain.json() == packed.json()
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    again = await client.get("/v1/users", headers={"If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


async def test_what_may_be_kept_says_for_how_long(client: httpx.AsyncClient) -> None:
    assert (await client.get("/.well-known/jwks.json")).headers["cache-control"] == "public, max-age=60"
    assert (await client.get("/v1/users/u1")).headers["cache-control"] == "no-store"
    document = await client.get("/openapi.json")
    assert document.headers["cache-control"] == "public, max-age=300"
    assert (await client.get("/openapi.json", headers={"If-None-Match": document.headers["etag"]})).status_code == 304


async def test_the_document_says_which_answers_carry_a_tag_and_an_address(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.handlers["GetUser"] = answers(user_service_pb2.GetUserResponse(user=ADA))
    invoker.handlers["UpdateUser"] = answers(user_service_pb2.UpdateUserResponse(user=ADA))
    invoker.handlers["CreateUser"] = answers(user_service_pb2.CreateUserResponse(user=ADA))
    paths = (await client.get("/openapi.json")).json()["paths"]
    for method, path, status in (
        ("get", "/v1/users/{id}", 200),
        ("get", "/v1/users", 200),
        ("patch", "/v1/users/{id}", 200),
        ("post", "/v1/users", 201),
        ("post", "/v1/auth/logout", 200),
    ):
        response = await client.request(method, path.replace("{id}", "u1"), json=None if method == "get" else {})
        documented = {name.lower() for name in paths[path][method]["responses"][str(status)]["headers"]}
        assert response.status_code == status
        assert documented == response.headers.keys() & {"x-correlation-id", "etag", "location"}, path
