"""What ended unsent counts for no limit of a category any more: asked of user_svc over real gRPC, also where that is away for a while."""

from datetime import UTC, datetime
from typing import Any

from clarion.user.v1 import recipient_service_pb2
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceServicer
from gateway.notifications.models import Channel, Unsent
from gateway.settling.limit_counts import Budgets, LimitCounts
from mesh.errors import Unavailable
from mesh.ids import new_uuid
from mesh.resilience.breaker import Breaker
from mesh.rpc.channel import open_channel
from mesh.rpc.identity import ServiceIdentity
from mesh.rpc.interceptors import client_chain
from mesh.testing import SECRET, serving_port
from tests.gateway.fakes import Budget
from tests.gateway.test_clients import SETTINGS
from tests.waiting import until

NOW = datetime(2026, 11, 23, tzinfo=UTC)
RECIPIENT = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]


class Counts(RecipientServiceServicer):
    """What user_svc is asked; the first time it is away."""

    def __init__(self) -> None:
        self.asked = 0
        self.pairs: list[tuple[str, str]] = []

    async def BatchUncountNotifications(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("down for now")
        self.pairs += zip(request.user_ids, request.notification_ids, strict=True)
        return recipient_service_pb2.BatchUncountNotificationsResponse()


async def test_each_is_taken_back_once_user_svc_is_there() -> None:
    """And so is what it took of the recipient's rate limit; where nothing ended unsent no one is asked."""
    service, budget = Counts(), Budget()  # type: ignore[abstract]  # no other method is called here
    chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test", failures=100))
    unsent = [Unsent(new_uuid(), new_uuid(), Channel.EMAIL, NOW) for _ in range(250)]
    async with (
        serving_port((RECIPIENT, service)) as port,
        open_channel(f"dns:///127.0.0.1:{port}", settings=SETTINGS, chain=chain, services=[]) as channel,
    ):
        counts = LimitCounts(channel, retry_s=0.01)
        both = Budgets(budget, counts)
        counts.start()
        both.give_back([])
        both.give_back(unsent)
        await until(lambda: len(service.pairs) == len(unsent))
        await counts.close()
    assert service.pairs == [(str(one.user_id), str(one.id)) for one in unsent]
    assert (service.asked, budget.unsent) == (4, unsent)
