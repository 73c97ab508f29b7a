"""clarion.notification.v1.DeadLetterService: messages in, one use case, messages out."""

from clarion.notification.v1 import dead_letter_service_pb2 as rpc
from clarion.notification.v1.dead_letter_service_pb2_grpc import DeadLetterServiceServicer
from gateway.accepting.use_cases import choose_key
from gateway.dead_letters.bulk_convert import job_message, order_of
from gateway.dead_letters.bulk_models import BulkOperation
from gateway.dead_letters.bulk_use_cases import BulkOperations
from gateway.dead_letters.convert import dead_letter_message, list_filters_of, view_of
from gateway.dead_letters.use_cases import DeadLetters, Requeue
from gateway.servicer import IDEMPOTENCY_KEY
from mesh.context import current


class DeadLetterServicer(DeadLetterServiceServicer):
    """Serves dead letters. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, dead_letters: DeadLetters, jobs: BulkOperations) -> None:
        self._dead_letters = dead_letters
        self._jobs = jobs

    async def ListDeadLetters(self, request: rpc.ListDeadLettersRequest, context: object) -> rpc.ListDeadLettersResponse:
        filters = list_filters_of(current().caller.project, request)
        page = await self._dead_letters.list_dead_letters(filters, request.page_size, request.page_token)
        return rpc.ListDeadLettersResponse(dead_letters=map(dead_letter_message, page.items), next_page_token=page.next_token)

    async def GetDeadLetter(self, request: rpc.GetDeadLetterRequest, context: object) -> rpc.GetDeadLetterResponse:
        found = await self._dead_letters.get(current().caller, request.notification_id, view_of(request.view))
        return rpc.GetDeadLetterResponse(dead_letter=dead_letter_message(found))

    async def RequeueDeadLetter(self, request: rpc.RequeueDeadLetterRequest, context: object) -> rpc.RequeueDeadLetterResponse:
        variables = request.variables if request.variables.fields else None
        wanted = Requeue(request.note, request.user_id, request.email, _key_of(request.request_id), variables)
        decided = await self._dead_letters.requeue(current().caller, request.notification_id, wanted)
        return rpc.RequeueDeadLetterResponse(dead_letter=dead_letter_message(decided))

    async def DiscardDeadLetter(self, request: rpc.DiscardDeadLetterRequest, context: object) -> rpc.DiscardDeadLetterResponse:
        decided = await self._dead_letters.discard(current().caller, request.notification_id, request.note)
        return rpc.DiscardDeadLetterResponse(dead_letter=dead_letter_message(decided))

    async def AnnotateDeadLetter(self, request: rpc.AnnotateDeadLetterRequest, context: object) -> rpc.AnnotateDeadLetterResponse:
        noted = await self._dead_letters.annotate(current().caller, request.notification_id, request.note)
        return rpc.AnnotateDeadLetterResponse(dead_letter=dead_letter_message(noted))

    async def RequeueDeadLetters(self, request: rpc.RequeueDeadLettersRequest, context: object) -> rpc.RequeueDeadLettersResponse:
        return rpc.RequeueDeadLettersResponse(job=job_message(await self._order(request)))

    async def DiscardDeadLetters(self, request: rpc.DiscardDeadLettersRequest, context: object) -> rpc.DiscardDeadLettersResponse:
        return rpc.DiscardDeadLettersResponse(job=job_message(await self._order(request)))

    async def GetDeadLetterJob(self, request: rpc.GetDeadLetterJobRequest, context: object) -> rpc.GetDeadLetterJobResponse:
        return rpc.GetDeadLetterJobResponse(job=job_message(await self._jobs.get(current().caller, request.id)))

    async def ListDeadLetterJobs(self, request: rpc.ListDeadLetterJobsRequest, context: object) -> rpc.ListDeadLetterJobsResponse:
        page = await self._jobs.list_jobs(current().caller, request.page_size, request.page_token)
        return rpc.ListDeadLetterJobsResponse(jobs=map(job_message, page.items), next_page_token=page.next_token)

    async def CancelDeadLetterJob(self, request: rpc.CancelDeadLetterJobRequest, context: object) -> rpc.CancelDeadLetterJobResponse:
        return rpc.CancelDeadLetterJobResponse(job=job_message(await self._jobs.cancel(current().caller, request.id)))

    async def _order(self, request: rpc.RequeueDeadLettersRequest | rpc.DiscardDeadLettersRequest) -> BulkOperation:
        caller = current().caller
        return await self._jobs.order(caller, order_of(caller.project, request, _key_of(request.request_id)))


def _key_of(request_id: str) -> str:
    return choose_key(current().metadata.get(IDEMPOTENCY_KEY, ""), request_id)
