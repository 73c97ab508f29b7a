"""The composition root: opens what user_svc needs and wires it together. The only place where adapters are constructed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from clarion.user.v1 import (
    account_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    erasure_service_pb2,
    policy_service_pb2,
    preference_page_service_pb2,
    project_service_pb2,
    recipient_service_pb2,
    role_service_pb2,
    second_factor_service_pb2,
    sign_in_service_pb2,
    user_service_pb2,
)
from mesh.idempotency.handlers import repeatable
from mesh.idempotency.repository import AnswerRepository
from mesh.idempotency.use_cases import SEALED_FOR as SEALED_FOR_CALLS
from mesh.idempotency.use_cases import RepeatableCalls
from mesh.process.health import Check, HealthMonitor
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import App
from mesh.resilience.periodic import Periodic
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.interceptors.auth import Door
from mesh.rpc.revocations import Revocations
from mesh.rpc.server import serve_grpc
from mesh.rpc.service_keys import ServiceKeys
from mesh.sealing import Sealer
from mesh.stores.cache import open_cache
from mesh.stores.clock import SharedClock
from mesh.stores.database import Database, open_database
from mesh.stores.revocations import RedisRevocations
from user_svc.accounts.repository import AccountRepository
from user_svc.accounts.servicer import AccountServicer
from user_svc.accounts.tokens import LinkTokens
from user_svc.accounts.use_cases import Accounts
from user_svc.addresses.repository import AddressRepository
from user_svc.addresses.use_cases import Addresses
from user_svc.archiving.erasure_repository import ProjectErasureRepository
from user_svc.archiving.repository import ProjectArchive
from user_svc.audit.repository import AuditRepository
from user_svc.audit.servicer import AuditServicer
from user_svc.audit.use_cases import AuditLog
from user_svc.auth.api_key_repository import ApiKeyRepository
from user_svc.auth.api_keys import ApiKeys, LocalCredentials
from user_svc.auth.passwords import PasswordHasher
from user_svc.auth.repository import SessionRepository, SigningKeyRepository
from user_svc.auth.revocation_repository import RevocationRepository
from user_svc.auth.revoking import RevocationPublisher
from user_svc.auth.rotating import SigningKeyRotation
from user_svc.auth.servicer import AuthServicer
from user_svc.auth.session_desk import SessionDesk
from user_svc.auth.signing import SEALED_FOR, SigningKeys
from user_svc.auth.successors import Successors
from user_svc.auth.use_cases import Sessions
from user_svc.bootstrap import Bootstrap
from user_svc.bootstrap_repository import BootstrapRepository
from user_svc.devices.repository import DeviceRepository
from user_svc.devices.use_cases import Devices
from user_svc.erasure.repository import ErasureRepository
from user_svc.erasure.servicer import ErasureServicer
from user_svc.erasure.use_cases import Erasure, PersonalData
from user_svc.policies.repository import PolicyRepository
from user_svc.policies.servicer import PolicyServicer
from user_svc.policies.use_cases import Policies, RuleBook
from user_svc.preference_page.repository import PageRepository
from user_svc.preference_page.servicer import PreferencePageServicer
from user_svc.preference_page.use_cases import Brands, PreferencePages
from user_svc.preferences.repository import PreferenceRepository
from user_svc.preferences.unsubscribing import SEALED_FOR as LINKS
from user_svc.preferences.unsubscribing import UnsubscribeLinks, Unsubscribing
from user_svc.preferences.use_cases import PreferenceBook
from user_svc.projects.servicer import ProjectServicer
from user_svc.projects.use_cases import Projects
from user_svc.recipients.repository import ContactRepository
from user_svc.recipients.servicer import RecipientServicer
from user_svc.recipients.use_cases import Recipients
from user_svc.roles.repository import RoleRepository
from user_svc.roles.servicer import RoleServicer
from user_svc.roles.use_cases import Roles
from user_svc.second_factor.repository import SecondFactorRepository
from user_svc.second_factor.servicer import SecondFactorServicer
from user_svc.second_factor.use_cases import SEALED_FOR as SECOND_FACTORS
from user_svc.second_factor.use_cases import SecondFactors, SecondStep
from user_svc.servicer import UserServicer
from user_svc.settings import Settings
from user_svc.sign_in.clients import IssuerClient, open_issuers
from user_svc.sign_in.flows import SEALED_FOR as SIGN_INS
from user_svc.sign_in.flows import Flows
from user_svc.sign_in.repository import IdentityRepository
from user_svc.sign_in.servicer import SignInServicer
from user_svc.sign_in.use_cases import SignIns
from user_svc.suppressions.repository import SuppressionRepository
from user_svc.suppressions.use_cases import Suppressions
from user_svc.users.repository import UserRepository
from user_svc.users.use_cases import Users

NAME = "user_svc"

USER_SERVICE = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
ACCOUNT_SERVICE = account_service_pb2.DESCRIPTOR.services_by_name["AccountService"]
SECOND_FACTOR_SERVICE = second_factor_service_pb2.DESCRIPTOR.services_by_name["SecondFactorService"]
AUTH_SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
POLICY_SERVICE = policy_service_pb2.DESCRIPTOR.services_by_name["PolicyService"]
PREFERENCE_PAGE_SERVICE = preference_page_service_pb2.DESCRIPTOR.services_by_name["PreferencePageService"]
PROJECT_SERVICE = project_service_pb2.DESCRIPTOR.services_by_name["ProjectService"]
ROLE_SERVICE = role_service_pb2.DESCRIPTOR.services_by_name["RoleService"]
AUDIT_SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"]
SIGN_IN_SERVICE = sign_in_service_pb2.DESCRIPTOR.services_by_name["SignInService"]
RECIPIENT_SERVICE = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]
ERASURE_SERVICE = erasure_service_pb2.DESCRIPTOR.services_by_name["ErasureService"]


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Serves until the end of the block. The database may still be down: health says so, and calls answer UNAVAILABLE."""
    async with (
        open_database(settings.database) as database,
        _revoking(settings, database) as revocations,
        _forgetting(settings, database),
        open_issuers(settings.oidc) as issuers,
    ):
        passwords, clock = PasswordHasher(), SharedClock(database.server_time_s)
        parts = _wire(settings, database, passwords, revocations, clock)
        parts.dispatcher.add(SIGN_IN_SERVICE, _sign_ins(settings, database, parts.sessions, issuers, clock))
        sealer = Sealer(settings.sealing.secret, SEALED_FOR_CALLS, old=settings.sealing.old)
        calls = RepeatableCalls(AnswerRepository(database), sealer)
        parts.dispatcher.decorate(repeatable(calls))
        checks = (Check("database", database.ping), Check("bootstrap", parts.bootstrap.ensure))
        health = HealthMonitor(checks, services=parts.dispatcher.service_names)
        try:
            clock.start()
            await health.start()
            budget, grace_s = MemoryBudget.of(settings.common), settings.common.grace_s
            async with serve_grpc(parts.dispatcher, settings.grpc, health, budget=budget, grace_s=grace_s) as port:
                yield App(NAME, health, {"grpc": port}, settings.grpc.connections)
        finally:
            await calls.close()
            await health.close()
            await clock.close()
            passwords.close()


@asynccontextmanager
async def _revoking(settings: Settings, database: Database) -> AsyncIterator[Revocations]:
    """What is revoked: read from the database here, and published to the other processes where there is a Redis."""
    repository = RevocationRepository(database)
    revocations = Revocations(repository.fetch)
    async with AsyncExitStack() as stack:
        work = [Periodic("revocations.forget", repository.forget_old, interval_s=600, at_once=False)]
        if settings.cache is not None:
            redis = await stack.enter_async_context(open_cache(settings.cache))
            publisher = RevocationPublisher(repository, RedisRevocations(redis))
            work.append(Periodic("revocations.publish", publisher.run, interval_s=1))
        revocations.start()
        stack.push_async_callback(revocations.close)
        for periodic in work:
            periodic.start()
            stack.push_async_callback(periodic.close)
        yield revocations


@asynccontextmanager
async def _forgetting(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Once an hour, what is kept for a time only."""
    old_entries = partial(AuditRepository(database).forget, timedelta(days=settings.audit_retention_days))
    works: dict[str, Callable[[], Awaitable[object]]] = {
        "limits.forget": ContactRepository(database).forget_old,
        "audit.forget": old_entries,
        "accounts.forget": AccountRepository(database).forget_ended,
        "addresses.forget": AddressRepository(database).forget_ended,
        "calls.forget": AnswerRepository(database).forget_old,
        "suppressions.forget": Suppressions(SuppressionRepository(database), now=_now).forget_ended,
    }
    async with AsyncExitStack() as stack:
        for name, forget in works.items():
            periodic = Periodic(name, forget, interval_s=3600, at_once=False)
            periodic.start()
            stack.push_async_callback(periodic.close)
        yield


@dataclass(frozen=True, slots=True)
class _Parts:
    dispatcher: Dispatcher
    bootstrap: Bootstrap
    sessions: Sessions


def _wire(settings: Settings, database: Database, passwords: PasswordHasher, revocations: Revocations, clock: SharedClock) -> _Parts:
    chosen = PreferenceRepository(database)
    users = Users(UserRepository(database), hash_password=passwords.hash_new, now=_now)
    sessions, api_keys = SessionRepository(database), ApiKeyRepository(database)
    sealer = Sealer(settings.sealing.secret, SEALED_FOR, old=settings.sealing.old)
    signing_keys = SigningKeys(SigningKeyRepository(database), sealer, now=_now)
    keys = ApiKeys(api_keys, now=_now)
    authenticator = Authenticator(
        LocalCredentials(signing_keys=signing_keys, api_keys=keys),
        ServiceIdentity(NAME, ServiceKeys.from_settings(NAME, settings.common)),
        revocations=revocations,
    )
    audit = AuditLog(AuditRepository(database))
    suppressions = Suppressions(SuppressionRepository(database), now=_now, bounce_days=settings.bounce_suppression_days)
    policies, record = PolicyRepository(database), BootstrapRepository(database)
    book = RuleBook(policies)
    preferences = PreferenceBook(chosen, book, now=_now)
    accounts = _accounts(settings, database, passwords)
    addresses = Addresses(AddressRepository(database), users, new_link=accounts.new_link)
    of_people = Devices(DeviceRepository(database), now=_now)
    user_servicer = UserServicer(users=users, addresses=addresses, devices=of_people, preferences=preferences, suppressions=suppressions)
    factors, factor_sealer = SecondFactorRepository(database), Sealer(settings.sealing.secret, SECOND_FACTORS, old=settings.sealing.old)
    second_step = SecondStep(factors, factor_sealer, now=clock.now)
    logins = Sessions(
        sessions,
        passwords=passwords,
        signing_keys=signing_keys,
        replace_email=users.replace_email,
        successors=Successors(settings.sealing.secret),
        audit=audit.add,
        now=_now,
        second_step=second_step,
        administrators_need_it=settings.admin_second_factor,
    )
    rotation = SigningKeyRotation(signing_keys)
    auth_servicer = AuthServicer(
        sessions=logins, desk=SessionDesk(sessions), people=users, announced=addresses, api_keys=keys, rotation=rotation
    )
    dispatcher = Dispatcher(server_chain(authenticator, Door.DIRECT if settings.direct_callers else Door.INTERNAL))
    dispatcher.add(USER_SERVICE, user_servicer)
    dispatcher.add(AUTH_SERVICE, auth_servicer)
    dispatcher.add(PROJECT_SERVICE, ProjectServicer(Projects(ProjectArchive(database), changed=book.forget, now=_now)))
    mapped = {(issuer.project, name) for issuer in settings.oidc.issuers for grant in issuer.grants.values() for name in grant.roles}
    dispatcher.add(ROLE_SERVICE, RoleServicer(Roles(RoleRepository(database), mapped=mapped, now=_now), users))
    dispatcher.add(POLICY_SERVICE, PolicyServicer(Policies(policies, book, now=_now)))
    own = SecondFactors(factors, second_step, factor_sealer, prove=logins.prove)
    dispatcher.add(SECOND_FACTOR_SERVICE, SecondFactorServicer(own, users))
    dispatcher.add(ACCOUNT_SERVICE, AccountServicer(accounts, users))
    contacts, links = ContactRepository(database), UnsubscribeLinks(Sealer(settings.sealing.secret, LINKS, old=settings.sealing.old))
    unsubscribing = Unsubscribing(links, contacts, chosen, book, now=_now)
    asked = Recipients(contacts, book, audit=audit.add, now=_now)
    dispatcher.add(RECIPIENT_SERVICE, RecipientServicer(asked, suppressions, unsubscribing, links, accounts))
    page_rows = PageRepository(database)
    pages = PreferencePages(links, page_rows, chosen, policies, book, now=_now)
    dispatcher.add(PREFERENCE_PAGE_SERVICE, PreferencePageServicer(pages, Brands(page_rows, now=_now), users))
    dispatcher.add(AUDIT_SERVICE, AuditServicer(audit))
    dispatcher.add(ERASURE_SERVICE, _erasing(database, audit))
    made = Bootstrap(
        settings.bootstrap, signing_keys=signing_keys, users=users, sessions=sessions, api_keys=api_keys, record=record, now=_now
    )
    return _Parts(dispatcher, made, logins)


def _erasing(database: Database, audit: AuditLog) -> ErasureServicer:
    people, chosen, devices = UserRepository(database), PreferenceRepository(database), DeviceRepository(database)
    listed, known_as, addresses = SuppressionRepository(database), IdentityRepository(database), AddressRepository(database)
    held = PersonalData(people, chosen, devices, listed, known_as, addresses=addresses, audit=audit.add)
    return ErasureServicer(Erasure(ErasureRepository(database)), held, ProjectErasureRepository(database))


def _accounts(settings: Settings, database: Database, passwords: PasswordHasher) -> Accounts:
    tokens = LinkTokens(settings.sealing.secret, old=settings.sealing.old)
    prove = AddressRepository(database).prove
    return Accounts(AccountRepository(database), tokens, hash_new=passwords.hash_new, prove_address=prove, console_url=settings.console_url)


def _sign_ins(settings: Settings, database: Database, sessions: Sessions, client: IssuerClient, clock: SharedClock) -> SignInServicer:
    flows = Flows(Sealer(settings.sealing.secret, SIGN_INS, old=settings.sealing.old))
    identities, audit = IdentityRepository(database), AuditRepository(database).add
    # flows begin in one process and may end in another one: the shared time says how old they are
    opened = sessions.open_session
    return SignInServicer(SignIns(settings.oidc.issuers, client, flows, identities, open_session=opened, audit=audit, now=clock.now))


def _now() -> datetime:
    return datetime.now(UTC)
