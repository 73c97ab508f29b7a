"""clarion.notification.v1.DeadLetterService: messages in, one use case, messages out."""

from typing import Any

from clarion.notification.v1 import dead_letter_service_pb2 as rpc
from clarion.notification.v1.dead_letter_service_pb2_grpc import DeadLetterServiceServicer
from gateway.dead_letters.convert import dead_letter_message, filters_of
from gateway.dead_letters.use_cases import DeadLetters
from mesh.context import current


class DeadLetterServicer(DeadLetterServiceServicer):
    """Serves dead letters. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters

    async def ListDeadLetters(self, request: rpc.ListDeadLettersRequest, context: Any) -> rpc.ListDeadLettersResponse:
        page = await self._dead_letters.list_dead_letters(filters_of(request), request.page_size, request.page_token)
        return rpc.ListDeadLettersResponse(dead_letters=map(dead_letter_message, page.items), next_page_token=page.next_token)

    async def GetDeadLetter(self, request: rpc.GetDeadLetterRequest, context: Any) -> rpc.GetDeadLetterResponse:
        found = await self._dead_letters.get(request.notification_id)
        return rpc.GetDeadLetterResponse(dead_letter=dead_letter_message(found))

    async def RequeueDeadLetter(self, request: rpc.RequeueDeadLetterRequest, context: Any) -> rpc.RequeueDeadLetterResponse:
        decided = await self._dead_letters.requeue(current().caller, request.notification_id, request.note)
        return rpc.RequeueDeadLetterResponse(dead_letter=dead_letter_message(decided))

    async def DiscardDeadLetter(self, request: rpc.DiscardDeadLetterRequest, context: Any) -> rpc.DiscardDeadLetterResponse:
        decided = await self._dead_letters.discard(current().caller, request.notification_id, request.note)
        return rpc.DiscardDeadLetterResponse(dead_letter=dead_letter_message(decided))
