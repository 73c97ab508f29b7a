"""The local FCM server in front of a bare HTTP client."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from devstack.fcm import PROJECT, FcmServer, open_fcm_server

SEND = f"/v1/projects/{PROJECT}/messages:send"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fcm")


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[FcmServer]:
    async with open_fcm_server(folder) as running:
        yield running


@pytest.fixture
async def http(server: FcmServer) -> AsyncIterator[httpx.AsyncClient]:
    environ = server.environ()
    context = ssl.create_default_context(cafile=environ["CLARION_FCM_CA_FILE"])
    async with httpx.AsyncClient(http2=True, verify=context, base_url=environ["CLARION_FCM_ENDPOINT"], trust_env=False) as client:
        yield client


async def authorize(server: FcmServer, http: httpx.AsyncClient, **claims: Any) -> httpx.Response:
    account = json.loads(Path(server.environ()["CLARION_FCM_CREDENTIALS_FILE"]).read_text())
    given = {"iss": account["client_email"], "aud": "https://oauth2.googleapis.com/token", "iat": 1e9, "exp": 1e10, **claims}
    assertion = jwt.encode(given, account["private_key"], algorithm="RS256")
    return await http.post(account["token_uri"], data={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion})


async def test_a_message_is_shown_as_it_was_sent(server: FcmServer, http: httpx.AsyncClient) -> None:
    http.headers["authorization"] = f"Bearer {(await authorize(server, http)).json()['access_token']}"
    response = await http.post(SEND, json={"message": {"token": "t", "notification": {"title": "Hi"}}})
    assert (response.status_code, response.http_version) == (200, "HTTP/2")
    received = await server.next_message()
    assert (received.token, received.title, received.http2) == ("t", "Hi", True)


async def test_nobody_sends_without_an_access_token(server: FcmServer, http: httpx.AsyncClient) -> None:
    response = await http.post(SEND, json={"message": {"token": "t"}}, headers={"authorization": "Bearer guessed"})
    assert response.status_code == 401
    assert (await authorize(server, http, aud="somebody else")).status_code == 400
    assert not server.pushes


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [("unregistered-1", 404, "UNREGISTERED"), ("invalid-1", 400, "INVALID_ARGUMENT"), ("unavailable-1", 503, "UNAVAILABLE")],
)
async def test_a_token_says_by_its_name_what_becomes_of_it(
    server: FcmServer, http: httpx.AsyncClient, token: str, status: int, code: str
) -> None:
    http.headers["authorization"] = f"Bearer {(await authorize(server, http)).json()['access_token']}"
    response = await http.post(SEND, json={"message": {"token": token}})
    assert response.status_code == status
    assert response.json()["error"]["details"][0]["errorCode"] == code


async def test_a_payload_over_4096_bytes_is_refused(server: FcmServer, http: httpx.AsyncClient) -> None:
    http.headers["authorization"] = f"Bearer {(await authorize(server, http)).json()['access_token']}"
    response = await http.post(SEND, json={"message": {"token": "t", "data": {"x": "y" * 5000}}})
    assert response.status_code == 400


async def test_the_service_account_survives_a_restart(folder: Path) -> None:
    keys = []
    for _ in range(2):
        async with open_fcm_server(folder) as server:
            keys.append(json.loads(Path(server.environ()["CLARION_FCM_CREDENTIALS_FILE"]).read_text())["private_key"])
    assert keys[0] == keys[1]
