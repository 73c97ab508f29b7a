"""The composition root: opens what push_worker needs and wires it together. The only place where adapters are constructed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.broker import Broker
from mesh.runtime import App
from mesh.worker import Channel, open_peers, open_worker
from push_worker.consumer import PushConsumer
from push_worker.provider import open_provider
from push_worker.settings import Settings
from push_worker.use_cases import SendPush

NAME = "push_worker"


@asynccontextmanager
async def open_app(settings: Settings, *, broker: Broker | None = None) -> AsyncIterator[App]:
    """Delivers until the end of the block. `broker` replaces the one that the settings name."""
    async with open_peers(NAME, settings) as peers, open_provider(settings.fcm) as provider:
        sender = PushConsumer(SendPush(provider=provider, devices=peers.recipients))
        channel = Channel("push", provider="fcm", sender=sender, capacity=settings.fcm.concurrency)
        async with open_worker(NAME, settings, channel=channel, peers=peers, broker=broker) as app:
            yield app
