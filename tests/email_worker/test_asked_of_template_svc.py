"""What email_worker asks template_svc for and keeps: files of mails and keys that sign them, over real gRPC on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from clarion.delivery.v1.delivery_pb2 import MailAttachment
from clarion.template.v1 import attachment_service_pb2, sender_service_pb2
from email_worker.errors import AttachmentMissing, AttachmentUnavailable, SigningKeyUnavailable
from email_worker.files import Files
from email_worker.keys import FRESH_S, SigningKeys
from email_worker.parts import encoded
from mesh.errors import NotFound, ServiceError, Unavailable
from mesh.process.health import HealthMonitor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.peer import open_peer
from mesh.rpc.server import serve_grpc
from mesh.rpc.settings import ChannelSettings
from mesh.testing import SECRET, FakeCredentials, grpc_settings
from template_svc.senders.keys import new_signing_key

SERVICES = [
    attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"],
    sender_service_pb2.DESCRIPTOR.services_by_name["SenderService"],
]
SETTINGS = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=100, breaker_open_s=60)
KEY = new_signing_key()


class TemplateSvc:
    """Answers one call at a time with what it has; raises `error` where there is one. `asked` are the ids of files and the domains."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: ServiceError | None = None

    def __getattr__(self, name: str) -> object:
        """Every other method: bound, never called."""
        return None

    async def GetAttachmentContent(  # noqa: N802  the schema's name
        self, request: attachment_service_pb2.GetAttachmentContentRequest, _: None
    ) -> attachment_service_pb2.GetAttachmentContentResponse:
        await self._answer(request.id)
        return attachment_service_pb2.GetAttachmentContentResponse(content=request.id.encode() * 100)

    async def GetSigningKey(  # noqa: N802  the schema's name
        self, request: sender_service_pb2.GetSigningKeyRequest, _: None
    ) -> sender_service_pb2.GetSigningKeyResponse:
        await self._answer(request.domain)
        return sender_service_pb2.GetSigningKeyResponse(private_key=KEY.private_key, selector=KEY.selector)

    async def _answer(self, what: str) -> None:
        self.asked.append(what)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def reached(template_svc: TemplateSvc) -> AsyncIterator[grpc.aio.Channel]:
    dispatcher = Dispatcher(server_chain(Authenticator(FakeCredentials(), ServiceIdentity("template_svc", SECRET))))
    for service in SERVICES:
        dispatcher.add(service, template_svc)
    identity = ServiceIdentity("email_worker", SECRET)
    async with (
        serve_grpc(dispatcher, grpc_settings(), HealthMonitor([]), grace_s=0) as port,
        open_peer("template_svc", f"ipv4:127.0.0.1:{port}", identity=identity, settings=SETTINGS, services=SERVICES) as channel,
    ):
        yield channel


def file(identifier: str) -> MailAttachment:
    return MailAttachment(filename=f"{identifier}.txt", content_type="text/plain", attachment_id=identifier)


async def test_many_mails_with_the_same_file_ask_for_it_once() -> None:
    template_svc = TemplateSvc()
    async with reached(template_svc) as channel:
        files = Files(channel)
        found = await asyncio.gather(*(files.of("default", [file("terms"), file("terms")]) for _ in range(20)))
        assert {each.body for mail in found for each in mail} == {encoded(b"terms" * 100)}
        await files.of("default", [file("terms")])
        assert template_svc.asked == ["terms"]
        await files.of("other", [file("terms")])
        assert template_svc.asked == ["terms", "terms"], "a project has its own"


async def test_files_that_were_used_last_are_kept() -> None:
    template_svc = TemplateSvc()
    async with reached(template_svc) as channel:
        files = Files(channel, most=2 * len(encoded(b"a" * 100)))
        for identifier in ("a", "b", "a", "c", "a", "b"):
            await files.of("default", [file(identifier)])
        assert template_svc.asked == ["a", "b", "c", "b"]


async def test_a_file_that_is_gone_ends_the_mail_and_one_that_can_not_be_had_does_not() -> None:
    template_svc = TemplateSvc()
    async with reached(template_svc) as channel:
        files = Files(channel)
        template_svc.error = Unavailable("down")
        with pytest.raises(AttachmentUnavailable) as waits:
            await files.of("default", [file("a")])
        template_svc.error = NotFound("gone")
        with pytest.raises(AttachmentMissing):
            await files.of("default", [file("a")])
        template_svc.error = None
        assert (waits.value.retryable, waits.value.uses_attempt) == (True, False)
        assert len(await files.of("default", [file("a")])) == 1


async def test_a_key_is_asked_for_once_and_outlives_template_svc() -> None:
    template_svc, now_s = TemplateSvc(), 0.0
    async with reached(template_svc) as channel:
        keys = SigningKeys(channel, lambda: now_s)
        template_svc.error = Unavailable("down")
        with pytest.raises(SigningKeyUnavailable):
            await keys.of("default", "example.com", KEY.selector)
        template_svc.error, template_svc.asked = None, []
        signers = await asyncio.gather(*(keys.of("default", "example.com", KEY.selector) for _ in range(20)))
        assert ({each.selector for each in signers}, template_svc.asked) == ({KEY.selector}, ["example.com"])
        template_svc.error, now_s = Unavailable("down"), FRESH_S + 1
        assert (await keys.of("default", "example.com", KEY.selector)).domain == "example.com"
