"""MTLS between a real server and real channels: who is refused, and that certificates are renewed under load without a failed call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from clarion.user.v1 import user_service_pb2
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.process.health import HealthMonitor
from mesh.resilience.breaker import Breaker
from mesh.rpc.channel import MeshChannel, open_raw_channel
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import client_chain, server_chain
from mesh.rpc.renewal import CertificatesNotTaken, RenewingChannel
from mesh.rpc.server import serve_grpc
from mesh.rpc.settings import ChannelSettings
from mesh.testing import SECRET, FakeCredentials, grpc_settings, operator_metadata
from tests.mesh.authority import Authority, Files
from tests.mesh.test_server import USER_SERVICE, Servicer
from tests.waiting import GUARD_S

if TYPE_CHECKING:
    from clarion.user.v1.user_service_pb2_grpc import UserServiceAsyncStub

CALLERS, CALLS = 8, 48
_DECIDED = {grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE}


@dataclass
class Meeting:
    """A server that asks for certificates, and one side's files for each."""

    server: Files
    client: Files
    authority: Authority
    port: int = 0

    def settings(self, **changed: object) -> ChannelSettings:
        """The caller's, which looks at its files by itself only where `renew_s` says so."""
        settings = ChannelSettings(
            ca_file=self.client.ca,
            cert_file=self.client.cert,
            key_file=self.client.key,
            breaker_failures=1000,
            breaker_open_s=1,
            renew_s=3600,
        )
        return replace(settings, **changed)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
async def meeting(tmp_path: Path) -> AsyncIterator[Meeting]:
    made = Meeting(Files(tmp_path / "server"), Files(tmp_path / "client"), Authority("first"))
    for side in (made.server, made.client):
        side.trust([made.authority])
        side.show(made.authority.issue(side.folder.name))
    tls = replace(grpc_settings(), tls_cert_file=made.server.cert, tls_key_file=made.server.key, tls_client_ca_file=made.server.ca)
    dispatcher = Dispatcher(server_chain(Authenticator(FakeCredentials(), ServiceIdentity("test", SECRET))))
    dispatcher.add(USER_SERVICE, Servicer())
    monitor = HealthMonitor([], services=dispatcher.service_names)
    await monitor.start()
    async with serve_grpc(dispatcher, tls, monitor, grace_s=1) as port:
        made.port = port
        yield made
    await monitor.close()


@asynccontextmanager
async def calling(meeting: Meeting, **changed: object) -> AsyncIterator[RenewingChannel]:
    async with open_raw_channel(f"ipv4:127.0.0.1:{meeting.port}", settings=meeting.settings(**changed), services=[USER_SERVICE]) as channel:
        assert isinstance(channel, RenewingChannel)
        yield channel


def users(channel: grpc.aio.Channel) -> "UserServiceAsyncStub":
    chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test", failures=1000, open_s=1))
    return UserServiceStub(MeshChannel(channel, "test", chain))


async def call(stub: "UserServiceAsyncStub") -> None:
    answer = await stub.GetUser(user_service_pb2.GetUserRequest(id="ada"), timeout=10, metadata=operator_metadata())
    assert answer.user.id == "ada"


@dataclass
class Load:
    """Calls that go on, one after the other by each of several callers, with a pause after each."""

    users: "UserServiceAsyncStub"
    pause_s: float = 0.0
    answered: int = 0
    failed: list[Exception] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def go_on(self) -> None:
        while True:
            try:
                await call(self.users)
            except Exception as error:  # noqa: BLE001  whatever it was, it failed
                self.failed.append(error)
            self.answered += 1
            self._more.set()
            await asyncio.sleep(self.pause_s)

    async def more(self, count: int = CALLS) -> None:
        """Returns after so many further calls."""
        wanted = self.answered + count
        async with asyncio.timeout(GUARD_S):
            while self.answered < wanted:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def load(channel: grpc.aio.Channel, *, pause_s: float = 0.0) -> AsyncIterator[Load]:
    going = Load(users(channel), pause_s)
    tasks = [asyncio.create_task(going.go_on()) for _ in range(CALLERS)]
    try:
        yield going
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reachable(meeting: Meeting, **changed: object) -> bool:
    """Whether a new caller with the present files gets an answer; `changed` are its settings."""
    async with calling(meeting, **changed) as channel, asyncio.timeout(GUARD_S):
        while (state := channel.get_state(try_to_connect=True)) not in _DECIDED:
            await channel.wait_for_state_change(state)
        return state is grpc.ChannelConnectivity.READY


async def test_every_certificate_and_the_ca_are_replaced_under_load_and_no_call_fails(meeting: Meeting) -> None:
    """As an operator does it: both CAs are trusted, then new certificates are shown, then the old CA goes."""
    old, new = meeting.authority, Authority("second")
    async with calling(meeting) as channel, load(channel) as going:
        await going.more()
        for side in (meeting.server, meeting.client):
            side.trust([old, new])
        assert await channel.renew()
        await going.more()
        meeting.server.show(new.issue("server"))
        meeting.client.show(new.issue("client"))
        assert await channel.renew()
        await going.more()
        for side in (meeting.server, meeting.client):
            side.trust([new])
        assert await channel.renew()
        assert not await channel.renew()
        await going.more()
        assert going.failed == []
    # the old ones are refused by now, so those calls went over new connections
    assert await reachable(meeting)
    meeting.client.show(old.issue("client"))
    assert not await reachable(meeting)


async def test_a_channel_looks_at_its_files_by_itself(meeting: Meeting) -> None:
    async with calling(meeting, renew_s=0.01) as channel:
        await channel.channel_ready()
        before = channel.channel
        meeting.client.show(meeting.authority.issue("client"))
        async with asyncio.timeout(GUARD_S):
            while channel.channel is before:  # noqa: ASYNC110  the channel is what is looked at
                await asyncio.sleep(0.01)
        await call(users(channel))


async def test_files_that_do_not_fit_together_change_nothing(meeting: Meeting) -> None:
    """As when one of two files has been written so far, or a certificate of another CA."""
    # whether a certificate is taken is known after seconds, in which calls without a pause would keep a core busy
    async with calling(meeting) as channel, load(channel, pause_s=0.05) as going:
        key, cert = meeting.authority.issue("client")
        Path(meeting.client.cert).write_bytes(cert)
        with pytest.raises(CertificatesNotTaken):
            await channel.renew()
        await going.more()
        Path(meeting.client.key).write_bytes(key)
        assert await channel.renew()
        meeting.client.show(Authority("stranger").issue("client"))
        with pytest.raises(CertificatesNotTaken):
            await channel.renew()
        Path(meeting.client.key).unlink()
        with pytest.raises(FileNotFoundError):
            await channel.renew()
        await going.more()
        assert going.failed == []


async def test_who_waits_for_the_state_is_woken_by_a_change_of_channel(meeting: Meeting) -> None:
    async with calling(meeting) as channel:
        await channel.channel_ready()
        waiting = asyncio.create_task(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
        await asyncio.sleep(0)
        meeting.client.show(meeting.authority.issue("client"))
        assert await channel.renew()
        async with asyncio.timeout(GUARD_S):
            await waiting
        assert channel.get_state() is grpc.ChannelConnectivity.READY


@pytest.mark.parametrize("shown", ["none", "of another CA", "expired"])
async def test_a_caller_without_a_good_certificate_is_refused(meeting: Meeting, shown: str) -> None:
    assert await reachable(meeting)
    if shown == "none":
        assert not await reachable(meeting, cert_file="", key_file="")
        return
    meeting.client.show(Authority("first").issue("client") if shown == "of another CA" else meeting.authority.issue("client", days=-1))
    assert not await reachable(meeting)


async def test_a_server_of_another_ca_is_not_called(meeting: Meeting) -> None:
    meeting.client.trust([Authority("first")])
    assert not await reachable(meeting)
