"""The composition root: opens what email_worker needs and wires it together. The only place where adapters are constructed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from delivery.worker import Channel, Provider, open_peers, open_worker
from email_worker.consumer import EmailConsumer
from email_worker.files import Files
from email_worker.keys import SigningKeys
from email_worker.message import Composer
from email_worker.provider import open_provider
from email_worker.room import Room
from email_worker.settings import Settings
from email_worker.use_cases import SendMail
from mesh.bus.broker import Broker
from mesh.process.runtime import App
from naming.bounce_address import BounceAddresses

NAME = "email_worker"


@asynccontextmanager
async def open_app(settings: Settings, *, broker: Broker | None = None) -> AsyncIterator[App]:
    """Delivers until the end of the block. `broker` replaces the one that the settings name."""
    mail = settings.mail
    bounces = BounceAddresses(mail.bounce_domain, mail.bounce_secret) if mail.bounce_domain else None
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(open_peers(NAME, settings))
        keys, files, room = SigningKeys(peers.templates), Files(peers.templates), Room()
        providers: list[Provider] = []
        for server in mail.servers:
            composer = Composer(mail.sender, domain=mail.message_id_domain, events=server.events, bounces=bounces)
            smtp = await stack.enter_async_context(open_provider(server, sender=composer.sender))
            signers, own = (keys, mail.own_key) if server.dkim else (None, None)
            send_mail = SendMail(composer=composer, provider=smtp, signers=signers, own=own)
            sender = EmailConsumer(send_mail, peers.recipients, files, room=room, unsubscribe_base=mail.unsubscribe_url)
            providers.append(Provider(server.name, sender, server.pool_size, weight=server.weight, rate_per_s=server.rate_per_s))
        channel = Channel("email", providers, ramp_s=mail.ramp_s, retries_s=mail.retries_s)
        yield await stack.enter_async_context(open_worker(NAME, settings, channel=channel, peers=peers, broker=broker))
