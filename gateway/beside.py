"""What is served beside the API: the console, the pages behind the links of mails, and the addresses that providers post to."""

from contextlib import AsyncExitStack

import grpc.aio

from delivery.clients import RecipientClient
from gateway.console.pages import CONSOLE, ConsolePages, read_built
from gateway.facts import mailgun, sendgrid, ses
from gateway.facts.door import PROVIDER_EVENTS, ProviderEvents
from gateway.facts.events import EventSource
from gateway.facts.listener import open_listener
from gateway.facts.sns import SnsMessages
from gateway.facts.use_cases import Facts, FactStore
from gateway.front import Handler
from gateway.html_page import PREFERENCES
from gateway.preference_page.client import PreferencePageClient
from gateway.preference_page.page import PreferencePage
from gateway.settings import Settings
from gateway.unsubscribe.client import UnsubscribeClient
from gateway.unsubscribe.page import UNSUBSCRIBE, UnsubscribePage
from gateway.webhooks.egress import open_egress
from transcoding.cors import App as Edge


async def open_handlers(
    stack: AsyncExitStack, settings: Settings, api: Edge, *, store: FactStore, users: grpc.aio.Channel
) -> dict[str, Handler]:
    """What is served beside the API, by prefix."""
    events = ProviderEvents(api.refusal, *await _open_provider_events(stack, settings, store, users))
    console = ConsolePages(read_built())
    return {
        CONSOLE: console,
        CONSOLE.rstrip("/"): console,
        UNSUBSCRIBE: UnsubscribePage(UnsubscribeClient(users)),
        PREFERENCES: PreferencePage(PreferencePageClient(users)),
        PROVIDER_EVENTS: events,
    }


async def _open_provider_events(
    stack: AsyncExitStack, settings: Settings, store: FactStore, users: grpc.aio.Channel
) -> tuple[dict[str, EventSource], Facts]:
    """Where providers post, and mail servers send, what became of mails. The only addresses that are connected to are Amazon's."""
    wanted = settings.facts
    recipients = RecipientClient(users)
    stack.push_async_callback(recipients.close)
    sources: dict[str, EventSource] = {}
    if wanted.sendgrid_key:
        sources[sendgrid.NAME] = sendgrid.SendGrid(wanted.sendgrid_key)
    if wanted.mailgun_key:
        sources[mailgun.NAME] = mailgun.Mailgun(wanted.mailgun_key)
    if wanted.ses_topics:
        egress = await stack.enter_async_context(open_egress(settings.egress))
        sources[ses.NAME] = ses.Ses(SnsMessages(wanted.ses_topics, egress.get))
    facts = Facts(store, recipients, opens=wanted.opens)
    if settings.bounces.domain:
        await stack.enter_async_context(open_listener(settings.bounces, facts))
    return sources, facts
