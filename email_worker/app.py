"""The composition root: opens what email_worker needs and wires it together. The only place where adapters are constructed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from email_worker.consumer import EmailConsumer
from email_worker.message import Composer
from email_worker.provider import open_provider
from email_worker.settings import Settings
from email_worker.use_cases import SendMail
from mesh.broker import Broker
from mesh.runtime import App
from mesh.worker import Channel, open_peers, open_worker

NAME = "email_worker"


@asynccontextmanager
async def open_app(settings: Settings, *, broker: Broker | None = None) -> AsyncIterator[App]:
    """Delivers until the end of the block. `broker` replaces the one that the settings name."""
    composer = Composer(settings.smtp.sender, domain=settings.smtp.message_id_domain)
    async with (
        open_peers(NAME, settings) as peers,
        open_provider(settings.smtp, sender=composer.sender) as provider,
    ):
        sender = EmailConsumer(SendMail(composer=composer, provider=provider))
        channel = Channel("email", provider="smtp", sender=sender, capacity=settings.smtp.pool_size)
        async with open_worker(NAME, settings, channel=channel, peers=peers, broker=broker) as app:
            yield app
