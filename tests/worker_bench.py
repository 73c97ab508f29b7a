"""A whole worker under test: real gRPC to fake services, a real Valkey, the in-process broker with shortened delays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryRequested, DeliveryResolved, Outcome
from clarion.template.v1 import render_service_pb2
from clarion.template.v1.render_service_pb2 import BatchRenderRequest, BatchRenderResponse, RenderResult
from clarion.user.v1 import recipient_service_pb2
from clarion.user.v1.recipient_service_pb2 import (
    BatchRemoveDevicesRequest,
    BatchRemoveDevicesResponse,
    BatchResolveRecipientsRequest,
    BatchResolveRecipientsResponse,
    SuppressAddressRequest,
    SuppressAddressResponse,
)
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceServicer
from delivery.lanes import FAILED_QUEUE, OUTCOME_QUEUE, build_topology
from devstack.broker import MemoryBroker
from mesh.bus.broker import Message
from mesh.errors import ServiceError
from mesh.rpc.calls import ServerInterceptor
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.status import to_status
from mesh.testing import SECRET, FakeCredentials, serving_port
from tests.delivery.fakes import FakeRecipients, FakeRenderer

# 2, 4 and 8 s become 20, 40 and 80 ms
DELAY_SCALE = 0.01


class RecipientServicer(RecipientServiceServicer):
    """user_svc as far as workers see it."""

    def __init__(self, people: FakeRecipients) -> None:
        self._people = people

    async def BatchResolveRecipients(self, request: BatchResolveRecipientsRequest, context: object) -> BatchResolveRecipientsResponse:  # noqa: N802  named by the schema
        if self._people.error is not None:
            raise self._people.error
        answers = await self._people.resolve(request.queries)
        return BatchResolveRecipientsResponse(recipients=[answer for answer in answers if not isinstance(answer, ServiceError)])

    async def BatchRemoveDevices(self, request: BatchRemoveDevicesRequest, context: object) -> BatchRemoveDevicesResponse:  # noqa: N802  named by the schema
        await self._people.remove_devices(request.device_ids, request.reason)
        return BatchRemoveDevicesResponse()

    async def SuppressAddress(self, request: SuppressAddressRequest, context: object) -> SuppressAddressResponse:  # noqa: N802  the RPC's name
        await self._people.suppress(request.address, request.evidence)
        return SuppressAddressResponse()


class RenderServicer:
    """template_svc as far as workers see it."""

    def __init__(self, renderer: FakeRenderer) -> None:
        self._renderer = renderer

    async def BatchRender(self, request: BatchRenderRequest, context: object) -> BatchRenderResponse:  # noqa: N802  the RPC's name
        answers = await self._renderer.render(request.items)
        return BatchRenderResponse(
            results=[
                RenderResult(error=to_status(answer)) if isinstance(answer, ServiceError) else RenderResult(rendered=answer)
                for answer in answers
            ]
        )

    async def BatchDescribeTemplates(self, request: object, context: object) -> object:  # noqa: N802  the RPC's name
        raise NotImplementedError


class WorkerBench:
    """The bus on one side, the services on the other. `environ` is what the worker needs beside its provider."""

    def __init__(self, broker: MemoryBroker, people: FakeRecipients, renderer: FakeRenderer, environ: dict[str, str]) -> None:
        self.broker = broker
        self.people = people
        self.renderer = renderer
        self.environ = environ
        self.outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self.dead: asyncio.Queue[DeliveryFailed] = asyncio.Queue()

    async def listen(self) -> None:
        """Collects what the worker publishes."""

        async def resolved(message: Message) -> None:
            for outcome in DeliveryResolved.FromString(message.body).outcomes:
                self.outcomes.put_nowait(outcome)
            await message.ack()

        async def failed(message: Message) -> None:
            self.dead.put_nowait(DeliveryFailed.FromString(message.body))
            await message.ack()

        await self.broker.consume(OUTCOME_QUEUE, resolved, prefetch=10)
        await self.broker.consume(FAILED_QUEUE, failed, prefetch=10)

    async def request(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        """Puts one envelope on the bus."""
        await self.broker.publish(queue, DeliveryRequested(deliveries=deliveries).SerializeToString())

    async def next_outcomes(self, count: int) -> list[Outcome]:
        """The next outcomes, as they come."""
        return [await self.outcomes.get() for _ in range(count)]


def _chain(service: str) -> Sequence[ServerInterceptor]:
    """A worker's token is good at the service that it was made for only."""
    return server_chain(Authenticator(FakeCredentials(), ServiceIdentity(service, SECRET)))


@asynccontextmanager
async def open_bench(redis_url: str) -> AsyncIterator[WorkerBench]:
    """Everything around a worker but its provider."""
    people, renderer = FakeRecipients(), FakeRenderer()
    recipients = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"], RecipientServicer(people)  # type: ignore[abstract]  # workers call no other method
    rendering = render_service_pb2.DESCRIPTOR.services_by_name["RenderService"], RenderServicer(renderer)
    broker = MemoryBroker(build_topology(delay_scale=DELAY_SCALE))
    try:
        async with (
            serving_port(recipients, chain=_chain("user_svc")) as users_port,
            serving_port(rendering, chain=_chain("template_svc")) as templates_port,
        ):
            environ = {
                "CLARION_HOST": "127.0.0.1", "CLARION_GRPC_PORT": "0", "CLARION_METRICS_PORT": "0", "CLARION_SERVICE_SECRET": SECRET,
                "CLARION_AMQP_URL": "amqp://unused", "CLARION_REDIS_URL": redis_url, "CLARION_GRACE_S": "2",
                "CLARION_USER_SVC_TARGET": f"ipv4:127.0.0.1:{users_port}",
                "CLARION_TEMPLATE_SVC_TARGET": f"ipv4:127.0.0.1:{templates_port}",
            }  # fmt: skip
            bench = WorkerBench(broker, people, renderer, environ)
            await bench.listen()
            yield bench
    finally:
        await broker.close()
