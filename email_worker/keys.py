"""The DKIM keys of projects' domains, asked of template_svc once in a while and kept in memory."""

import time
from collections.abc import Callable
from typing import Any

import grpc.aio

from clarion.template.v1.sender_service_pb2 import GetSigningKeyRequest
from clarion.template.v1.sender_service_pb2_grpc import SenderServiceStub
from email_worker.dkim import Signer
from email_worker.errors import SigningKeyUnavailable
from mesh.errors import ServiceError
from mesh.resilience.lru_cache import LruCache
from mesh.resilience.single_flight import SingleFlight

FRESH_S = 300.0
_MOST = 10_000
# Project, domain, selector.
_Key = tuple[str, str, str]


class SigningKeys:
    """Implements `use_cases.Signers`. `clock` is monotonic, in seconds."""

    def __init__(self, channel: grpc.aio.Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._stub: Any = SenderServiceStub(channel)
        self._clock = clock
        self._known: LruCache[_Key, tuple[float, Signer]] = LruCache(_MOST, min_weight=1)
        self._ask = SingleFlight(self._fetch)

    async def of(self, project: str, domain: str, selector: str) -> Signer:
        """What signs for the domain. Raises SigningKeyUnavailable: unsigned, the mail would look forged."""
        key = (project, domain, selector)
        read_at, signer = self._known.find(key) or (float("-inf"), None)
        if signer is not None and self._clock() - read_at <= FRESH_S:
            return signer
        try:
            return await self._ask(key)
        except (ServiceError, ValueError) as error:
            if signer is not None:  # a key does not change under its selector
                return signer
            raise SigningKeyUnavailable("SIGNING_KEY_UNAVAILABLE", f"the DKIM key of {domain} can't be had") from error

    async def _fetch(self, key: _Key) -> Signer:
        project, domain, _ = key
        answer = await self._stub.GetSigningKey(GetSigningKeyRequest(project=project, domain=domain))
        signer = Signer.from_der(domain, answer.selector, answer.private_key)
        self._known.put(key, (self._clock(), signer), 1)
        return signer
