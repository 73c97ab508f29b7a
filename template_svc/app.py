"""The composition root: opens what template_svc needs and wires it together. The only place where adapters are constructed."""

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from clarion.template.v1 import (
    attachment_service_pb2,
    canary_service_pb2,
    partial_service_pb2,
    project_erasure_service_pb2,
    render_service_pb2,
    scheduled_publication_service_pb2,
    sender_service_pb2,
    template_service_pb2,
)
from clarion.user.v1 import audit_service_pb2, auth_service_pb2, recipient_service_pb2
from mesh.idempotency.handlers import repeatable
from mesh.idempotency.repository import AnswerRepository
from mesh.idempotency.use_cases import SEALED_FOR as SEALED_FOR_CALLS
from mesh.idempotency.use_cases import RepeatableCalls, Unsealed
from mesh.process.health import Check, HealthMonitor
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import App
from mesh.resilience.periodic import Periodic
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, CredentialSource, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.interceptors.auth import Door
from mesh.rpc.peer import open_peer
from mesh.rpc.server import serve_grpc
from mesh.rpc.service_keys import ServiceKeys
from mesh.sealing import Sealer
from mesh.stores.clock import SharedClock
from mesh.stores.database import open_database
from mesh.stores.revocations import open_revocations
from peers.credentials import RemoteCredentials
from template_svc.archiving.repository import ArchiveRepository
from template_svc.archiving.use_cases import Archive, ArchiveStore
from template_svc.attachments.repository import AttachmentRepository
from template_svc.attachments.servicer import AttachmentServicer
from template_svc.attachments.use_cases import Attachments, AttachmentStore
from template_svc.auditing.clients import AuditClient
from template_svc.auditing.repository import OutboxRepository
from template_svc.auditing.use_cases import Handover
from template_svc.canaries.repository import CanaryRepository
from template_svc.canaries.servicer import CanaryServicer
from template_svc.canaries.use_cases import Canaries, CanaryStore
from template_svc.erasure.repository import ProjectErasureRepository
from template_svc.erasure.servicer import ProjectErasureServicer
from template_svc.library import Library
from template_svc.models import Rules
from template_svc.partials.repository import PartialRepository
from template_svc.partials.servicer import PartialServicer
from template_svc.partials.use_cases import Partials, PartialStore
from template_svc.people.clients import PeopleClient
from template_svc.people.use_cases import People, Previews
from template_svc.processes.pool import ProcessPool
from template_svc.processes.process import Limits
from template_svc.repository import TemplateRepository
from template_svc.schedules.repository import PlanRepository
from template_svc.schedules.servicer import ScheduleServicer
from template_svc.schedules.use_cases import PlanStore, Publisher, Schedules
from template_svc.scheduling import Lane, Processes, Scheduler, Standing
from template_svc.senders.book import SenderBook
from template_svc.senders.dns import Dns
from template_svc.senders.keys import SEALED_FOR
from template_svc.senders.repository import SenderRepository
from template_svc.senders.servicer import SenderServicer
from template_svc.senders.use_cases import SenderDomains, Senders, SenderStore, TextRecords
from template_svc.servicer import RenderServicer, TemplateServicer
from template_svc.settings import Settings
from template_svc.use_cases import Authoring, Rendering, TemplateStore

NAME = "template_svc"

# How often attachments are looked through that no notification needs any more.
_CLEANING_S = 3600.0
# How often entries for the audit log are looked for.
_HANDING_OVER_S = 1.0

TEMPLATE_SERVICE = template_service_pb2.DESCRIPTOR.services_by_name["TemplateService"]
PARTIAL_SERVICE = partial_service_pb2.DESCRIPTOR.services_by_name["PartialService"]
SCHEDULE_SERVICE = scheduled_publication_service_pb2.DESCRIPTOR.services_by_name["ScheduledPublicationService"]
CANARY_SERVICE = canary_service_pb2.DESCRIPTOR.services_by_name["CanaryService"]
SENDER_SERVICE = sender_service_pb2.DESCRIPTOR.services_by_name["SenderService"]
PROJECT_ERASURE_SERVICE = project_erasure_service_pb2.DESCRIPTOR.services_by_name["ProjectErasureService"]
ATTACHMENT_SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"]
RENDER_SERVICE = render_service_pb2.DESCRIPTOR.services_by_name["RenderService"]
AUTH_SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]


AUDIT_SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"]

_OF_USERS = (AUTH_SERVICE, AUDIT_SERVICE, recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"])


@asynccontextmanager
async def open_app(settings: Settings, *, credentials: CredentialSource | None = None) -> AsyncIterator[App]:
    """Serves until the end of the block, in the main thread: render processes end with the thread that started them.
    `credentials` replaces user_svc as the source of keys.

    The database and user_svc may still be down: health says so of the first, and calls answer UNAVAILABLE.
    """
    identity = ServiceIdentity(NAME, ServiceKeys.from_settings(NAME, settings.common))
    async with (
        open_database(settings.database) as database,
        open_peer("user_svc", settings.peers.user_svc, identity=identity, settings=settings.peers, services=_OF_USERS) as user_svc,
        open_revocations(settings.cache) as revocations,
        open_processes(settings) as processes,
    ):
        door = Door.DIRECT if settings.direct_callers else Door.INTERNAL
        authenticator = Authenticator(credentials or RemoteCredentials(user_svc), identity, revocations=revocations)
        sealer = Sealer(settings.sealing.secret, SEALED_FOR, old=settings.sealing.old) if settings.sealing.secret else None
        plans, attachments = PlanRepository(database), AttachmentRepository(database)
        stores = Stores(
            TemplateRepository(database), PartialRepository(database), ArchiveRepository(database), plans, CanaryRepository(database),
            SenderRepository(database, sealer), attachments,
        )  # fmt: skip
        outside = Outside(PeopleClient(user_svc), Dns(settings.dns_servers), settings.trusted_domains)
        dispatcher = wire(stores, outside, authenticator, processes, door=door, rules=settings.rules)
        dispatcher.add(PROJECT_ERASURE_SERVICE, ProjectErasureServicer(ProjectErasureRepository(database)))
        answers = AnswerRepository(database)
        secret, old = settings.sealing.secret, settings.sealing.old
        calls = RepeatableCalls(answers, Sealer(secret, SEALED_FOR_CALLS, old=old) if secret else Unsealed())
        dispatcher.decorate(repeatable(calls))
        forgetting = Periodic("calls.forget", answers.forget_old, interval_s=_CLEANING_S, at_once=False)
        forgetting.start()
        # Services of the mesh are known without user_svc, and rendering for them goes on when it is down.
        checks = (Check("database", database.ping), Check("render_processes", processes.ping))
        health = HealthMonitor(checks, services=dispatcher.service_names)
        clock = SharedClock(database.server_time_s)
        clock.start()
        publisher = Publisher(plans)
        publisher.start()
        cleaning = Periodic("attachments", Attachments(attachments).clean, interval_s=_CLEANING_S)
        cleaning.start()
        handing_over = Periodic("audit", Handover(OutboxRepository(database), AuditClient(user_svc)).hand_over, interval_s=_HANDING_OVER_S)
        handing_over.start()
        await health.start()
        try:
            budget, grace_s = MemoryBudget.of(settings.common), settings.common.grace_s
            async with serve_grpc(dispatcher, settings.grpc, health, budget=budget, grace_s=grace_s) as port:
                yield App(NAME, health, {"grpc": port}, settings.grpc.connections)
        finally:
            await health.close()
            await calls.close()
            await forgetting.close()
            await publisher.close()
            await cleaning.close()
            await handing_over.close()
            await clock.close()


@asynccontextmanager
async def open_processes(settings: Settings) -> AsyncIterator[ProcessPool]:
    """Render processes for the length of the block."""
    shares = {Lane.SHARED: settings.render_processes, Lane.APART: 1, Lane.AUTHORING: 1}
    pool = ProcessPool(Limits(settings.render_limit_s, settings.render_memory_mb), shares)
    try:
        await pool.open()
        yield pool
    finally:
        await pool.close()


class Stores(NamedTuple):
    """Where everything is kept."""

    templates: TemplateStore
    partials: PartialStore
    archive: ArchiveStore
    schedules: PlanStore
    canaries: CanaryStore
    senders: SenderStore
    attachments: AttachmentStore


class Outside(NamedTuple):
    """What is known beyond the database: people, DNS, and the domains that every project may send from."""

    people: People
    records: TextRecords
    trusted: Collection[str] = ()


def wire(
    stores: Stores,
    outside: Outside,
    authenticator: Authenticator,
    processes: Processes,
    *,
    door: Door = Door.DIRECT,
    rules: Rules | None = None,
) -> Dispatcher:
    """Everything between the stores and the wire."""
    library = Library(stores.templates)
    scheduler = Scheduler(processes, Standing(time.monotonic))
    book = SenderBook(stores.senders)
    authoring = Authoring(stores.templates, stores.partials, library, scheduler, clock=_utc, senders=stores.senders, rules=rules)
    rendering = Rendering(stores.templates, library, scheduler, book)
    senders = Senders(stores.senders, clock=_utc, trusted=outside.trusted)
    domains = SenderDomains(stores.senders, outside.records, clock=_utc)
    dispatcher = Dispatcher(server_chain(authenticator, door))
    dispatcher.add(TEMPLATE_SERVICE, TemplateServicer(authoring, Archive(stores.archive, clock=_utc), Previews(rendering, outside.people)))
    dispatcher.add(SCHEDULE_SERVICE, ScheduleServicer(Schedules(stores.schedules, authoring)))
    dispatcher.add(CANARY_SERVICE, CanaryServicer(Canaries(stores.canaries, authoring)))
    dispatcher.add(PARTIAL_SERVICE, PartialServicer(Partials(stores.partials, authoring, clock=_utc)))
    dispatcher.add(SENDER_SERVICE, SenderServicer(senders, domains, book, trusted=outside.trusted))
    dispatcher.add(ATTACHMENT_SERVICE, AttachmentServicer(Attachments(stores.attachments)))
    dispatcher.add(RENDER_SERVICE, RenderServicer(rendering))
    return dispatcher


def _utc() -> datetime:
    return datetime.now(UTC)
