"""How often a password may be guessed, against a real Valkey and without one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clarion.user.v1 import auth_service_pb2 as rpc
from clarion.user.v1 import sign_in_service_pb2 as sign_in
from gateway.accepting.limits import RateLimit
from gateway.login_limits import LoginLimits, LoginThrottled, limited
from mesh import context
from mesh.context import CallContext
from mesh.errors import Unauthenticated, Unavailable
from mesh.ids import new_id
from mesh.rpc.metadata import CLIENT_ADDRESS, address_of
from mesh.rpc.methods import methods_of
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from mesh.testing import free_port

LOGIN = methods_of(rpc.DESCRIPTOR.services_by_name["AuthService"])["/clarion.user.v1.AuthService/Login"]
REFRESH = methods_of(rpc.DESCRIPTOR.services_by_name["AuthService"])["/clarion.user.v1.AuthService/Refresh"]
COMPLETE = methods_of(sign_in.DESCRIPTOR.services_by_name["SignInService"])["/clarion.user.v1.SignInService/CompleteSignIn"]
ADDRESS = RateLimit("login-address", 100, 100)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(redis_url, 1.0)) as client:
        yield client


class Door:
    """Log-ins as the gateway serves them. `right` is the one password that fits."""

    def __init__(self, redis: Redis, *, address: RateLimit = ADDRESS) -> None:
        self.verified = 0
        self.down = False
        self.limits = LoginLimits(redis, address=address)
        self._serve = limited(self.limits)(LOGIN, self._verify)

    async def _verify(self, request: object) -> rpc.LoginResponse:
        assert isinstance(request, rpc.LoginRequest)
        self.verified += 1
        if self.down:
            raise Unavailable("user_svc is away")
        if request.password != "right":
            raise Unauthenticated("the e-mail address or the password is wrong")
        return rpc.LoginResponse(user_id="ada")

    async def log_in(self, email: str, password: str = "wrong", *, source: str = "192.0.2.1", project: str = "") -> str:
        """What came of it."""
        with context.use(CallContext(LOGIN.full_name, "c", metadata={CLIENT_ADDRESS: source})):
            try:
                await self._serve(rpc.LoginRequest(email=email, password=password, project=project))
            except LoginThrottled as throttled:
                return "throttled" if throttled.retry_after_s else "throttled without a time"
            except Unauthenticated:
                return "refused"
            except Unavailable:
                return "unavailable"
        return "let in"


def someone() -> str:
    return f"{new_id()}@example.com"


async def test_of_300_guesses_at_once_ten_are_looked_at(redis: Redis) -> None:
    """The spelling of the address makes no difference, and nobody learns whether there is such an account."""
    door, ada = Door(redis), someone()
    seen = Counter(await asyncio.gather(*(door.log_in(ada.upper() if number % 2 else ada) for number in range(300))))
    assert (seen["refused"], seen["throttled"], door.verified) == (10, 290, 10)


async def test_guesses_in_one_project_lock_no_account_of_another(redis: Redis) -> None:
    door, ada = Door(redis), someone()
    for project in ("", "default"):
        await asyncio.gather(*(door.log_in(ada, project=project) for _ in range(10)))
    assert door.verified == 10
    assert await door.log_in(ada) == "throttled"
    assert await door.log_in(ada, project="shop") == "refused"


async def test_whoever_knows_the_password_comes_in_from_elsewhere(redis: Redis) -> None:
    """The owner of an account is not locked out by one who guesses, and coming in takes back what was guessed from there."""
    door, ada = Door(redis), someone()
    await asyncio.gather(*(door.log_in(ada) for _ in range(20)))
    assert await door.log_in(ada, "right", source="198.51.100.7") == "let in"
    assert await door.log_in(ada, "right") == "throttled", "from where it was guessed"
    assert {await door.log_in(ada, source="203.0.113.9") for _ in range(9)} == {"refused"}
    assert await door.log_in(ada, "right", source="203.0.113.9") == "let in"
    assert {await door.log_in(ada, source="203.0.113.9") for _ in range(10)} == {"refused"}


async def test_an_account_is_guessed_fifty_times_from_wherever(redis: Redis) -> None:
    door, ada = Door(redis), someone()
    seen = Counter([await door.log_in(ada, source=f"192.0.2.{number}") for number in range(80)])
    assert (seen["refused"], seen["throttled"]) == (50, 30)


async def test_an_address_guesses_a_hundred_passwords_of_whomever(redis: Redis) -> None:
    """700 at once of as many accounts: a hundred are looked at. An IPv6 client has a whole network to itself, which counts as one."""
    door = Door(redis)
    seen = Counter(await asyncio.gather(*(door.log_in(someone(), source=f"2001:db8::{number:x}") for number in range(700))))
    assert (seen["refused"], seen["throttled"]) == (100, 600)
    assert await door.log_in(someone(), source="2001:db8:0:1::1") == "refused"


async def test_log_ins_that_fit_or_that_nobody_looked_at_cost_nothing(redis: Redis) -> None:
    door, ada = Door(redis, address=RateLimit("login-address", 12, 1200)), someone()
    assert {await door.log_in(ada, "right") for _ in range(30)} == {"let in"}
    door.down = True
    assert {await door.log_in(ada) for _ in range(30)} == {"unavailable"}
    door.down = False
    assert {await door.log_in(ada) for _ in range(10)} == {"refused"}


async def test_without_redis_each_process_counts_for_itself() -> None:
    async with open_cache(CacheSettings(f"redis://127.0.0.1:{free_port()}", 0.2)) as away:
        door, ada = Door(away), someone()
        assert {await door.log_in(ada, "right") for _ in range(120)} == {"let in"}, "what fits costs nothing here either"
        seen = Counter([await door.log_in(ada) for _ in range(15)])
    assert (seen["refused"], seen["throttled"]) == (10, 5)


async def test_other_calls_are_left_alone(redis: Redis) -> None:
    async def handler(_request: object) -> rpc.RefreshResponse:
        return rpc.RefreshResponse()

    assert limited(LoginLimits(redis, address=ADDRESS))(REFRESH, handler) is handler


async def test_sign_ins_at_an_issuer_are_slowed_down_by_address_and_stand_in_no_ones_way(redis: Redis) -> None:
    async def refuse(request: object) -> sign_in.CompleteSignInResponse:
        raise Unauthenticated("the flow is not ours")

    door = Door(redis)
    serve = limited(door.limits)(COMPLETE, refuse)

    async def complete(flow: str, source: str) -> str:
        with context.use(CallContext(COMPLETE.full_name, "c", metadata={CLIENT_ADDRESS: source})):
            try:
                await serve(sign_in.CompleteSignInRequest(flow=flow, state="s", code="c"))
            except LoginThrottled:
                return "throttled"
            except Unauthenticated:
                return "refused"
        return "in"

    answers = Counter(await asyncio.gather(*(complete(f"flow {number}", "192.0.2.1") for number in range(300))))
    assert answers == {"refused": 100, "throttled": 200}
    assert await complete("another flow", "198.51.100.1") == "refused"


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:192.0.2.1:5000", "192.0.2.1"), ("ipv6:%5B2001:db8::1%5D:5000", "2001:db8::1"), ("unix:/tmp/socket", ""), ("", "")],
)
def test_the_address_of_a_grpc_peer(peer: str, address: str) -> None:
    assert address_of(peer) == address
