"""The DKIM keys of projects' domains, asked of template_svc once in a while and kept in memory."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc.aio

from clarion.template.v1.sender_service_pb2 import GetSigningKeyRequest
from clarion.template.v1.sender_service_pb2_grpc import SenderServiceStub
from email_worker.dkim import Signer
from email_worker.errors import SigningKeyUnavailable
from mesh.errors import ServiceError

FRESH_S = 300.0
_MOST = 10_000


class SigningKeys:
    """Implements `use_cases.Signers`. `clock` is monotonic, in seconds."""

    def __init__(self, channel: grpc.aio.Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._stub: Any = SenderServiceStub(channel)
        self._clock = clock
        self._known: dict[tuple[str, str, str], tuple[float, Signer]] = {}
        self._asking: dict[tuple[str, str, str], asyncio.Task[Signer]] = {}

    async def of(self, project: str, domain: str, selector: str) -> Signer:
        """What signs for the domain. Raises SigningKeyUnavailable: unsigned, the mail would look forged."""
        key = (project, domain, selector)
        read_at, signer = self._known.get(key, (float("-inf"), None))
        if signer is not None and self._clock() - read_at <= FRESH_S:
            return signer
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key))
            asking.add_done_callback(lambda task: self._asking.pop(key, None))
        try:
            return await asyncio.shield(asking)
        except (ServiceError, ValueError) as error:
            if signer is not None:  # a key does not change under its selector
                return signer
            raise SigningKeyUnavailable("SIGNING_KEY_UNAVAILABLE", f"the DKIM key of {domain} can't be had") from error

    async def _ask(self, key: tuple[str, str, str]) -> Signer:
        project, domain, _ = key
        answer = await self._stub.GetSigningKey(GetSigningKeyRequest(project=project, domain=domain))
        signer = Signer.from_der(domain, answer.selector, answer.private_key)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = (self._clock(), signer)
        return signer
