"""The composition root: opens what push_worker needs and wires it together. The only place where adapters are constructed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from delivery.worker import Channel, Provider, open_peers, open_worker
from mesh.bus.broker import Broker
from mesh.process.runtime import App
from push_worker.consumer import PushConsumer, messages_of
from push_worker.provider import open_provider
from push_worker.pruning import PruningGuard
from push_worker.settings import Settings
from push_worker.use_cases import SendPush

NAME = "push_worker"


@asynccontextmanager
async def open_app(settings: Settings, *, broker: Broker | None = None) -> AsyncIterator[App]:
    """Delivers until the end of the block. `broker` replaces the one that the settings name."""
    async with open_peers(NAME, settings) as peers, open_provider(settings.fcm) as fcm:
        sender = PushConsumer(SendPush(provider=fcm, devices=peers.recipients, pruning=PruningGuard(share=settings.fcm.prune_share)))
        provider = Provider("fcm", sender, settings.fcm.concurrency, rate_per_s=settings.fcm.rate_per_s)
        channel = Channel("push", [provider], tokens_of=messages_of, retries_s=settings.fcm.retries_s)
        async with open_worker(NAME, settings, channel=channel, peers=peers, broker=broker) as app:
            yield app
