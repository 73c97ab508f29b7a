"""The composition root: opens what the gateway needs and wires it together. The only place where adapters are constructed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from delivery.cancellation import Cancellation
from delivery.captures import Captures
from delivery.clients import RecipientClient, RenderClient
from delivery.lanes import build_topology
from delivery.ledger_records import LedgerRecords
from gateway.accepting.admission import Admission
from gateway.accepting.attachment_client import AttachmentClient
from gateway.accepting.clients import TemplateClient, UserClient
from gateway.accepting.convert import delivery_bytes
from gateway.accepting.evaluation import Evaluation
from gateway.accepting.limits import Claim
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.accepting.rendered_texts import RenderedTexts
from gateway.accepting.use_cases import Sender
from gateway.accepting.zones import RecipientZones
from gateway.account_mails.client import AccountMailClient
from gateway.account_mails.use_cases import AccountMails
from gateway.account_mails.waking import followed_by
from gateway.activity.clients import PlanClient
from gateway.activity.queues import QueueDesk
from gateway.activity.repository import ActivityRepository
from gateway.activity.servicer import ActivityServicer
from gateway.activity.use_cases import ActivityDesk
from gateway.beside import open_handlers
from gateway.breakers.repository import BreakerRepository
from gateway.breakers.servicer import BreakerServicer
from gateway.breakers.use_cases import Breakers
from gateway.changes.repository import ChangeRepository
from gateway.changes.servicer import ChangeServicer
from gateway.changes.use_cases import Feed, Tails
from gateway.contents.rendering import ReaderClient, RenderedAgain
from gateway.contents.repository import PayloadRepository
from gateway.contents.resending import Resending
from gateway.contents.use_cases import SentContents
from gateway.dead_letters.bulk_repository import BulkRepository
from gateway.dead_letters.bulk_runner import BulkRunner
from gateway.dead_letters.bulk_use_cases import BulkOperations
from gateway.dead_letters.gauges import DeadLetterGauges
from gateway.dead_letters.preview import Previewer
from gateway.dead_letters.repository import DeadLetterRepository
from gateway.dead_letters.servicer import DeadLetterServicer
from gateway.dead_letters.use_cases import DeadLetters
from gateway.dispatch.gauges import OutboxGauges
from gateway.dispatch.outbox import Outbox
from gateway.dispatch.relay import Relay
from gateway.facts.repository import FactRepository
from gateway.front import Front
from gateway.http import serve_http
from gateway.login_limits import LoginLimits, limited
from gateway.notifications.models import Channel, OutboxItem, Priority, Status
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.use_cases import Notifications
from gateway.notifications.watchers import ChangePoll, Watchers
from gateway.partitions import Maintenance
from gateway.personal_data.repository import ContentRepository
from gateway.personal_data.servicer import PersonalDataServicer
from gateway.personal_data.use_cases import PersonalData
from gateway.rest import open_edge
from gateway.sagas.clients import PeopleClient, ProjectTemplates
from gateway.sagas.erasure import Erasure, Erasures
from gateway.sagas.models import Kind
from gateway.sagas.project_erasure import ProjectErasure, ProjectErasures
from gateway.sagas.redaction import PersonalRows
from gateway.sagas.repository import SagaRepository
from gateway.sagas.servicer import ErasureServicer, SagaServicer
from gateway.sagas.use_cases import SagaDesk
from gateway.servicer import NotificationServicer
from gateway.services import (
    ACTIVITY_SERVICE,
    BREAKER_SERVICE,
    CHANGE_SERVICE,
    DEAD_LETTER_SERVICE,
    DELETE_PROJECT,
    DELETE_USER,
    ERASURE_SERVICE,
    NOTIFICATION_SERVICE,
    OF_TEMPLATES,
    OF_USERS,
    PERSONAL_DATA_SERVICE,
    RECIPIENT_SERVICE,
    RENDER_SERVICE,
    SAGA_SERVICE,
    WEBHOOK_SERVICE,
)
from gateway.settings import Settings
from gateway.settling.limit_counts import Budgets, LimitCounts
from gateway.settling.outcomes import Outcomes
from gateway.settling.recipient_budget import RecipientBudget
from gateway.settling.settlement import Settlement
from gateway.settling.stuck import StuckSweep
from gateway.settling.stuck_rows import StuckRows
from gateway.webhooks.repository import EndpointRepository
from gateway.webhooks.servicer import WebhookServicer
from gateway.webhooks.use_cases import SEALED_FOR as SEALED_FOR_WEBHOOKS
from gateway.webhooks.use_cases import WebhookDesk
from mesh.bus.broker import Broker
from mesh.bus.rabbitmq import open_broker
from mesh.idempotency.handlers import repeatable
from mesh.idempotency.repository import AnswerRepository
from mesh.idempotency.use_cases import SEALED_FOR, RepeatableCalls
from mesh.process.health import Check, HealthMonitor
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import App, together
from mesh.resilience.breaker_store import BreakerStore
from mesh.resilience.periodic import Periodic
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, CredentialSource, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.interceptors.auth import Door
from mesh.rpc.peer import open_peer
from mesh.rpc.revocations import Revocations
from mesh.rpc.server import serve_grpc
from mesh.rpc.service_keys import ServiceKeys
from mesh.sagas.orchestrator import Orchestrator
from mesh.sagas.state import Saga
from mesh.sealing import Sealer
from mesh.stores.cache import open_cache, server_time_s
from mesh.stores.clock import SharedClock
from mesh.stores.database import Database, open_database
from mesh.stores.revocations import RedisRevocations
from peers.credentials import RemoteCredentials

NAME = "gateway"

# What a gateway remembers of a person is forgotten when it is that old, and this much for a send that was on its way just then.
_SWEEP_MARGIN_S = 60.0
# How long a credential that has ended may be believed where Redis brings no revocations: for the life of an access token, and for the
# minute by which clocks may differ.
_BELIEVED_S = 960.0
# How late a watcher sees what another replica has settled.
_WATCH_POLL_S = 1.0
# How late a mail about an account is sent for which another gateway was asked, and which that one did not send.
_ACCOUNT_MAILS_S = 15.0
# How late a change is in the feed, at most.
_CHANGES_S = 0.25


@asynccontextmanager
async def open_app(settings: Settings, *, broker: Broker | None = None, credentials: CredentialSource | None = None) -> AsyncIterator[App]:
    """Serves until the end of the block. `broker` replaces the one that the settings name, `credentials` user_svc as the source of keys.

    What is not there yet does not hold it up: health reports what is missing, and only the database is needed to be ready.
    """
    async with AsyncExitStack() as stack:
        parts = await _open_parts(stack, settings, broker, credentials)
        dispatcher, settlement = await _wire(stack, settings, parts)
        health = HealthMonitor(parts.checks, services=dispatcher.service_names, alive=lambda: settlement.healthy)
        await health.start()
        stack.push_async_callback(health.close)
        budget = MemoryBudget.of(settings.common)
        grace_s = settings.common.door_grace_s
        api = open_edge(dispatcher, health, cors_origins=settings.http.cors_origins)
        edge = Front(api, await open_handlers(stack, settings, api, store=FactRepository(parts.database), users=parts.users))
        grpc_door = serve_grpc(dispatcher, settings.grpc, health, budget=budget, grace_s=grace_s)
        http_door = serve_http(edge, settings.http, budget=budget, grace_s=grace_s)
        grpc_port, http_port = await stack.enter_async_context(together(grpc_door, http_door))
        connections = settings.grpc.connections + settings.http.limits.connections
        yield App(NAME, health, {"http": http_port, "grpc": grpc_port}, connections)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is opened before anything is wired."""

    database: Database
    broker: Broker
    admission: Admission
    logins: LoginLimits
    budget: Budgets
    breakers: BreakerStore
    clock: SharedClock
    cancellation: Cancellation
    captures: Captures
    records: LedgerRecords
    authenticator: Authenticator
    users: grpc.aio.Channel
    templates: grpc.aio.Channel
    checks: tuple[Check, ...]


async def _open_parts(stack: AsyncExitStack, settings: Settings, broker: Broker | None, credentials: CredentialSource | None) -> _Parts:
    database = await stack.enter_async_context(open_database(settings.database))
    redis = await stack.enter_async_context(open_cache(settings.cache))
    admission = Admission(redis, caller=settings.admission.caller, recipient=settings.admission.recipient)
    stack.push_async_callback(admission.close)
    logins = LoginLimits(redis, address=settings.admission.login)
    stack.push_async_callback(logins.close)
    bus = (
        broker
        if broker is not None
        else await stack.enter_async_context(open_broker(settings.broker, build_topology(delay_scale=settings.broker.delay_scale)))
    )
    identity = ServiceIdentity(NAME, ServiceKeys.from_settings(NAME, settings.common))
    peers = settings.peers

    async def connect(peer: str, target: str, services: Sequence[ServiceDescriptor]) -> grpc.aio.Channel:
        return await stack.enter_async_context(open_peer(peer, target, identity=identity, settings=peers, services=services))

    users = await connect("user_svc", peers.user_svc, [*OF_USERS, RECIPIENT_SERVICE, ERASURE_SERVICE])
    templates = await connect("template_svc", peers.template_svc, [*OF_TEMPLATES, RENDER_SERVICE])
    checks = (
        Check("database", database.ping),
        # Reported only: without them the gateway still accepts, from memory and under local limits.
        Check("redis", redis.ping, required=False),
        Check("broker", bus.ping, required=False),
        Check("user_svc", users.channel_ready, required=False),
        Check("template_svc", templates.channel_ready, required=False),
    )
    budget, counts = RecipientBudget(redis, settings.admission.recipient), LimitCounts(users)
    stack.push_async_callback(budget.close)
    stack.push_async_callback(counts.close)
    counts.start()
    cancellation = Cancellation(redis, ttl_s=settings.ledger.ttl_s)
    revocations = Revocations(RedisRevocations(redis).fetch)
    revocations.start()
    stack.push_async_callback(revocations.close)
    authenticator = Authenticator(credentials or RemoteCredentials(users), identity, revocations=revocations)
    clock = SharedClock(lambda: server_time_s(redis))
    stack.push_async_callback(clock.close)
    clock.start()
    return _Parts(
        database=database, broker=bus, admission=admission, logins=logins, budget=Budgets(budget, counts), breakers=BreakerStore(redis),
        clock=clock, cancellation=cancellation, captures=Captures(redis),
        records=LedgerRecords(redis, ttl_s=settings.ledger.ttl_s), authenticator=authenticator,
        users=users, templates=templates, checks=checks,
    )  # fmt: skip


async def _wire(stack: AsyncExitStack, settings: Settings, parts: _Parts) -> tuple[Dispatcher, Settlement]:
    """Each part is closed in the reverse of this order: first no more work comes in, then what is in hand is finished."""
    accept, watchers = settings.accept, Watchers()
    relay = _open_relay(stack, settings, parts, watchers)
    writer = NotificationWriter(parts.database, lambda rows: _hand_on(rows, relay, parts.admission))
    stack.push_async_callback(writer.close)
    answers, feed, endpoints = AnswerRepository(parts.database), ChangeRepository(parts.database), EndpointRepository(parts.database)
    forget = [partial(one.clean, older_than_s=accept.change_retention_days * 86_400.0) for one in (feed, endpoints)]
    _start_maintenance(stack, settings, parts, [writer.clean, answers.clean, *forget])
    calls = RepeatableCalls(answers, Sealer(settings.sealing.secret, SEALED_FOR, old=settings.sealing.old))
    stack.push_async_callback(calls.close)
    settlement = await _open_settlement(stack, settings, parts, watchers)
    templates = TemplateClient(parts.templates, fresh_s=accept.template_cache_s, stale_s=accept.stale_cache_s)
    stack.push_async_callback(templates.close)
    users = UserClient(parts.users, fresh_s=accept.user_cache_s, stale_s=accept.stale_cache_s)
    stack.push_async_callback(users.close)
    recipients, renderer = _open_delivery_clients(stack, parts)
    evaluation = Evaluation(templates=templates, users=users, recipients=recipients, now=parts.clock.now)
    sender = Sender(
        templates=templates,
        users=users,
        zones=RecipientZones(recipients),
        texts=RenderedTexts(recipients, renderer),
        files=AttachmentClient(parts.templates, retention_days=accept.retention_days),
        admission=parts.admission,
        store=writer,
        payload=delivery_bytes,
        lease_s=accept.lease_s,
        now=parts.clock.now,
    )
    stack.push_async_callback(parts.cancellation.close)
    store = NotificationRepository(parts.database)
    _start_watch_poll(stack, store, watchers)
    notifications = Notifications(store, parts.cancellation, watchers, parts.budget, parts.captures, people=users)
    previews = _open_delivery_clients(stack, parts, preview=True)
    contents = _open_contents(settings, parts, store, previews[1], sender)
    desk = _open_desk(stack, settings, parts, relay=relay, users=users, previews=Previewer(*previews))
    breakers, activity = _activity(parts)
    dispatcher = Dispatcher(server_chain(parts.authenticator, Door.PUBLIC))
    servicers = {
        NOTIFICATION_SERVICE: NotificationServicer(
            sender=sender, evaluation=evaluation, notifications=notifications, bulk_in_flight=accept.bulk_in_flight, **contents._asdict()
        ),
        CHANGE_SERVICE: ChangeServicer(_open_feed(stack, feed, users)),
        WEBHOOK_SERVICE: _open_webhook_desk(settings, endpoints, users),
        DEAD_LETTER_SERVICE: desk,
        PERSONAL_DATA_SERVICE: _open_export(parts, store, users),
        BREAKER_SERVICE: BreakerServicer(breakers),
        ACTIVITY_SERVICE: activity,
    }
    for service, servicer in servicers.items():
        dispatcher.add(service, servicer)
    _add_remotes(dispatcher, parts)
    _add_sagas(stack, settings, parts, dispatcher, watchers=watchers, users=users)
    mails = AccountMails(AccountMailClient(parts.users), sender, NAME)
    sending = Periodic("account-mails", mails.send_all, interval_s=_ACCOUNT_MAILS_S, at_once=False)
    stack.push_async_callback(sending.close)
    sending.start()
    dispatcher.decorate(followed_by(sending.wake))
    dispatcher.decorate(limited(parts.logins))
    dispatcher.decorate(repeatable(calls))
    return dispatcher, settlement


def _start_watch_poll(stack: AsyncExitStack, store: NotificationRepository, watchers: Watchers) -> None:
    changes = Periodic("watch-poll", ChangePoll(store, watchers).poll, interval_s=_WATCH_POLL_S)
    stack.push_async_callback(changes.close)
    changes.start()


def _activity(parts: _Parts) -> tuple[Breakers, ActivityServicer]:
    """What happens, what waits and what is wrong."""
    shared, counts = BreakerRepository(parts.breakers), ActivityRepository(parts.database)
    breakers, queues, plans = Breakers(shared), QueueDesk(parts.broker, counts, shared), PlanClient(parts.templates)
    peers = {"user_svc": parts.users.channel_ready, "template_svc": parts.templates.channel_ready}
    return breakers, ActivityServicer(ActivityDesk(counts, breakers, queues, plans, peers=peers, now=parts.clock.now), queues)


async def _open_settlement(stack: AsyncExitStack, settings: Settings, parts: _Parts, watchers: Watchers) -> Settlement:
    """What records outcomes, and what looks for notifications of which none came."""
    outcomes = Outcomes(parts.database)
    settlement = Settlement(parts.broker, outcomes, watchers, parts.budget)
    stack.push_async_callback(settlement.close)
    await settlement.start()
    stuck = StuckSweep(StuckRows(parts.database), outcomes, parts.broker, watchers, after_s=settings.accept.stuck_after_s)
    stack.push_async_callback(stuck.close)
    stuck.start()
    return settlement


def _add_remotes(dispatcher: Dispatcher, parts: _Parts) -> None:
    for service in OF_USERS:
        dispatcher.add_remote(service, parts.users)
    for service in OF_TEMPLATES:
        dispatcher.add_remote(service, parts.templates)


def _start_maintenance(stack: AsyncExitStack, settings: Settings, parts: _Parts, clean: Sequence[Callable[[], Awaitable[int]]]) -> None:
    retention_days = settings.accept.retention_days
    kept = FactRepository(parts.database), ActivityRepository(parts.database)
    forget = [partial(one.clean, older_than_s=retention_days * 86_400.0) for one in kept]
    if said := settings.accept.content_retention:
        forget.append(partial(PayloadRepository(parts.database, now=parts.clock.now).forget, said))
    maintenance = Maintenance(parts.database, [*clean, *forget], retention_days=retention_days)
    stack.push_async_callback(maintenance.close)
    maintenance.start()


def _open_webhook_desk(settings: Settings, endpoints: EndpointRepository, users: UserClient) -> WebhookServicer:
    sealer = Sealer(settings.sealing.secret, SEALED_FOR_WEBHOOKS, old=settings.sealing.old)
    return WebhookServicer(WebhookDesk(endpoints, sealer, users, allowed=settings.egress.allow))


def _open_relay(stack: AsyncExitStack, settings: Settings, parts: _Parts, watchers: Watchers) -> Relay:
    """The way onto the bus, and what is measured of it."""
    accept, outbox = settings.accept, Outbox(parts.database)
    relay = Relay(
        parts.broker,
        outbox,
        watchers,
        parts.budget,
        lease_s=accept.lease_s,
        sweep_s=accept.sweep_s,
        lane_depth=accept.lane_depth,
        now=parts.clock.now,
    )
    stack.push_async_callback(relay.close)
    relay.start()
    gauges = OutboxGauges(outbox, parts.broker, lambda: relay.lag_s)
    stack.push_async_callback(gauges.close)
    gauges.start()
    return relay


def _open_feed(stack: AsyncExitStack, repository: ChangeRepository, users: UserClient) -> Feed:
    tails = Tails(repository)
    work = Periodic("changes", tails.advance, interval_s=_CHANGES_S)
    stack.push_async_callback(work.close)
    work.start()
    return Feed(repository, tails, users)


def _open_delivery_clients(stack: AsyncExitStack, parts: _Parts, *, preview: bool = False) -> tuple[RecipientClient, RenderClient]:
    """Where a delivery would go and which text it would carry, asked as the workers ask."""
    recipients, renderer = RecipientClient(parts.users), RenderClient(parts.templates, preview=preview)
    stack.push_async_callback(recipients.close)
    stack.push_async_callback(renderer.close)
    return recipients, renderer


def _open_desk(
    stack: AsyncExitStack, settings: Settings, parts: _Parts, *, relay: Relay, users: UserClient, previews: Previewer
) -> DeadLetterServicer:
    """What reviewers of dead letters work with."""
    lease_s = settings.accept.lease_s
    letters, jobs = DeadLetterRepository(parts.database), BulkRepository(parts.database)
    runner = BulkRunner(jobs, relay, lambda: parts.broker.connected, dispatch_lease_s=lease_s)
    stack.push_async_callback(runner.close)
    runner.start()
    gauges = DeadLetterGauges(letters)
    stack.push_async_callback(gauges.close)
    gauges.start()
    dead_letters = DeadLetters(letters, relay, previews=previews, people=users, lease_s=lease_s)
    return DeadLetterServicer(dead_letters, BulkOperations(jobs, runner))


class _Contents(NamedTuple):
    contents: SentContents
    resending: Resending


def _open_contents(settings: Settings, parts: _Parts, store: NotificationRepository, renderer: RenderClient, sender: Sender) -> _Contents:
    payloads, readers = PayloadRepository(parts.database, now=parts.clock.now), ReaderClient(parts.users)
    contents = SentContents(store, payloads, RenderedAgain(readers, renderer), kept=settings.accept.content_retention, now=parts.clock.now)
    return _Contents(contents, Resending(contents, readers, sender))


def _open_export(parts: _Parts, store: NotificationRepository, users: UserClient) -> PersonalDataServicer:
    contents, people = ContentRepository(parts.database), PeopleClient(parts.users, users)
    return PersonalDataServicer(PersonalData(people, store, contents, parts.captures))


def _add_sagas(
    stack: AsyncExitStack, settings: Settings, parts: _Parts, dispatcher: Dispatcher, *, watchers: Watchers, users: UserClient
) -> None:
    """What spans services: the orchestrator with its sagas, their desk, and deleting users and projects as some of them."""
    accept, store = settings.accept, SagaRepository(parts.database)
    remembered_s = max(accept.user_cache_s, accept.stale_cache_s) + _SWEEP_MARGIN_S

    async def sweep(erasure: Saga) -> None:
        await orchestrator.start(Kind.ERASURE_SWEEP, erasure.key, erasure.data, delay_s=remembered_s)

    async def sweep_project(erasure: Saga) -> None:
        delay_s = max(_BELIEVED_S, remembered_s) + _SWEEP_MARGIN_S
        await orchestrator.start(Kind.PROJECT_ERASURE_SWEEP, erasure.key, erasure.data, delay_s=delay_s)

    people = PeopleClient(parts.users, users)
    files = AttachmentClient(parts.templates, retention_days=accept.retention_days)
    rows, notify = PersonalRows(parts.database), watchers.notify
    erasure = Erasure(rows, people, parts.captures, parts.records, attachments=files, notify=notify, sweep=sweep)
    of_projects = ProjectErasure(
        lambda: orchestrator,
        people,
        ProjectTemplates(parts.templates),
        endpoints=EndpointRepository(parts.database),
        jobs=BulkRepository(parts.database),
        sweep=sweep_project,
    )
    orchestrator = Orchestrator((*erasure.definitions(), *of_projects.definitions()), store, poll_s=accept.sweep_s)
    stack.push_async_callback(orchestrator.close)
    orchestrator.begin()
    dispatcher.add(SAGA_SERVICE, SagaServicer(SagaDesk(store, orchestrator)))
    servicer = ErasureServicer(Erasures(orchestrator, store, people), ProjectErasures(orchestrator, store, people))
    dispatcher.override(DELETE_USER, servicer.DeleteUser)
    dispatcher.override(DELETE_PROJECT, servicer.DeleteProject)


def _hand_on(rows: Sequence[Row], relay: Relay, admission: Admission) -> None:
    """What follows a commit: to the bus at once, and to Redis for the requests that will be repeated."""
    relay.offer(
        [
            OutboxItem(row.id, Channel(row.channel), Priority(row.priority), row.payload, row.caller)
            for row in rows
            if row.status == Status.PENDING
        ]
    )
    admission.complete(
        [
            (Claim(row.digest, row.fingerprint, b""), row.response)
            for row in rows
            if row.digest is not None and row.fingerprint is not None and row.response is not None
        ]
    )
