"""What both workers are made of beside their channel: bus, ledger, peers, pipeline and health, opened in order and closed in reverse."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from redis.asyncio import Redis

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import PRIORITY_HIGH
from clarion.template.v1 import attachment_service_pb2, render_service_pb2, sender_service_pb2
from clarion.user.v1 import recipient_service_pb2
from delivery.captures import Captures
from delivery.clients import RecipientClient, RenderClient
from delivery.consumer import DeliveryConsumer
from delivery.disposition import Disposition, Settled
from delivery.isolation import Isolation
from delivery.lanes import RETRY_DELAYS_S, build_topology
from delivery.ledger import Ledger
from delivery.models import ReadyDelivery, Sender
from delivery.pipeline import DeliveryPipeline
from delivery.provider_limit import ProviderLimit
from delivery.routing import Route, Routing
from delivery.sandbox import NAME as SANDBOX
from delivery.sandbox import SandboxSender
from delivery.settings import LedgerSettings
from mesh.bus.broker import Broker
from mesh.bus.rabbitmq import open_broker
from mesh.bus.settings import BrokerSettings
from mesh.process import telemetry
from mesh.process.health import Check, HealthMonitor
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import App
from mesh.process.settings import CommonSettings, Env
from mesh.resilience.breaker_store import BreakerStore
from mesh.resilience.shared_breaker import SharedBreakers
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import ServiceIdentity
from mesh.rpc.peer import open_peer
from mesh.rpc.server import serve_grpc
from mesh.rpc.service_keys import ServiceKeys
from mesh.rpc.settings import GrpcSettings
from mesh.stores.cache import open_cache, server_time_s
from mesh.stores.clock import SharedClock
from mesh.stores.settings import CacheSettings
from peers.settings import PeerSettings

log = logging.getLogger(__name__)

RECIPIENT_SERVICE = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]
RENDER_SERVICE = render_service_pb2.DESCRIPTOR.services_by_name["RenderService"]
ATTACHMENT_SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"]
SENDER_SERVICE = sender_service_pb2.DESCRIPTOR.services_by_name["SenderService"]
# The urgent lane's part of the provider's connections, so that a one-time code never waits behind a campaign.
_URGENT_SHARE = 4
_SANDBOX_CAPACITY = 100

_meter = telemetry.meter()
_ATTEMPTS = _meter.create_histogram("clarion.delivery.attempt.duration", "s", "Time from a job's hand-over to the provider's answer.")
_UNPROTECTED = _meter.create_counter("clarion.ledger.unprotected", "1", "Ledger operations that were lost because Redis was down.")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How much a worker has in hand, and when its providers' breakers open."""

    prefetch: int = 4
    urgent_prefetch: int = 8
    breaker_failures: int = 5
    breaker_open_s: float = 60.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """`prefetch` counts envelopes of up to 50 deliveries; in the urgent lane each holds one."""
        return cls(
            prefetch=env.integer("CLARION_PREFETCH", 4, minimum=1, maximum=1000),
            urgent_prefetch=env.integer("CLARION_URGENT_PREFETCH", 8, minimum=1, maximum=1000),
            breaker_failures=env.integer("CLARION_BREAKER_FAILURES", 5, minimum=1),
            breaker_open_s=env.number("CLARION_BREAKER_OPEN_S", 60.0, minimum=0.1),
        )


class ProcessSettings(Protocol):
    """The pieces that the settings of every worker have."""

    @property
    def common(self) -> CommonSettings: ...
    @property
    def grpc(self) -> GrpcSettings: ...
    @property
    def broker(self) -> BrokerSettings: ...
    @property
    def cache(self) -> CacheSettings: ...
    @property
    def ledger(self) -> LedgerSettings: ...
    @property
    def peers(self) -> PeerSettings: ...
    @property
    def worker(self) -> WorkerSettings: ...


@dataclass(frozen=True, slots=True)
class Peers:
    """The services that a worker calls, and the checks whether they are there."""

    recipients: RecipientClient
    renderer: RenderClient
    templates: grpc.aio.Channel
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """Someone who carries a channel's messages: `capacity` jobs at a time, `weight` beside the others, `rate_per_s` at most (0: any)."""

    name: str
    sender: Sender
    capacity: int
    weight: float = 1.0
    rate_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach people. `name` is the topology's word for it; `tokens_of` is what a job costs of a provider's rate.

    A provider that comes back gets its full weight again after `ramp_s`. `retries_s` are the steps of the retry ladder.
    """

    name: str
    providers: Sequence[Provider]
    tokens_of: Callable[[ReadyDelivery], int] = lambda job: 1
    ramp_s: float = 60.0
    retries_s: Sequence[float] = RETRY_DELAYS_S


@asynccontextmanager
async def open_peers(name: str, settings: ProcessSettings) -> AsyncIterator[Peers]:
    """Channels to user_svc and template_svc. They connect on first use."""
    identity = ServiceIdentity(name, ServiceKeys.from_settings(name, settings.common))
    peers = settings.peers
    async with AsyncExitStack() as stack:

        async def connect(peer: str, target: str, *services: ServiceDescriptor) -> grpc.aio.Channel:
            return await stack.enter_async_context(open_peer(peer, target, identity=identity, settings=peers, services=services))

        users = await connect("user_svc", peers.user_svc, RECIPIENT_SERVICE)
        templates = await connect("template_svc", peers.template_svc, RENDER_SERVICE, SENDER_SERVICE, ATTACHMENT_SERVICE)
        recipients, renderer = RecipientClient(users), RenderClient(templates)
        # reported only: while they are down deliveries are deferred, which is no reason to send the worker's traffic elsewhere
        checks = (
            Check("user_svc", users.channel_ready, required=False),
            Check("template_svc", templates.channel_ready, required=False),
        )
        yield Peers(recipients, renderer, templates, checks)
        await recipients.close()
        await renderer.close()


@asynccontextmanager
async def open_worker(
    name: str, settings: ProcessSettings, *, channel: Channel, peers: Peers, broker: Broker | None = None
) -> AsyncIterator[App]:
    """Consumes the channel's queues and serves health until the end of the block. `broker` replaces the one of the settings."""
    fatal = asyncio.Event()
    async with AsyncExitStack() as stack:
        bus = (
            broker
            if broker is not None
            else await stack.enter_async_context(open_broker(settings.broker, build_topology(delay_scale=settings.broker.delay_scale)))
        )
        redis = await stack.enter_async_context(open_cache(settings.cache))
        clock = SharedClock(lambda: server_time_s(redis))
        stack.push_async_callback(clock.close)
        clock.start()
        ledger = Ledger(redis, ttl_s=settings.ledger.ttl_s, on_unprotected=_UNPROTECTED.add)
        stack.push_async_callback(ledger.close)
        routes = await _open_routes(stack, channel, redis, settings.worker)
        sandbox = _sandbox_route(redis, now_s=clock.now_s)
        handler = _Lanes(channel, peers, ledger, routes, sandbox, now_s=clock.now_s)
        consumer = DeliveryConsumer(
            bus,
            channel.name,
            handler,
            prefetch=settings.worker.prefetch,
            urgent_prefetch=settings.worker.urgent_prefetch,
            retries_s=channel.retries_s,
            delay_scale=settings.broker.delay_scale,
            clock=clock.now,
        )

        isolation = Isolation([route.breaker for route in routes], consumer, grace_s=settings.common.grace_s)

        async def alive() -> None:
            if not consumer.liveness():
                log.error("the consumer has died: this process ends so that another takes over")
                fatal.set()
            if not consumer.ready and not isolation.isolated:
                raise ConsumerNotReady

        async def reaches_provider() -> None:
            if isolation.isolated:
                raise ProviderOutOfReach

        checks = (
            Check("broker", bus.ping),
            Check("consumer", alive),
            Check("provider", reaches_provider),
            Check("redis", redis.ping, required=False),
            *peers.checks,
        )
        health = HealthMonitor(checks, alive=consumer.liveness)
        await consumer.start()
        stack.push_async_callback(consumer.stop, timeout_s=settings.common.grace_s)
        isolation.start()
        stack.push_async_callback(isolation.close)
        await health.start()
        stack.push_async_callback(health.close)
        budget, grace_s = MemoryBudget.of(settings.common), settings.common.grace_s
        door = serve_grpc(Dispatcher(()), settings.grpc, health, budget=budget, grace_s=grace_s)
        yield App(name, health, {"grpc": await stack.enter_async_context(door)}, settings.grpc.connections, fatal)


async def _open_routes(stack: AsyncExitStack, channel: Channel, redis: Redis, settings: WorkerSettings) -> list[Route]:
    """The channel's providers, with breakers and limits that all replicas share."""
    breakers = SharedBreakers(BreakerStore(redis), failures=settings.breaker_failures, open_s=settings.breaker_open_s)
    stack.push_async_callback(breakers.close)
    routes: list[Route] = []
    for provider in channel.providers:
        limit = None
        if provider.rate_per_s > 0:
            limit = ProviderLimit(provider.name, provider.rate_per_s, redis)
            stack.push_async_callback(limit.close)
        routes.append(
            Route(
                provider.name, provider.sender, breakers.breaker(provider.name), provider.capacity,
                weight=provider.weight, limit=limit, ramp_s=channel.ramp_s,
            )
        )  # fmt: skip
    await breakers.start()
    return routes


def _sandbox_route(redis: Redis, *, now_s: Callable[[], float]) -> Route:
    """With a breaker that never opens: what one test asks for must not hold up another."""
    breaker = SharedBreakers(failures=sys.maxsize).breaker(SANDBOX)
    return Route(SANDBOX, SandboxSender(Captures(redis), now_s=now_s), breaker, _SANDBOX_CAPACITY)


class ProviderOutOfReach(Exception):
    """This worker can't reach its provider, and others can."""


class ConsumerNotReady(Exception):
    """Not every lane is being consumed."""


class _Lanes:
    """The handler of both lanes: two pipelines that share everything but their part of each provider's capacity.

    Deliveries of test keys go to a third one, which knows no provider but the sandbox.
    """

    def __init__(
        self, channel: Channel, peers: Peers, ledger: Ledger, routes: Sequence[Route], sandbox: Route, *, now_s: Callable[[], float]
    ) -> None:
        def observe(provider: str, result: str, seconds: float, sent: bool) -> None:
            _ATTEMPTS.record(seconds, {"channel": channel.name, "provider": provider, "result": result, "sent": sent})

        def pipeline(routing: Routing) -> DeliveryPipeline:
            return DeliveryPipeline(
                recipients=peers.recipients, renderer=peers.renderer, routing=routing, ledger=ledger,
                tokens_of=channel.tokens_of, observe=observe, now_s=now_s, attempts=1 + len(channel.retries_s),
            )  # fmt: skip

        self._urgent = pipeline(Routing(routes, part=_urgent_part))
        self._normal = pipeline(Routing(routes, part=lambda capacity: max(1, capacity - _urgent_part(capacity))))
        self._sandbox = pipeline(Routing([sandbox]))

    async def __call__(self, deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        """An envelope holds deliveries of one lane."""
        lane = self._urgent if deliveries[0].priority == PRIORITY_HIGH else self._normal
        tests = [index for index, delivery in enumerate(deliveries) if delivery.test]
        if not tests:
            return await lane.handle(deliveries, settled)
        made: dict[int, Disposition] = {}

        async def handle(pipeline: DeliveryPipeline, indexes: Sequence[int]) -> None:
            async def report(early: Mapping[int, Disposition]) -> None:
                await settled({indexes[place]: disposition for place, disposition in early.items()})

            made.update(zip(indexes, await pipeline.handle([deliveries[index] for index in indexes], report), strict=True))

        await handle(self._sandbox, tests)
        others = [index for index in range(len(deliveries)) if index not in made]
        if others:
            await handle(lane, others)
        return [made[index] for index in range(len(deliveries))]


def _urgent_part(capacity: int) -> int:
    return max(1, capacity // _URGENT_SHARE)
