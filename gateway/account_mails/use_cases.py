"""Takes the mails that user_svc has asked for and accepts each once, as any notification. What opens an account is in none of them."""

import hashlib
import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from google.protobuf.struct_pb2 import Struct

from gateway.accepting.models import Acceptance, Draft
from gateway.accepting.use_cases import Key
from gateway.notifications.models import Channel, Priority
from mesh import context
from mesh.context import CallContext, Caller, CallerKind
from mesh.errors import InvalidArgument, ServiceError
from mesh.ids import new_id

log = logging.getLogger(__name__)


class AccountMail(NamedTuple):
    """A mail that is to be sent, under an id of its own."""

    id: str
    project: str
    user_id: str
    template: str


class Source(Protocol):
    """Who asks for mails."""

    async def claim(self) -> Sequence[AccountMail]: ...

    async def settle(self, ids: Sequence[str]) -> None: ...


class Sender(Protocol):
    """Who accepts them."""

    async def send(self, draft: Draft, key: Key | None, *, report: bool = True) -> Acceptance: ...


class AccountMails:
    """One round after another; `service` is the name under which this process accepts what no caller may send."""

    def __init__(self, source: Source, sender: Sender, service: str) -> None:
        self._source = source
        self._sender = sender
        self._service = service

    async def send_all(self) -> None:
        """Sends what is asked for. What can't be accepted now is taken again a minute later. Raises ServiceError while user_svc is away."""
        while mails := await self._source.claim():
            settled = [mail.id for mail in mails if await self._send(mail)]
            if not settled:
                return
            await self._source.settle(settled)

    async def _send(self, mail: AccountMail) -> bool:
        """Whether nothing more is to be done for it."""
        caller = Caller(CallerKind.SERVICE, self._service, project=mail.project)
        draft = Draft(mail.user_id, Channel.EMAIL, mail.template, Struct(), priority=Priority.HIGH)
        key = Key(mail.id, hashlib.sha256(mail.id.encode()).digest())
        with context.use(CallContext("account-mails", new_id(), caller)):
            try:
                await self._sender.send(draft, key, report=False)
            except InvalidArgument as error:
                # such as a person who was erased meanwhile
                log.info("a mail about an account can't be sent", extra={"template": mail.template, "reason": error.reason})
            except ServiceError as error:
                log.warning("a mail about an account waits", extra={"template": mail.template, "reason": error.reason})
                return False
        return True
