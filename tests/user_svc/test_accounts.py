"""Facts about links in mails: user_svc over gRPC, and its tables in PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import event, text

from clarion.channel.v1 import channel_pb2
from clarion.user.v1 import account_service_pb2 as rpc
from clarion.user.v1 import api_key_pb2, audit_service_pb2, auth_service_pb2, recipient_service_pb2, user_pb2, user_service_pb2
from clarion.user.v1.account_service_pb2_grpc import AccountServiceStub
from clarion.user.v1.audit_service_pb2_grpc import AuditServiceStub
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted, ServiceError, Unauthenticated
from mesh.ids import new_id
from mesh.process.settings import Env
from mesh.rpc.channel import to_service_error
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import SECRET, service_metadata
from naming.account_mails import ADDRESS_VERIFICATION, CATEGORY, PASSWORD_RESET
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.factories import environ
from tests.user_svc.test_app import API_KEY
from user_svc.accounts.models import Purpose
from user_svc.accounts.repository import AccountRepository
from user_svc.accounts.tokens import LinkTokens, hash_of
from user_svc.accounts.use_cases import Accounts
from user_svc.app import open_app
from user_svc.auth.models import RefreshToken
from user_svc.auth.repository import SessionRepository
from user_svc.settings import Settings

EMAIL, PASSWORD, NEW = "Ada@Example.com", "correct horse battery", "seven quiet rivers below"
OPERATOR = (("authorization", f"Bearer {API_KEY}"),)
GATEWAY, WORKER = service_metadata("gateway"), service_metadata("email_worker")
CONSOLE = "https://clarion.example.com/console/"


@dataclass
class Service:
    """user_svc with one person, and its database."""

    channel: grpc.aio.Channel
    database: Database
    user_id: str = ""

    async def call(self, stub: Any, method: str, request: Any, metadata: Any = ()) -> Any:
        try:
            return await getattr(stub(self.channel), method)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise to_service_error(error) from None

    async def log_in(self, password: str = PASSWORD) -> Any:
        return await self.call(AuthServiceStub, "Login", auth_service_pb2.LoginRequest(email=EMAIL, password=password))

    async def user(self) -> user_pb2.User:
        found = await self.call(UserServiceStub, "GetUser", user_service_pb2.GetUserRequest(id=self.user_id), OPERATOR)
        user: user_pb2.User = found.user
        return user

    async def ask_for_reset(self, email: str = EMAIL, project: str = "") -> None:
        await self.call(AccountServiceStub, "RequestPasswordReset", rpc.RequestPasswordResetRequest(email=email, project=project))

    async def ask_for_verification(self, user_id: str = "", metadata: Any = OPERATOR) -> None:
        request = rpc.RequestAddressVerificationRequest(user_id=user_id or self.user_id)
        await self.call(AccountServiceStub, "RequestAddressVerification", request, metadata)

    async def mails(self) -> list[Any]:
        found = await self.call(AccountServiceStub, "ClaimAccountMails", rpc.ClaimAccountMailsRequest(), GATEWAY)
        return list(found.mails)

    async def recipient(self, template: str = PASSWORD_RESET, metadata: Any = WORKER, **more: Any) -> Any:
        """What a worker is answered about the mail."""
        query = recipient_service_pb2.RecipientQuery(
            user_id=self.user_id, channel=channel_pb2.CHANNEL_EMAIL, category=CATEGORY, mandatory=True, template=template, **more
        )
        request = recipient_service_pb2.BatchResolveRecipientsRequest(queries=[query])
        (answer,) = (await self.call(RecipientServiceStub, "BatchResolveRecipients", request, metadata)).recipients
        return answer

    async def reset(self, token: str, password: str = NEW) -> None:
        await self.call(AccountServiceStub, "ResetPassword", rpc.ResetPasswordRequest(token=token, new_password=password))

    async def verify(self, token: str) -> None:
        await self.call(AccountServiceStub, "VerifyAddress", rpc.VerifyAddressRequest(token=token))

    async def events(self, kind: str) -> list[tuple[str, str, dict[str, str]]]:
        wanted = audit_service_pb2.AuditEventKind.Value(f"AUDIT_EVENT_KIND_{kind}")
        request = audit_service_pb2.ListAuditEventsRequest(kinds=[wanted])
        page = await self.call(AuditServiceStub, "ListAuditEvents", request, OPERATOR)
        return [(one.actor, one.subject, dict(one.details)) for one in page.audit_events]

    async def sql(self, statement: str) -> list[Any]:
        async with self.database.begin() as connection:
            result = await connection.execute(text(statement))
            return list(result) if result.returns_rows else []


@asynccontextmanager
async def open_service(postgres_url: NewDatabase) -> AsyncIterator[Service]:
    """user_svc with Ada, who has a password."""
    url = await postgres_url("user_svc")
    more = {"CLARION_BOOTSTRAP_API_KEY": API_KEY, "CLARION_CONSOLE_URL": CONSOLE}
    async with (
        open_app(Settings.from_env(Env(environ(url, **more)))) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        open_database(DatabaseSettings(url)) as database,
    ):
        await app.health.probe()
        made = Service(channel, database)
        request = user_service_pb2.CreateUserRequest(email=EMAIL, password=PASSWORD, name="Ada", locale="de")
        made.user_id = (await made.call(UserServiceStub, "CreateUser", request, OPERATOR)).user.id
        yield made


@pytest.fixture
async def service(postgres_url: NewDatabase) -> AsyncIterator[Service]:
    async with open_service(postgres_url) as made:
        yield made


async def test_a_lost_password_is_replaced_by_what_the_mail_holds(service: Service) -> None:
    old = await service.log_in()
    await service.ask_for_reset("ADA@example.com")
    (mail,) = await service.mails()
    assert (mail.user_id, mail.template, mail.project) == (service.user_id, PASSWORD_RESET, "default")
    account = (await service.recipient()).account
    assert account.link == f"{CONSOLE}reset-password#{account.code}"
    await service.reset(account.code)
    with pytest.raises(Unauthenticated):
        await service.log_in()
    await service.log_in(NEW)
    with pytest.raises(Unauthenticated):
        await service.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=old.refresh_token))
    assert (await service.user()).email_verified
    (event_,) = await service.events("PASSWORD_RESET")
    assert event_ == (f"user:{service.user_id}", f"user:{service.user_id}", {"sessions_ended": "1"})


async def test_a_link_works_once_and_one_of_its_kind_uses_up_the_others(service: Service) -> None:
    tokens = []
    for _ in range(2):
        await service.ask_for_reset()
        tokens.append((await service.recipient()).account.code)
    assert len(set(tokens)) == 2
    await service.reset(tokens[0])
    for token in (*tokens, "no-token-at-all", "\0"):
        with pytest.raises(InvalidArgument) as refused:
            await service.reset(token, "another seven quiet rivers")
        assert refused.value.reason == "RESET_LINK_INVALID"
    await service.log_in(NEW)
    assert (await service.recipient()).rule == "account_link:over"


async def test_a_link_ends_with_the_password_that_it_replaces(service: Service) -> None:
    """Also where that one was changed in another way: who had asked for it may be whom the change was to keep out."""
    await service.ask_for_reset()
    token = (await service.recipient()).account.code
    own = (("authorization", f"Bearer {(await service.log_in()).access_token}"),)
    request = auth_service_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW)
    await service.call(AuthServiceStub, "ChangePassword", request, own)
    assert (await service.recipient()).rule == "account_link:over"
    with pytest.raises(InvalidArgument) as refused:
        await service.reset(token, "another seven quiet rivers")
    assert refused.value.reason == "RESET_LINK_INVALID"
    await service.log_in(NEW)
    # the next one is for the next password
    await service.ask_for_reset()
    await service.reset((await service.recipient()).account.code, "another seven quiet rivers")


async def test_a_log_in_that_was_under_way_opens_no_session_after_a_reset(service: Service) -> None:
    """Its password was checked before, and was the old one."""
    sessions = SessionRepository(service.database)
    login = await sessions.find_login("default", EMAIL.lower())
    assert login is not None
    now = datetime.now(UTC)
    for number, opened in ((0, True), (1, False)):
        token = RefreshToken(f"{number}".encode(), service.user_id, new_id(), now, now + timedelta(days=1))
        assert await sessions.add_refresh_token(token, login.credential_version) is opened
        if opened:
            await service.ask_for_reset()
            await service.reset((await service.recipient()).account.code)
    assert await service.sql("SELECT 1 FROM refresh_tokens") == []


async def test_log_ins_with_the_old_password_leave_no_session_whenever_they_end(service: Service) -> None:
    for number in range(5):
        old, new = (PASSWORD if number == 0 else f"{NEW} {number - 1}"), f"{NEW} {number}"
        await service.sql("DELETE FROM account_links")
        await service.ask_for_reset()
        token = (await service.recipient()).account.code
        await asyncio.gather(service.reset(token, new), *(service.log_in(old) for _ in range(6)), return_exceptions=True)
        assert await service.sql("SELECT 1 FROM refresh_tokens") == []


async def test_who_may_change_people_takes_no_account_over_by_its_address(service: Service) -> None:
    """Nor does a list of many: the address of someone who signs in is where a new password goes."""
    made = await service.call(
        AuthServiceStub, "CreateApiKey", api_key_pb2.CreateApiKeyRequest(name="crm", scopes=["users:write", "users:read"]), OPERATOR
    )
    crm = (("authorization", f"Bearer {made.secret}"),)
    for external_id, email in (("ada", ""), ("bob", "bob@example.com")):
        user = user_pb2.User(external_id=external_id, email=email)
        user_id, paths = (service.user_id, ["external_id"]) if not email else ("bob", ["email"])
        request = user_service_pb2.UpdateUserRequest(id=user_id, user=user, update_mask=FieldMask(paths=paths), allow_missing=True)
        await service.call(UserServiceStub, "UpdateUser", request, crm)

    async def change(user_id: str, email: str) -> None:
        user, mask = user_pb2.User(email=email, name="New"), FieldMask(paths=["email", "name"])
        await service.call(UserServiceStub, "UpdateUser", user_service_pb2.UpdateUserRequest(id=user_id, user=user, update_mask=mask), crm)

    for email in ("thief@example.com", ""):
        with pytest.raises(PermissionDenied) as refused:
            await change(service.user_id, email)
        assert (refused.value.reason, refused.value.metadata["scope"]) == ("SCOPE_MISSING", "users:admin")
    await change(service.user_id, EMAIL.lower())
    await change("bob", "bobby@example.com")
    people = [
        user_pb2.User(external_id="ada", email="thief@example.com"),
        user_pb2.User(external_id="bob", email="robert@example.com"),
    ]
    answer = await service.call(UserServiceStub, "BatchUpsertUsers", user_service_pb2.BatchUpsertUsersRequest(users=people), crm)
    assert [result.WhichOneof("result") for result in answer.results] == ["error", "id"]
    assert (await service.user()).email == EMAIL.lower()


async def test_of_uses_at_the_same_time_one_counts(service: Service) -> None:
    await service.ask_for_reset()
    token = (await service.recipient()).account.code
    results = await asyncio.gather(*(service.reset(token, f"{NEW} {number}") for number in range(6)), return_exceptions=True)
    assert Counter(getattr(result, "reason", None) for result in results) == {None: 1, "RESET_LINK_INVALID": 5}
    (won,) = [number for number, result in enumerate(results) if result is None]
    await service.log_in(f"{NEW} {won}")


@pytest.mark.parametrize("end", ["expire_time = now()", "use_time = now()", "address = 'other@example.com'"])
async def test_what_is_too_old_used_or_for_another_address_sets_no_password(service: Service, end: str) -> None:
    await service.ask_for_reset()
    token = (await service.recipient()).account.code
    await service.sql(f"UPDATE account_links SET {end}")
    with pytest.raises(InvalidArgument, match="token"):
        await service.reset(token)
    assert (await service.recipient()).rule == "account_link:over"
    await service.log_in()


async def test_a_password_that_is_guessed_first_leaves_the_link_usable(service: Service) -> None:
    await service.ask_for_reset()
    token = (await service.recipient()).account.code
    for weak in ("short", "aaaaaaaaaaaaaaaa", EMAIL):
        with pytest.raises(InvalidArgument, match="new_password"):
            await service.reset(token, weak)
    await service.reset(token)


async def test_the_answer_is_the_same_and_costs_the_same_for_an_address_of_no_one(service: Service) -> None:
    """One statement differs in nothing but its values: no one learns who is here from what the database does."""
    hushed = new_id()[:8]
    await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(email=f"{hushed}@example.com"), OPERATOR)
    seen: list[list[str]] = []
    async with open_database(DatabaseSettings(service.database.engine.url.render_as_string(hide_password=False))) as database:
        accounts = Accounts(AccountRepository(database), LinkTokens(SECRET), hash_new=_no_hash, prove_address=_no_proof)
        event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *args: seen[-1].append(args[2]))
        for email in (EMAIL, "no-one@example.com", f"{hushed}@example.com", "no address"):
            seen.append([])
            await accounts.request_password_reset("default", email)
    assert all(one == seen[0] for one in seen)
    assert Counter(row.user_id is None for row in await service.sql("SELECT user_id FROM account_links")) == {True: 3, False: 1}
    assert len(await service.mails()) == 1
    assert sorted(subject for _, subject, _ in await service.events("PASSWORD_RESET_REQUESTED")) == ["", "", "", f"user:{service.user_id}"]
    assert not await service.sql("SELECT 1 FROM account_links WHERE user_id IS NULL AND address <> ''")


async def _no_hash(*_: object) -> str:
    raise AssertionError("nothing is hashed for who only asks")


async def _no_proof(sha256: bytes) -> bool:
    raise AssertionError(sha256)


async def test_an_account_gets_three_mails_an_hour_whatever_is_asked(service: Service) -> None:
    await asyncio.gather(*(service.ask_for_reset() for _ in range(12)))
    assert len(await service.mails()) == 3
    await service.sql("UPDATE account_links SET create_time = now() - interval '61 minutes'")
    await service.ask_for_reset()
    assert len(await service.mails()) == 1


async def test_a_mail_is_handed_out_once_and_again_where_it_was_not_settled(service: Service) -> None:
    await service.ask_for_reset()
    (mail,) = await service.mails()
    assert await service.mails() == []
    await service.sql("UPDATE account_links SET claim_time = now() - interval '61 seconds'")
    assert [one.id for one in await service.mails()] == [mail.id]
    await service.call(AccountServiceStub, "SettleAccountMails", rpc.SettleAccountMailsRequest(ids=[mail.id, new_id(), "odd"]), GATEWAY)
    await service.sql("UPDATE account_links SET claim_time = now() - interval '61 seconds'")
    assert await service.mails() == []


async def test_only_the_worker_that_sends_the_mail_sees_what_opens_the_account(service: Service) -> None:
    await service.ask_for_reset()
    for other in (GATEWAY, service_metadata("push_worker")):
        account = (await service.recipient(metadata=other)).account
        assert set(account.code) == {"\u2022"}
        assert account.link.endswith(f"#{account.code}")
    assert (await service.recipient(email="thief@example.com")).rule == "account_link:elsewhere"
    assert not (await service.recipient(template="welcome")).HasField("account")
    assert (await service.recipient(template=ADDRESS_VERIFICATION)).rule == "account_link:over"


async def test_only_hashes_are_kept_and_a_replaced_secret_still_makes_the_mail(service: Service) -> None:
    await service.ask_for_reset()
    account = (await service.recipient()).account
    ((link_id, kept),) = await service.sql("SELECT id::text, token_sha256 FROM account_links")
    assert kept == hash_of(account.code)
    assert not [row for row in await service.sql("SELECT account_links::text AS row FROM account_links") if account.code in row.row]
    replaced = Accounts(
        AccountRepository(service.database), LinkTokens("a new secret " * 4, old=SECRET), hash_new=_no_hash, prove_address=_no_proof
    )
    asked = (service.user_id, Purpose.PASSWORD_RESET)
    assert (await replaced.secrets_of([asked], masked=False))[asked].code == account.code
    lost = Accounts(AccountRepository(service.database), LinkTokens("a new secret " * 4), hash_new=_no_hash, prove_address=_no_proof)
    assert await lost.secrets_of([asked], masked=False) == {}
    assert LinkTokens(SECRET).of(link_id, kept) == account.code


async def test_an_address_is_verified_by_its_mail_until_it_changes(service: Service) -> None:
    assert not (await service.user()).email_verified
    own = (("authorization", f"Bearer {(await service.log_in()).access_token}"),)
    await service.ask_for_verification(metadata=own)
    account = (await service.recipient(ADDRESS_VERIFICATION)).account
    assert account.link == f"{CONSOLE}verify-address#{account.code}"
    with pytest.raises(InvalidArgument, match="token"):
        await service.reset(account.code)  # a link does what it was made for, and nothing else
    await service.verify(account.code)
    assert (await service.user()).email_verified
    (event_,) = await service.events("EMAIL_VERIFIED")
    assert event_[1] == f"user:{service.user_id}"
    with pytest.raises(InvalidArgument) as refused:
        await service.verify(account.code)
    assert refused.value.reason == "VERIFICATION_LINK_INVALID"
    await service.mails()
    await service.ask_for_verification()
    assert await service.mails() == []  # nothing is left to prove
    for email, verified in (("ADA@example.com", True), ("other@example.com", False)):
        request = user_service_pb2.UpdateUserRequest(
            id=service.user_id, user=user_pb2.User(email=email), update_mask=FieldMask(paths=["email"])
        )
        changed = (await service.call(UserServiceStub, "UpdateUser", request, OPERATOR)).user
        assert changed.email_verified == verified


async def test_a_link_for_the_address_before_verifies_nothing(service: Service) -> None:
    await service.ask_for_verification()
    token = (await service.recipient(ADDRESS_VERIFICATION)).account.code
    await service.sql("UPDATE users SET email = 'other@example.com'")
    assert (await service.recipient(ADDRESS_VERIFICATION)).rule == "account_link:over"
    with pytest.raises(InvalidArgument):
        await service.verify(token)
    assert not (await service.user()).email_verified


async def test_asking_for_a_verification_says_what_is_wrong(service: Service) -> None:
    other = (
        await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(external_id="own", name="Eve"), OPERATOR)
    ).user.id
    own = (("authorization", f"Bearer {(await service.log_in()).access_token}"),)
    wrong: list[tuple[str, Any, type[ServiceError], str]] = [
        (other, own, PermissionDenied, "NOT_OWNER"),
        (other, OPERATOR, FailedPrecondition, "ADDRESS_MISSING"),
        ("own", OPERATOR, FailedPrecondition, "ADDRESS_MISSING"),
        (new_id(), OPERATOR, ServiceError, "USER_NOT_FOUND"),
    ]
    for user_id, metadata, kind, reason in wrong:
        with pytest.raises(kind) as refused:
            await service.ask_for_verification(user_id, metadata)
        assert refused.value.reason == reason
    for _ in range(3):
        await service.ask_for_verification()
    with pytest.raises(ResourceExhausted) as limited:
        await service.ask_for_verification()
    assert (limited.value.reason, limited.value.retry_after_s) == ("ACCOUNT_MAILS_LIMITED", 3600)


async def test_erasing_a_person_takes_their_links_along_and_old_ones_are_forgotten(service: Service) -> None:
    await service.ask_for_reset()
    await service.ask_for_reset("no-one@example.com")
    await service.sql("DELETE FROM users")
    assert [row.user_id for row in await service.sql("SELECT user_id FROM account_links")] == [None]
    await AccountRepository(service.database).forget_ended()
    assert len(await service.sql("SELECT 1 FROM account_links")) == 1
    await service.sql("UPDATE account_links SET expire_time = now() - interval '61 minutes'")
    await AccountRepository(service.database).forget_ended()
    assert await service.sql("SELECT 1 FROM account_links") == []
