"""clarion.notification.v1.ActivityService: messages in, one use case, messages out."""

from clarion.notification.v1 import activity_service_pb2 as rpc
from clarion.notification.v1.activity_service_pb2_grpc import ActivityServiceServicer
from gateway.activity.convert import activity_message, filters_of, problem_message, queue_message, step_of, worker_message
from gateway.activity.queues import QueueDesk
from gateway.activity.use_cases import ActivityDesk
from mesh.context import current
from mesh.rpc.timestamps import from_timestamp


class ActivityServicer(ActivityServiceServicer):
    """Serves counts. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, desk: ActivityDesk, queues: QueueDesk) -> None:
        self._desk = desk
        self._queues = queues

    async def GetActivity(self, request: rpc.GetActivityRequest, context: object) -> rpc.GetActivityResponse:
        start = from_timestamp("start_time", request.start_time) if request.HasField("start_time") else None
        end = from_timestamp("end_time", request.end_time) if request.HasField("end_time") else None
        activity = await self._desk.activity(filters_of(current().caller.project, request), start, end, step_of(request))
        return activity_message(activity)

    async def ListProblems(self, request: rpc.ListProblemsRequest, context: object) -> rpc.ListProblemsResponse:
        return rpc.ListProblemsResponse(problems=map(problem_message, await self._desk.problems(current().caller.project)))

    async def ListQueues(self, request: rpc.ListQueuesRequest, context: object) -> rpc.ListQueuesResponse:
        queues, workers = await self._queues.queues(), await self._queues.workers()
        return rpc.ListQueuesResponse(queues=map(queue_message, queues), workers=map(worker_message, workers))
