"""The files of mails, asked of template_svc and kept in memory while many mails carry the same."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio

from clarion.delivery.v1.delivery_pb2 import MailAttachment
from clarion.template.v1.attachment_service_pb2 import GetAttachmentContentRequest
from clarion.template.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from email_worker.errors import AttachmentMissing, AttachmentUnavailable
from email_worker.models import MailFile
from email_worker.parts import encoded
from mesh.errors import Code, ServiceError
from mesh.resilience.lru_cache import LruCache
from mesh.resilience.single_flight import SingleFlight

_MOST_BYTES = 64 * 1024 * 1024
_Key = tuple[str, str]


class Files:
    """Implements `consumer.MailFiles`. Keeps what was used last, `most` bytes of it."""

    def __init__(self, channel: grpc.aio.Channel, *, most: int = _MOST_BYTES) -> None:
        self._stub: Any = AttachmentServiceStub(channel)
        self._bodies: LruCache[_Key, bytes] = LruCache(most, min_weight=1)
        self._ask = SingleFlight(self._fetch)

    async def of(self, project: str, attachments: Sequence[MailAttachment]) -> tuple[MailFile, ...]:
        """Each file with its content. Raises AttachmentUnavailable, AttachmentMissing."""
        bodies = await asyncio.gather(*(self._body((project, each.attachment_id)) for each in attachments))
        return tuple(
            MailFile(each.filename, each.content_type, body, each.content_id) for each, body in zip(attachments, bodies, strict=True)
        )

    async def _body(self, key: _Key) -> bytes:
        known = self._bodies.find(key)
        if known is not None:
            return known
        try:
            return await self._ask(key)
        except ServiceError as error:
            if error.code is Code.NOT_FOUND:
                raise AttachmentMissing("ATTACHMENT_MISSING", "a file of this mail is not kept any more") from error
            raise AttachmentUnavailable("ATTACHMENT_UNAVAILABLE", "a file of this mail can't be had for now") from error

    async def _fetch(self, key: _Key) -> bytes:
        project, identifier = key
        answer = await self._stub.GetAttachmentContent(GetAttachmentContentRequest(project=project, id=identifier))
        body = encoded(answer.content)
        self._bodies.put(key, body, len(body))
        return body
