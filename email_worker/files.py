"""The files of mails, asked of template_svc and kept in memory while many mails carry the same."""

import asyncio
from collections import OrderedDict
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

_MOST_BYTES = 64 * 1024 * 1024
_Key = tuple[str, str]


class Files:
    """Implements `consumer.MailFiles`. Keeps what was used last, `most` bytes of it."""

    def __init__(self, channel: grpc.aio.Channel, *, most: int = _MOST_BYTES) -> None:
        self._stub: Any = AttachmentServiceStub(channel)
        self._most = most
        self._held = 0
        self._bodies: OrderedDict[_Key, bytes] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[bytes]] = {}

    async def of(self, project: str, attachments: Sequence[MailAttachment]) -> tuple[MailFile, ...]:
        """Each file with its content. Raises AttachmentUnavailable, AttachmentMissing."""
        bodies = await asyncio.gather(*(self._body((project, each.attachment_id)) for each in attachments))
        return tuple(
            MailFile(each.filename, each.content_type, body, each.content_id) for each, body in zip(attachments, bodies, strict=True)
        )

    async def _body(self, key: _Key) -> bytes:
        if key in self._bodies:
            self._bodies.move_to_end(key)
            return self._bodies[key]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key))
            asking.add_done_callback(lambda task: self._asking.pop(key, None))
        try:
            return await asyncio.shield(asking)
        except ServiceError as error:
            if error.code is Code.NOT_FOUND:
                raise AttachmentMissing("ATTACHMENT_MISSING", "a file of this mail is not kept any more") from error
            raise AttachmentUnavailable("ATTACHMENT_UNAVAILABLE", "a file of this mail can't be had for now") from error

    async def _ask(self, key: _Key) -> bytes:
        project, identifier = key
        answer = await self._stub.GetAttachmentContent(GetAttachmentContentRequest(project=project, id=identifier))
        body = encoded(answer.content)
        self._bodies[key] = body
        self._held += len(body)
        while self._held > self._most and len(self._bodies) > 1:
            self._held -= len(self._bodies.popitem(last=False)[1])
        return body
