"""Facts about the audit log: user_svc over gRPC, and its table in PostgreSQL."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clarion.user.v1 import (
    api_key_pb2,
    audit_service_pb2,
    auth_service_pb2,
    erasure_service_pb2,
    policy_pb2,
    policy_service_pb2,
    project_pb2,
    project_service_pb2,
    recipient_service_pb2,
    session_pb2,
    suppression_pb2,
    user_pb2,
    user_service_pb2,
)
from clarion.user.v1.audit_service_pb2_grpc import AuditServiceStub
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from clarion.user.v1.policy_service_pb2_grpc import PolicyServiceStub
from clarion.user.v1.project_service_pb2_grpc import ProjectServiceStub
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.context import FIRST_PROJECT
from mesh.errors import Code, InvalidArgument, PermissionDenied, ServiceError, Unauthenticated
from mesh.ids import new_id
from mesh.process.settings import Env
from mesh.rpc.channel import to_service_error
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import service_metadata
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.factories import environ
from tests.user_svc.test_app import API_KEY
from tests.user_svc.test_erasure import GATEWAY
from user_svc.app import open_app
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import AuditRepository
from user_svc.auth.repository import SessionRepository
from user_svc.settings import Settings

EMAIL, PASSWORD, NEW_PASSWORD = "Ada@Example.com", "correct horse battery", "staple battery horse"
OPERATOR = (("authorization", f"Bearer {API_KEY}"),)
TEMPLATES = service_metadata("template_svc")
Kind = audit_service_pb2.AuditEventKind


@dataclass
class Service:
    """user_svc with an administrator, and its database."""

    channel: grpc.aio.Channel
    database: Database

    async def call(self, stub: Any, method: str, request: Any, metadata: Any = OPERATOR) -> Any:
        try:
            return await getattr(stub(self.channel), method)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise to_service_error(error) from None

    async def log_in(self, password: str = PASSWORD, email: str = EMAIL, project: str = "") -> Any:
        request = auth_service_pb2.LoginRequest(email=email, password=password, project=project)
        return await self.call(AuthServiceStub, "Login", request, ())

    async def page(self, metadata: Any = OPERATOR, **filters: Any) -> Any:
        return await self.call(AuditServiceStub, "ListAuditEvents", audit_service_pb2.ListAuditEventsRequest(**filters), metadata)

    async def events(self, kind: str, **filters: Any) -> list[tuple[str, str, Mapping[str, str]]]:
        """Actor, subject and details of this kind's, newest first."""
        page = await self.page(kinds=[Kind.Value(f"AUDIT_EVENT_KIND_{kind}")], **filters)
        assert all(event.correlation_id or event.actor == "environment" for event in page.audit_events)
        return [(event.actor, event.subject, dict(event.details)) for event in page.audit_events]


@pytest.fixture
async def service(postgres_url: NewDatabase) -> AsyncIterator[Service]:
    url = await postgres_url("user_svc")
    more = {"CLARION_ADMIN_EMAIL": EMAIL, "CLARION_ADMIN_PASSWORD": PASSWORD, "CLARION_BOOTSTRAP_API_KEY": API_KEY}
    async with (
        open_app(Settings.from_env(Env(environ(url, **more)))) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        open_database(DatabaseSettings(url)) as database,
    ):
        await app.health.probe()
        yield Service(channel, database)


def bearer(tokens: Any) -> Any:
    return (("authorization", f"Bearer {tokens.access_token}"),)


async def own_label(service: Service) -> str:
    me = (await service.call(AuthServiceStub, "GetMe", session_pb2.GetMeRequest())).me
    return f"api_key:{me.id}"


async def test_the_start_is_on_record(service: Service) -> None:
    (made,) = await service.events("ROLE_CHANGED")
    assert (made[0], made[2]) == ("environment", {"role": "administrator"})
    ((actor, _, details),) = await service.events("API_KEY_CREATED")
    assert actor == "environment"
    assert "audit:read" in details["scopes"].split()


async def test_sign_ins_that_fit_and_that_do_not(service: Service) -> None:
    tokens = await service.log_in()
    for refused in ({"password": "wrong"}, {"email": "no@example.com"}, {"project": "no-such"}):
        with pytest.raises(Unauthenticated):
            await service.log_in(**refused)
    who = f"user:{tokens.user_id}"
    ((actor, subject, details),) = await service.events("SIGNED_IN")
    assert (actor, subject, details["by"]) == (who, who, "password")
    failed = await service.events("SIGN_IN_FAILED")
    assert failed == [("anonymous:anonymous", "", {"by": "password"}), ("anonymous:anonymous", who, {"by": "password"})]


async def test_a_password_that_does_not_fit_where_a_person_changes_theirs(service: Service) -> None:
    """Who has got hold of a token guesses like anyone else."""
    tokens = await service.log_in()
    guesses = {
        "ChangePassword": auth_service_pb2.ChangePasswordRequest(current_password="a guess", new_password=NEW_PASSWORD),
        "ChangeEmail": auth_service_pb2.ChangeEmailRequest(current_password="a guess", new_email="eve@example.com"),
    }
    for method, request in guesses.items():
        with pytest.raises(PermissionDenied):
            await service.call(AuthServiceStub, method, request, bearer(tokens))
    who = f"user:{tokens.user_id}"
    assert await service.events("SIGN_IN_FAILED") == [(who, who, {"by": "password", "why": "WRONG_PASSWORD"})] * 2


async def test_the_address_of_an_account_whoever_changes_it(service: Service) -> None:
    tokens = await service.log_in()
    own, operator = f"user:{tokens.user_id}", await own_label(service)
    change = auth_service_pb2.ChangeEmailRequest(current_password=PASSWORD, new_email="ada@new.example")
    await service.call(AuthServiceStub, "ChangeEmail", change, bearer(tokens))
    for email in ("ada@newer.example", "ada@newer.example"):
        user = user_pb2.User(email=email, external_id="ada")
        request = user_service_pb2.UpdateUserRequest(id=tokens.user_id, user=user, update_mask=FieldMask(paths=["email", "external_id"]))
        await service.call(UserServiceStub, "UpdateUser", request)
    # one who has no password is a recipient, and no account
    people = [user_pb2.User(external_id=name, email=f"{name}@newest.example") for name in ("ada", "bob")]
    for batch in (people, [user_pb2.User(external_id="bob", email="bob@newer.example"), people[0]]):
        answer = await service.call(UserServiceStub, "BatchUpsertUsers", user_service_pb2.BatchUpsertUsersRequest(users=batch))
        assert [one.WhichOneof("result") for one in answer.results] == ["id", "id"]
    changed = await service.events("EMAIL_CHANGED")
    assert changed == [(operator, own, {}), (operator, own, {}), (own, own, {})]


async def test_no_address_changes_while_the_log_takes_nothing(service: Service) -> None:
    tokens = await service.log_in()
    async with service.database.begin() as connection:
        await connection.execute(text("CREATE TRIGGER closed BEFORE INSERT ON audit_events EXECUTE FUNCTION keep_audit_events()"))
    change = auth_service_pb2.ChangeEmailRequest(current_password=PASSWORD, new_email="ada@new.example")
    with pytest.raises(ServiceError):
        await service.call(AuthServiceStub, "ChangeEmail", change, bearer(tokens))
    found = await service.call(UserServiceStub, "GetUser", user_service_pb2.GetUserRequest(id=tokens.user_id))
    assert found.user.email == EMAIL


async def test_ways_in_which_sessions_end(service: Service) -> None:
    first, second, third = [await service.log_in() for _ in range(3)]
    who = f"user:{first.user_id}"
    await service.call(AuthServiceStub, "Logout", auth_service_pb2.LogoutRequest(refresh_token=first.refresh_token), ())
    await service.call(AuthServiceStub, "DeleteSession", session_pb2.DeleteSessionRequest(user_id=first.user_id, id="-"), bearer(second))
    ended = await service.events("SESSIONS_ENDED")
    assert [(actor, subject, details["why"]) for actor, subject, details in ended] == [(who, who, "asked_for"), (who, who, "signed_out")]
    assert ended[0][2]["count"] == "1", "the one that was signed out is gone already, and the caller's own goes on"
    with pytest.raises(Unauthenticated):
        await service.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=third.refresh_token), ())
    change = auth_service_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW_PASSWORD)
    await service.call(AuthServiceStub, "ChangePassword", change, bearer(second))
    assert await service.events("PASSWORD_CHANGED") == [(who, who, {"sessions_ended": "1"})]


async def test_a_session_that_two_calls_end_at_the_same_time_ends_once(service: Service) -> None:
    """Of one that has ended meanwhile nothing is noted, and it is not counted."""
    rows = SessionRepository(service.database)
    for number in range(5):
        tokens = await service.log_in()
        digest = hashlib.sha256(tokens.refresh_token.encode()).digest()
        ways = [rows.revoke_family_of(digest) if number % 2 else rows.end_sessions(FIRST_PROJECT, tokens.user_id) for _ in range(6)]
        await asyncio.gather(*ways)
    assert len((await service.page(kinds=[Kind.AUDIT_EVENT_KIND_SESSIONS_ENDED])).audit_events) == 5


async def test_keys_that_are_made_and_revoked(service: Service) -> None:
    label = await own_label(service)
    request = api_key_pb2.CreateApiKeyRequest(name="billing", scopes=["notifications:send"])
    key = (await service.call(AuthServiceStub, "CreateApiKey", request)).api_key
    await service.call(AuthServiceStub, "DeleteApiKey", api_key_pb2.DeleteApiKeyRequest(id=key.id))
    assert (await service.events("API_KEY_CREATED"))[0] == (label, f"api_key:{key.id}", {"scopes": "notifications:send"})
    assert await service.events("API_KEY_REVOKED") == [(label, f"api_key:{key.id}", {})]
    restrictions = api_key_pb2.KeyRestrictions(templates=["receipt"], recipient_domains=["example.com"])
    request = api_key_pb2.CreateApiKeyRequest(name="narrow", scopes=["notifications:send"], test=True, restrictions=restrictions)
    await service.call(AuthServiceStub, "CreateApiKey", request)
    details = (await service.events("API_KEY_CREATED"))[0][2]
    assert details == {"scopes": "notifications:send", "test": "true", "narrowed_to": "templates recipient_domains"}


async def test_an_export_and_an_erasure_with_who_asked(service: Service) -> None:
    made = await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(email="bob@example.com"))
    named = {"user_id": made.user.id, "asked_by": "api_key:of-bob"}
    held = erasure_service_pb2.GetPersonalDataRequest(project=FIRST_PROJECT, **named)
    await service.call(ErasureServiceStub, "GetPersonalData", held, GATEWAY)
    for _ in range(2):  # the saga may repeat a step: only the first one removes someone
        await service.call(ErasureServiceStub, "EraseUser", erasure_service_pb2.EraseUserRequest(**named), GATEWAY)
    expected: list[tuple[str, str, Mapping[str, str]]] = [("api_key:of-bob", f"user:{made.user.id}", {})]
    assert await service.events("DATA_EXPORTED") == expected
    assert await service.events("USER_ERASED") == expected


async def test_whose_text_was_shown_to_whom(service: Service) -> None:
    """Before it is answered; what an author looks at is no one's."""
    made = await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(external_id="crm-1", name="Bob"))
    shown = recipient_service_pb2.DescribePersonRequest(project=FIRST_PROJECT, reference=made.user.id, asked_by="api_key:of-bob")
    assert (await service.call(RecipientServiceStub, "DescribePerson", shown, GATEWAY)).name == "Bob"
    assert await service.events("CONTENT_READ") == []
    shown.content_of = "01968b5e-7a4c-7d2e-9c1b-0f5d3a8e6b21"
    await service.call(RecipientServiceStub, "DescribePerson", shown, GATEWAY)
    assert await service.events("CONTENT_READ") == [("api_key:of-bob", f"user:{made.user.id}", {"notification": shown.content_of})]


async def test_a_call_that_is_made_twice_is_on_record_once(service: Service) -> None:
    """A slow read is made a second time beside the first (mesh/rpc/hedging.py), and a failed one again."""
    made = await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(email="bob@example.com"))
    who, label = made.user.id, "api_key:of-bob"
    for audit_id in (new_id(), new_id(), "", ""):
        held = erasure_service_pb2.GetPersonalDataRequest(project=FIRST_PROJECT, user_id=who, asked_by=label, audit_id=audit_id)
        shown = recipient_service_pb2.DescribePersonRequest(
            project=FIRST_PROJECT, reference=who, content_of=new_id(), asked_by=label, audit_id=audit_id and new_id()
        )
        for _ in range(2 if audit_id else 1):
            twice = [
                service.call(ErasureServiceStub, "GetPersonalData", held, GATEWAY),
                service.call(RecipientServiceStub, "DescribePerson", shown, GATEWAY),
            ]
            await asyncio.gather(*twice)
    assert len(await service.events("DATA_EXPORTED")) == 4
    assert len(await service.events("CONTENT_READ")) == 4


async def test_a_suppression_that_is_lifted_names_the_person_and_not_the_address(service: Service) -> None:
    made = await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(email="bob@example.com"))
    for address in ("BOB@example.com", "stranger@example.com"):
        request = suppression_pb2.CreateSuppressionRequest(address=address, reason="bounce")
        await service.call(UserServiceStub, "CreateSuppression", request)
        await service.call(UserServiceStub, "DeleteSuppression", suppression_pb2.DeleteSuppressionRequest(address=address))
    scoped = suppression_pb2.CreateSuppressionRequest(address="stranger@example.com", category="news")
    await service.call(UserServiceStub, "CreateSuppression", scoped)
    lifted = suppression_pb2.DeleteSuppressionRequest(address=scoped.address, category=scoped.category)
    await service.call(UserServiceStub, "DeleteSuppression", lifted)
    removed = await service.events("SUPPRESSION_REMOVED")
    assert [(subject, details) for _, subject, details in removed] == [
        ("", {"reason": "manual", "category": "news"}),
        ("", {"reason": "bounce"}),
        (f"user:{made.user.id}", {"reason": "bounce"}),
    ]


async def test_a_category_that_becomes_mandatory_and_is_so_no_longer(service: Service) -> None:
    def category(**fields: Any) -> policy_pb2.Category:
        return policy_pb2.Category(id="invoices", **fields)

    await service.call(PolicyServiceStub, "CreateCategory", policy_service_pb2.CreateCategoryRequest(category=category()))
    for mandatory in (True, True, False, True):
        request = policy_service_pb2.UpdateCategoryRequest(
            id="invoices", category=category(mandatory=mandatory), update_mask=FieldMask(paths=["mandatory"])
        )
        await service.call(PolicyServiceStub, "UpdateCategory", request)
    await service.call(PolicyServiceStub, "DeleteCategory", policy_service_pb2.DeleteCategoryRequest(id="invoices"))
    changed = await service.events("CATEGORY_CHANGED", subject="category:invoices")
    assert [details["mandatory"] for _, _, details in changed] == ["false", "true", "false", "true"]


async def test_filters_hold_together_and_pages_follow_each_other(service: Service) -> None:
    for _ in range(5):
        await service.log_in()
    everything = (await service.page()).audit_events
    first = await service.page(page_size=2)
    seen = list(first.audit_events)
    while first.next_page_token:
        first = await service.page(page_size=2, page_token=first.next_page_token)
        seen += first.audit_events
    assert seen == list(everything)
    assert len(seen) == 7
    third = seen[2]
    before = await service.page(end_time=third.time)
    assert [event.id for event in before.audit_events] == [event.id for event in seen if event.time.ToDatetime() < third.time.ToDatetime()]
    since = await service.page(start_time=third.time, actor=third.actor)
    assert {event.id for event in since.audit_events} == {event.id for event in seen[:3]}
    with pytest.raises(InvalidArgument, match="end_time"):
        await service.page(start_time=third.time, end_time=third.time)
    with pytest.raises(InvalidArgument, match=r"kinds\[1\]"):
        await service.page(kinds=[Kind.AUDIT_EVENT_KIND_SIGNED_IN, 9999])


async def test_a_rare_kind_is_found_without_reading_the_others(service: Service) -> None:
    """Beside the passwords that were guessed in a year an erasure is one in a million."""
    many = """INSERT INTO audit_events (project, time, kind, actor, subject, details, correlation_id)
        SELECT project, now() - n * interval '1 second', 'sign_in_failed', actor, subject, details, correlation_id
        FROM audit_events, generate_series(1, 20000) n WHERE kind = 'role_changed'"""
    asked = """EXPLAIN SELECT * FROM audit_events WHERE project = 'default' AND kind IN ('role_changed')
        ORDER BY time DESC, id DESC LIMIT 101"""
    async with service.database.begin() as connection:
        await connection.execute(text(many))
        await connection.execute(text("ANALYZE audit_events"))
        plan = "\n".join((await connection.execute(text(asked))).scalars())
    assert "audit_events_of_kind" in plan, plan
    assert "Sort" not in plan, plan


async def test_each_project_has_a_log_of_its_own_and_reading_it_takes_the_scope(service: Service) -> None:
    project = project_service_pb2.CreateProjectRequest(project=project_pb2.Project(id="shop"))
    await service.call(ProjectServiceStub, "CreateProject", project)
    request = api_key_pb2.CreateApiKeyRequest(name="shop", scopes=["audit:read"], project="shop")
    of_shop = await service.call(AuthServiceStub, "CreateApiKey", request)
    metadata = (("authorization", f"Bearer {of_shop.secret}"),)
    (event,) = (await service.page(metadata)).audit_events
    assert event.subject == f"api_key:{of_shop.api_key.id}"
    request = api_key_pb2.CreateApiKeyRequest(name="small", scopes=["users:read"])
    small = await service.call(AuthServiceStub, "CreateApiKey", request)
    with pytest.raises(PermissionDenied):
        await service.page((("authorization", f"Bearer {small.secret}"),))


async def test_no_address_name_password_or_token_is_in_it(service: Service) -> None:
    tokens = await service.log_in()
    with pytest.raises(Unauthenticated):
        await service.log_in("a wrong password")
    async with service.database.connect() as connection:
        everything = str((await connection.execute(text("SELECT to_jsonb(a) FROM audit_events a"))).scalars().all()).lower()
    for secret in (EMAIL, PASSWORD, "a wrong password", API_KEY, tokens.access_token, tokens.refresh_token):
        assert secret.lower() not in everything


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"])
async def test_the_database_keeps_entries_as_they_are(service: Service, statement: str) -> None:
    with pytest.raises(DBAPIError, match="neither changed nor removed"):
        async with service.database.begin() as connection:
            await connection.execute(text(statement))


async def test_only_what_is_older_than_the_setting_is_forgotten(service: Service) -> None:
    repository = AuditRepository(service.database)
    for days in (401, 399):
        await repository.add(NewEvent(FIRST_PROJECT, AuditKind.EMAIL_CHANGED, f"user:{days}"))
        aged = f"""INSERT INTO audit_events (project, time, kind, actor, subject, details, correlation_id)
            SELECT project, now() - interval '{days} days', kind, actor, 'old:{days}', details, ''
            FROM audit_events WHERE subject = 'user:{days}'"""
        async with service.database.begin() as connection:
            await connection.execute(text(aged))
    await repository.forget(timedelta(days=400))
    kept = await service.events("EMAIL_CHANGED")
    assert [subject for _, subject, _ in kept] == ["user:399", "user:401", "old:399"]


async def test_however_many_are_old_all_are_forgotten(service: Service) -> None:
    """Guessers of passwords and askers for lost ones make more in an hour than one transaction should delete."""
    aged = """INSERT INTO audit_events (project, time, kind, actor, subject, details, correlation_id)
        SELECT project, now() - interval '401 days', kind, actor, 'old', details, '' FROM audit_events, generate_series(1, 7)"""
    async with service.database.begin() as connection:
        await connection.execute(text(aged))
    await AuditRepository(service.database, at_once=2).forget(timedelta(days=400))
    assert (await service.page(subject="old")).audit_events == []


async def test_what_another_service_hands_over_is_kept_once(service: Service) -> None:
    entry = audit_service_pb2.ServiceAuditEvent(
        id=new_id(),
        project=FIRST_PROJECT,
        kind=Kind.AUDIT_EVENT_KIND_SENDER_DOMAIN_VERIFIED,
        actor="api_key:k1",
        subject=f"sender_domain:{'a' * 240}.example",
        details={"at": "2026-11-01T00:00:00+00:00"},
        correlation_id="c-1",
    )
    lost = audit_service_pb2.ServiceAuditEvent(id=new_id(), project="no-such-project", kind=Kind.AUDIT_EVENT_KIND_SENDER_CHANGED)
    request = audit_service_pb2.KeepAuditEventsRequest(events=[entry, lost])
    for _ in range(2):
        await service.call(AuditServiceStub, "KeepAuditEvents", request, TEMPLATES)
    wanted = audit_service_pb2.ListAuditEventsRequest(subject=entry.subject)
    (kept,) = (await service.call(AuditServiceStub, "ListAuditEvents", wanted)).audit_events
    assert (kept.kind, kept.actor, kept.correlation_id, dict(kept.details)) == (entry.kind, entry.actor, "c-1", dict(entry.details))


async def test_only_template_svc_hands_entries_over_and_only_of_its_kinds(service: Service) -> None:
    """Who has taken over another service writes no history of sign-ins."""

    def request(kind: int, identifier: str) -> audit_service_pb2.KeepAuditEventsRequest:
        event = audit_service_pb2.ServiceAuditEvent(id=identifier, project=FIRST_PROJECT, kind=kind)  # type: ignore[arg-type]  # as a wire has it
        return audit_service_pb2.KeepAuditEventsRequest(events=[event])

    for metadata in (OPERATOR, GATEWAY):
        with pytest.raises(ServiceError) as refused:
            await service.call(AuditServiceStub, "KeepAuditEvents", request(Kind.AUDIT_EVENT_KIND_SENDER_CHANGED, new_id()), metadata)
        assert refused.value.code in {Code.PERMISSION_DENIED, Code.UNAUTHENTICATED}
    for kind, identifier in ((Kind.AUDIT_EVENT_KIND_SIGNED_IN, new_id()), (9999, new_id()), (Kind.AUDIT_EVENT_KIND_SENDER_CHANGED, "x")):
        with pytest.raises(InvalidArgument):
            await service.call(AuditServiceStub, "KeepAuditEvents", request(kind, identifier), TEMPLATES)
