"""clarion.template.v1.SenderService: messages in, one use case, messages out."""

from collections.abc import Collection

from clarion.template.v1 import sender_service_pb2 as rpc
from clarion.template.v1.sender_service_pb2_grpc import SenderServiceServicer
from mesh.context import current
from template_svc.senders.book import SenderBook
from template_svc.senders.convert import domain_to_proto, sender_from_proto, sender_to_proto
from template_svc.senders.models import SenderKey
from template_svc.senders.use_cases import SenderDomains, Senders


class SenderServicer(SenderServiceServicer):
    """Serves who sets up a project. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, senders: Senders, domains: SenderDomains, book: SenderBook, *, trusted: Collection[str] = ()) -> None:
        self._senders = senders
        self._domains = domains
        self._book = book
        self._trusted = trusted

    async def UpdateSender(self, request: rpc.UpdateSenderRequest, context: object) -> rpc.UpdateSenderResponse:
        sender = await self._senders.put(_key(request.name), sender_from_proto(request.sender))
        self._book.forget(_project())
        return rpc.UpdateSenderResponse(sender=sender_to_proto(sender))

    async def GetSender(self, request: rpc.GetSenderRequest, context: object) -> rpc.GetSenderResponse:
        return rpc.GetSenderResponse(sender=sender_to_proto(await self._senders.get(_key(request.name))))

    async def ListSenders(self, request: rpc.ListSendersRequest, context: object) -> rpc.ListSendersResponse:
        return rpc.ListSendersResponse(senders=map(sender_to_proto, await self._senders.list(_project())))

    async def DeleteSender(self, request: rpc.DeleteSenderRequest, context: object) -> rpc.DeleteSenderResponse:
        await self._senders.delete(_key(request.name))
        self._book.forget(_project())
        return rpc.DeleteSenderResponse()

    async def AddSenderDomain(self, request: rpc.AddSenderDomainRequest, context: object) -> rpc.AddSenderDomainResponse:
        return rpc.AddSenderDomainResponse(domain=domain_to_proto(await self._domains.add(_project(), request.domain)))

    async def VerifySenderDomain(self, request: rpc.VerifySenderDomainRequest, context: object) -> rpc.VerifySenderDomainResponse:
        domain = await self._domains.verify(_project(), request.domain)
        self._book.forget(_project())
        return rpc.VerifySenderDomainResponse(domain=domain_to_proto(domain))

    async def RotateSenderDomainKey(self, request: rpc.RotateSenderDomainKeyRequest, context: object) -> rpc.RotateSenderDomainKeyResponse:
        return rpc.RotateSenderDomainKeyResponse(domain=domain_to_proto(await self._domains.rotate(_project(), request.domain)))

    async def GetSenderDomain(self, request: rpc.GetSenderDomainRequest, context: object) -> rpc.GetSenderDomainResponse:
        return rpc.GetSenderDomainResponse(domain=domain_to_proto(await self._domains.get(_project(), request.domain)))

    async def ListSenderDomains(self, request: rpc.ListSenderDomainsRequest, context: object) -> rpc.ListSenderDomainsResponse:
        domains = await self._domains.list(_project())
        return rpc.ListSenderDomainsResponse(domains=map(domain_to_proto, domains), trusted_domains=sorted(self._trusted))

    async def DeleteSenderDomain(self, request: rpc.DeleteSenderDomainRequest, context: object) -> rpc.DeleteSenderDomainResponse:
        await self._domains.delete(_project(), request.domain)
        return rpc.DeleteSenderDomainResponse()

    async def GetSigningKey(self, request: rpc.GetSigningKeyRequest, context: object) -> rpc.GetSigningKeyResponse:
        key = await self._domains.signing_key(request.project, request.domain)
        return rpc.GetSigningKeyResponse(private_key=key.private_key, selector=key.selector)


def _project() -> str:
    return current().caller.project


def _key(name: str) -> SenderKey:
    """The sender of that name in the caller's project."""
    return SenderKey(_project(), name)
