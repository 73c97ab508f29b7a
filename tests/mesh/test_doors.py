"""Whose calls a port takes: the public edge, an internal port, and the callers that a method names."""

from typing import Any

import grpc
import grpc.aio
import pytest

from clarion.user.v1 import recipient_service_pb2, user_service_pb2
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.errors import ServiceError, Unauthenticated
from mesh.process.settings import CommonSettings, Env, SettingsError
from mesh.resilience.breaker import Breaker
from mesh.rpc.calls import ServerInterceptor
from mesh.rpc.channel import open_channel, to_service_error
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import client_chain, server_chain
from mesh.rpc.interceptors.auth import Door
from mesh.rpc.service_keys import ServiceKeys, generate
from mesh.rpc.settings import ChannelSettings
from mesh.testing import SECRET, FakeCredentials, operator_metadata, service_metadata, serving, serving_port

USERS = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
RECIPIENTS = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]
LIST = user_service_pb2.ListUsersRequest()
CHECK = recipient_service_pb2.BatchCheckUsersRequest(user_ids=["x"])


class Servicer:
    """Answers the two methods that are called."""

    def __getattr__(self, name: str) -> object:
        """Every other method: bound, never called."""
        return None

    async def ListUsers(self, request: object, _: None) -> user_service_pb2.ListUsersResponse:  # noqa: N802  the schema's name
        return user_service_pb2.ListUsersResponse()

    async def BatchCheckUsers(  # noqa: N802  the schema's name
        self, request: object, _: None
    ) -> recipient_service_pb2.BatchCheckUsersResponse:
        return recipient_service_pb2.BatchCheckUsersResponse()


SERVICES = ((USERS, Servicer()), (RECIPIENTS, Servicer()))


def chain(door: Door) -> tuple[ServerInterceptor, ...]:
    return server_chain(Authenticator(FakeCredentials(), ServiceIdentity("test", SECRET)), door)


async def refused(call: Any) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return to_service_error(error.value)


async def test_the_edge_takes_no_token_of_a_service() -> None:
    """Neither for what people may call nor for what services may; people are served."""
    async with serving(*SERVICES, chain=chain(Door.PUBLIC)) as channel:
        for call in (UserServiceStub(channel).ListUsers(LIST, metadata=service_metadata()),
                     RecipientServiceStub(channel).BatchCheckUsers(CHECK, metadata=service_metadata())):  # fmt: skip
            assert (await refused(call)).reason == "CREDENTIALS_INVALID"
        await UserServiceStub(channel).ListUsers(LIST, metadata=operator_metadata())


async def test_an_internal_port_takes_no_call_from_outside_of_the_mesh() -> None:
    """Whatever scopes the caller holds: the gateway stands in front. What it hands on arrives in the name of its caller."""
    async with serving_port(*SERVICES, chain=chain(Door.INTERNAL)) as port:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for metadata in ((), operator_metadata()):
                assert (await refused(UserServiceStub(channel).ListUsers(LIST, metadata=metadata))).reason == "INTERNAL_PORT"
        settings = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=5, breaker_open_s=1)
        outgoing = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test"))
        async with open_channel(f"ipv4:127.0.0.1:{port}", settings=settings, chain=outgoing, services=[USERS]) as handing_on:
            await UserServiceStub(handing_on).ListUsers(LIST, metadata=operator_metadata())
            await RecipientServiceStub(handing_on).BatchCheckUsers(CHECK)


@pytest.mark.parametrize(
    ("service", "reason"),
    [("email_worker", "CALLER_NOT_ALLOWED"), ("user_svc", "CALLER_NOT_ALLOWED"), ("gateway", "")],
)
async def test_a_method_answers_the_services_that_it_names(service: str, reason: str) -> None:
    """And no service in its own name where it names none, whatever the scope."""
    async with serving(*SERVICES, chain=chain(Door.INTERNAL)) as channel:
        call = RecipientServiceStub(channel).BatchCheckUsers(CHECK, metadata=service_metadata(service))
        if reason:
            assert (await refused(call)).reason == reason
        else:
            await call
        scoped = UserServiceStub(channel).ListUsers(LIST, metadata=service_metadata(service))
        assert (await refused(scoped)).reason == "CALLER_NOT_ALLOWED"


@pytest.fixture
def keys() -> dict[str, ServiceKeys]:
    """Each service with its own private key and everyone's public ones."""
    *private, public = generate(["gateway", "user_svc", "email_worker"])
    entries = dict(line.split("_SERVICE_KEY=") for line in private)
    return {service.lower(): ServiceKeys.read(key, public.partition("_KEYS=")[2]) for service, key in entries.items()}


def test_a_services_key_speaks_for_that_service_only(keys: dict[str, ServiceKeys]) -> None:
    """A worker's key makes no token of the gateway, and a token for one service is none for another."""
    user_svc = ServiceIdentity("user_svc", keys["user_svc"])
    caller, _ = user_svc.verify(ServiceIdentity("gateway", keys["gateway"]).token("user_svc"))
    assert caller.id == "gateway"
    for forged in (
        ServiceIdentity("gateway", keys["email_worker"]).token("user_svc"),
        ServiceIdentity("gateway", keys["gateway"]).token("template_svc"),
        ServiceIdentity("gateway", keys["gateway"], lifetime_s=-61).token("user_svc"),
        ServiceIdentity("gateway", SECRET).token("user_svc"),
    ):
        with pytest.raises(Unauthenticated):
            user_svc.verify(forged)


def test_keys_that_do_not_belong_together_are_refused_at_start_up() -> None:
    """The message repeats no key."""
    *private, _ = generate(["gateway"])
    _, public = generate(["gateway"])
    key = private[0].partition("_KEY=")[2]
    names = {"CLARION_SERVICE_KEY": key, "CLARION_SERVICE_PUBLIC_KEYS": public.partition("_KEYS=")[2]}
    env = Env(names)
    common = CommonSettings.from_env(env, metrics_port=0)
    env.check()
    with pytest.raises(SettingsError) as problem:
        ServiceKeys.from_settings("gateway", common)
    assert "CLARION_SERVICE_KEY" in str(problem.value)
    assert key not in str(problem.value)
    assert key not in repr(common)
