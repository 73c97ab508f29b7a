"""Signing in with a second factor over the public door."""

import time

import httpx
import pytest

from tests.system.conftest import System
from tests.user_svc.test_second_factor import App

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

EMAIL, PASSWORD = "second-factor@example.com", "correct-horse-battery"


async def test_a_password_alone_is_not_enough_once_there_is_a_second_factor(system: System) -> None:
    user = await system.client.call("POST", "/v1/users", {"email": EMAIL, "password": PASSWORD})
    async with httpx.AsyncClient(base_url=system.processes.url) as http:

        async def log_in(code: str = "") -> httpx.Response:
            return await http.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD, "code": code})

        own = {"Authorization": f"Bearer {(await log_in()).json()['access_token']}"}
        begun = (await http.post("/v1/auth/begin-second-factor", json={"current_password": PASSWORD}, headers=own)).json()
        app = App(begun["secret"])
        confirmed = await http.post("/v1/auth/confirm-second-factor", json={"code": app.code()}, headers=own)
        codes = confirmed.json()["recovery_codes"]
        assert len(codes) == 10
        for code, reason in (("", "SECOND_FACTOR_REQUIRED"), (app.wrong(), "SECOND_FACTOR_WRONG")):
            refused = await log_in(code)
            assert (refused.status_code, refused.json()["details"][0]["reason"]) == (401, reason)
        assert (await log_in(app.code())).status_code == 200
        assert (await log_in(codes[0])).status_code == 200
        shown = (await http.get(f"/v1/users/{user['id']}/second-factor", headers=own)).json()
        assert (shown["enabled"], shown["recovery_codes_left"]) == (True, 9)
        removed = await system.client.call("POST", f"/v1/users/{user['id']}:removeSecondFactor", {})
        assert removed == {}
        assert (await log_in()).status_code == 200
    logs = [path.read_text(errors="replace") for path in system.processes.folder.rglob("*.log")]
    assert not [log for log in logs if begun["secret"] in log or codes[0] in log]


async def test_codes_are_guessed_five_times_and_log_ins_of_others_go_on(system: System) -> None:
    for email in ("guessed-codes@example.com", "beside-guesses@example.com"):
        await system.client.call("POST", "/v1/users", {"email": email, "password": PASSWORD})
    async with httpx.AsyncClient(base_url=system.processes.url) as http:

        async def log_in(email: str, code: str = "") -> httpx.Response:
            return await http.post("/v1/auth/login", json={"email": email, "password": PASSWORD, "code": code})

        own = {"Authorization": f"Bearer {(await log_in('guessed-codes@example.com')).json()['access_token']}"}
        begun = (await http.post("/v1/auth/begin-second-factor", json={"current_password": PASSWORD}, headers=own)).json()
        app = App(begun["secret"])
        assert (await http.post("/v1/auth/confirm-second-factor", json={"code": app.code()}, headers=own)).status_code == 200
        answers = [await log_in("guessed-codes@example.com", app.wrong()) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert answers[-1].json()["details"][0]["reason"] == "SECOND_FACTOR_THROTTLED"
        right = await log_in("guessed-codes@example.com", app.at(int(time.time()) // 30))
        assert (right.status_code, int(right.headers["retry-after"]) > 600) == (429, True)
        assert (await log_in("beside-guesses@example.com")).status_code == 200
