"""Facts about second factors: user_svc over gRPC, its tables in PostgreSQL, and the codes of RFC 6238."""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import text

from clarion.user.v1 import account_service_pb2, audit_service_pb2, auth_service_pb2, session_pb2, user_service_pb2
from clarion.user.v1 import second_factor_service_pb2 as rpc
from clarion.user.v1.account_service_pb2_grpc import AccountServiceStub
from clarion.user.v1.audit_service_pb2_grpc import AuditServiceStub
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.second_factor_service_pb2_grpc import SecondFactorServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
    Unauthenticated,
)
from mesh.ids import new_id
from mesh.process.settings import Env
from mesh.rpc.channel import to_service_error
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.factories import environ
from tests.user_svc.test_app import API_KEY
from user_svc.app import open_app
from user_svc.auth.models import RefreshToken
from user_svc.auth.repository import SessionRepository
from user_svc.second_factor import codes
from user_svc.second_factor.repository import SecondFactorRepository
from user_svc.settings import Settings

EMAIL, ROOT, PASSWORD = "ada@example.com", "root@example.com", "correct horse battery"
OPERATOR = (("authorization", f"Bearer {API_KEY}"),)


@dataclass
class App:
    """An authenticator app. Each of its codes is of the next step that was not used, within what counts as now."""

    secret: str
    used: set[int] = field(default_factory=set)

    def code(self) -> str:
        """A code that is good and was not used; at most three at a time."""
        now = int(time.time()) // codes.STEP_S
        step = next(step for step in (now - 1, now, now + 1) if step not in self.used and step > max(self.used, default=0))
        self.used.add(step)
        return self.at(step)

    def at(self, step: int) -> str:
        key = base64.b32decode(self.secret)
        return TOTP(key, codes.DIGITS, SHA1(), codes.STEP_S).generate(step * codes.STEP_S).decode()

    def wrong(self) -> str:
        """What no step around now has."""
        now = int(time.time()) // codes.STEP_S
        good = {self.at(step) for step in range(now - 5, now + 6)}
        return next(code for code in (f"{number:06}" for number in range(100)) if code not in good)


@dataclass
class Service:
    """user_svc with a person and an administrator, and its database."""

    channel: grpc.aio.Channel
    database: Database
    user_id: str = ""

    async def call(self, stub: Any, method: str, request: Any, metadata: Any = ()) -> Any:
        try:
            return await getattr(stub(self.channel), method)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise to_service_error(error) from None

    async def log_in(self, code: str = "", email: str = EMAIL, password: str = PASSWORD) -> Any:
        request = auth_service_pb2.LoginRequest(email=email, password=password, code=code)
        return await self.call(AuthServiceStub, "Login", request)

    async def as_person(self, code: str = "", email: str = EMAIL) -> Any:
        return bearer(await self.log_in(code, email))

    async def begin(self, metadata: Any, password: str = PASSWORD) -> Any:
        return await self.call(
            SecondFactorServiceStub, "BeginSecondFactor", rpc.BeginSecondFactorRequest(current_password=password), metadata
        )

    async def confirm(self, metadata: Any, code: str) -> list[str]:
        answer = await self.call(SecondFactorServiceStub, "ConfirmSecondFactor", rpc.ConfirmSecondFactorRequest(code=code), metadata)
        return list(answer.recovery_codes)

    async def enrolled(self, email: str = EMAIL) -> tuple[App, list[str], Any]:
        """The person's app, recovery codes, and credential."""
        metadata = await self.as_person(email=email)
        app = App((await self.begin(metadata)).secret)
        return app, await self.confirm(metadata, app.code()), metadata

    async def standing(self, metadata: Any = OPERATOR, user_id: str = "") -> Any:
        request = rpc.GetSecondFactorRequest(user_id=user_id or self.user_id)
        return (await self.call(SecondFactorServiceStub, "GetSecondFactor", request, metadata)).second_factor

    async def remove(self, metadata: Any, code: str = "", user_id: str = "") -> None:
        request = rpc.RemoveSecondFactorRequest(user_id=user_id or self.user_id, code=code)
        await self.call(SecondFactorServiceStub, "RemoveSecondFactor", request, metadata)

    async def events(self, kind: str) -> list[tuple[str, str, dict[str, str]]]:
        wanted = audit_service_pb2.AuditEventKind.Value(f"AUDIT_EVENT_KIND_{kind}")
        request = audit_service_pb2.ListAuditEventsRequest(kinds=[wanted])
        page = await self.call(AuditServiceStub, "ListAuditEvents", request, OPERATOR)
        return [(one.actor, one.subject, dict(one.details)) for one in page.audit_events]

    async def sql(self, statement: str) -> list[Any]:
        async with self.database.begin() as connection:
            result = await connection.execute(text(statement))
            return list(result) if result.returns_rows else []


def bearer(tokens: Any) -> Any:
    return (("authorization", f"Bearer {tokens.access_token}"),)


@pytest.fixture
def settings() -> dict[str, str]:
    """What a test has otherwise."""
    return {}


@pytest.fixture
async def service(postgres_url: NewDatabase, settings: dict[str, str]) -> AsyncIterator[Service]:
    url = await postgres_url("user_svc")
    more = {"CLARION_BOOTSTRAP_API_KEY": API_KEY, "CLARION_ADMIN_EMAIL": ROOT, "CLARION_ADMIN_PASSWORD": PASSWORD, **settings}
    async with (
        open_app(Settings.from_env(Env(environ(url, **more)))) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        open_database(DatabaseSettings(url)) as database,
    ):
        await app.health.probe()
        made = Service(channel, database)
        request = user_service_pb2.CreateUserRequest(email=EMAIL, password=PASSWORD, name="Ada")
        made.user_id = (await made.call(UserServiceStub, "CreateUser", request, OPERATOR)).user.id
        yield made


def test_codes_are_those_of_the_specification() -> None:
    """The SHA-1 vectors of RFC 6238, appendix B, of which an app shows the last six digits."""
    secret = b"12345678901234567890"
    for at, code in {59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"}.items():
        assert codes.step_of(secret, code, datetime.fromtimestamp(at, UTC)) == at // 30
        for off in (-30, 30) if at > 60 else ():
            assert codes.step_of(secret, code, datetime.fromtimestamp(at + off, UTC)) == at // 30
        for off in (-60, 60) if at > 60 else (60,):
            assert codes.step_of(secret, code, datetime.fromtimestamp(at + off, UTC)) is None


async def test_once_confirmed_each_sign_in_needs_a_code_of_the_app(service: Service) -> None:
    other, own = await service.log_in(), await service.as_person()
    begun = await service.begin(own)
    await service.log_in()  # nothing is asked for yet
    parts = urlsplit(begun.otpauth_uri)
    assert (parts.scheme, parts.netloc, parse_qs(parts.query)["secret"]) == ("otpauth", "totp", [begun.secret])
    app = App(begun.secret)
    recovery = await service.confirm(own, app.code())
    assert len({*recovery}) == 10
    for code, reason in (("", "SECOND_FACTOR_REQUIRED"), (app.wrong(), "SECOND_FACTOR_WRONG"), ("abcd-efgh", "SECOND_FACTOR_WRONG")):
        with pytest.raises(Unauthenticated) as refused:
            await service.log_in(code)
        assert refused.value.reason == reason
    with pytest.raises(Unauthenticated) as refused:
        await service.log_in(app.code(), password="not the password")
    assert refused.value.reason == "LOGIN_FAILED"  # the password first: without it nothing shows that there is a second factor
    spoken = app.code()
    await service.log_in(f" {spoken[:3]} {spoken[3:]} ")
    with pytest.raises(Unauthenticated):
        await service.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=other.refresh_token))
    assert (await service.standing(own)).enabled
    assert [subject for _, subject, _ in await service.events("SECOND_FACTOR_ADDED")] == [f"user:{service.user_id}"]
    why = Counter(details.get("why") for _, _, details in await service.events("SIGN_IN_FAILED"))
    assert why == {"SECOND_FACTOR_WRONG": 2, None: 1}


async def test_a_code_works_once_also_for_uses_at_the_same_time(service: Service) -> None:
    app, _, _ = await service.enrolled()
    code = app.code()
    results = await asyncio.gather(*(service.log_in(code) for _ in range(4)), return_exceptions=True)
    assert Counter(getattr(result, "reason", "in") for result in results) == {"in": 1, "SECOND_FACTOR_WRONG": 3}
    # nor does one of a step before
    with pytest.raises(Unauthenticated):
        await service.log_in(app.at(max(app.used) - 1))


async def test_of_confirmations_at_the_same_time_one_answers_codes_and_they_work(service: Service) -> None:
    """Two codes are good at once, that of now and that of the step before."""
    own, other = await service.as_person(), await service.log_in()
    app = App((await service.begin(own)).secret)
    results = await asyncio.gather(*(service.confirm(own, code) for code in (app.code(), app.code())), return_exceptions=True)
    (shown,) = [result for result in results if isinstance(result, list)]
    (refused,) = [result for result in results if isinstance(result, ServiceError)]
    assert refused.reason in {"SECOND_FACTOR_EXISTS", "SECOND_FACTOR_WRONG"}
    await service.log_in(shown[0])
    with pytest.raises(Unauthenticated):
        await service.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=other.refresh_token))


async def test_what_was_proven_of_a_secret_confirms_no_other(service: Service) -> None:
    """Begun again while a code of the first one is looked at."""
    own, rows = await service.as_person(), SecondFactorRepository(service.database)
    await service.begin(own)
    kept = await rows.find(service.user_id)
    assert kept is not None
    await service.begin(own)
    assert not await rows.confirm("default", service.user_id, kept.sealed_secret, [b"code"])
    assert not (await service.standing(own)).enabled


async def test_recovery_codes_that_are_made_at_the_same_time_replace_each_other(service: Service) -> None:
    await service.enrolled()
    rows = SecondFactorRepository(service.database)
    made = [[bytes([number, each]) for each in range(10)] for number in range(6)]
    assert all(await asyncio.gather(*(rows.replace_recovery_codes("default", service.user_id, hashes) for hashes in made)))
    assert (await service.standing()).recovery_codes_left == 10
    await service.remove(OPERATOR)
    assert not await rows.replace_recovery_codes("default", service.user_id, made[0])


async def test_a_log_in_without_a_code_that_was_under_way_opens_no_session_once_there_is_one(service: Service) -> None:
    sessions = SessionRepository(service.database)
    login = await sessions.find_login("default", EMAIL)
    assert login is not None
    await service.enrolled()
    now = datetime.now(UTC)
    token = RefreshToken(b"late", service.user_id, new_id(), now, now + timedelta(days=1))
    assert not await sessions.add_refresh_token(token, login.credential_version)


async def test_five_wrong_codes_make_the_next_ones_wait_and_a_recovery_code_does_not(service: Service) -> None:
    app, recovery, _ = await service.enrolled()
    results = await asyncio.gather(*(service.log_in(app.wrong()) for _ in range(9)), return_exceptions=True)
    assert Counter(getattr(result, "reason", "in") for result in results) == {"SECOND_FACTOR_WRONG": 5, "SECOND_FACTOR_THROTTLED": 4}
    with pytest.raises(ResourceExhausted) as limited:
        await service.log_in(app.at(int(time.time()) // codes.STEP_S))
    assert 0 < (limited.value.retry_after_s or 0) <= 900
    await service.sql("UPDATE second_factors SET wrong_time = now() - interval '901 seconds'")
    with pytest.raises(Unauthenticated):
        await service.log_in(app.wrong())
    with pytest.raises(ResourceExhausted):
        await service.log_in(app.at(int(time.time()) // codes.STEP_S))  # one guess each quarter of an hour
    await service.log_in(recovery[0].upper().replace("-", " "))
    await service.log_in(app.code())
    with pytest.raises(Unauthenticated):
        await service.log_in(recovery[0])
    assert (await service.standing()).recovery_codes_left == 9
    assert [details for _, _, details in await service.events("RECOVERY_CODE_USED")] == [{"left": "9"}]


async def test_recovery_codes_are_replaced_by_the_person_with_a_code(service: Service) -> None:
    app, recovery, own = await service.enrolled()

    async def renew(code: str) -> list[str]:
        answer = await service.call(SecondFactorServiceStub, "CreateRecoveryCodes", rpc.CreateRecoveryCodesRequest(code=code), own)
        return list(answer.recovery_codes)

    for bad in (app.wrong(), recovery[0]):
        with pytest.raises(PermissionDenied) as refused:
            await renew(bad)
        assert refused.value.reason == "SECOND_FACTOR_WRONG"
    fresh = await renew(app.code())
    assert not {*fresh} & {*recovery}
    with pytest.raises(Unauthenticated):
        await service.log_in(recovery[1])
    await service.log_in(fresh[0])


async def test_the_person_removes_it_with_a_code_and_an_administrator_without(service: Service) -> None:
    app, recovery, own = await service.enrolled()
    for code, kind in (("", InvalidArgument), (app.wrong(), PermissionDenied)):
        with pytest.raises(kind):
            await service.remove(own, code)
    await service.remove(own, recovery[0])
    assert not (await service.standing()).enabled
    await service.log_in()
    _, _, own = await service.enrolled()
    await service.remove(OPERATOR)
    with pytest.raises(FailedPrecondition) as refused:
        await service.remove(OPERATOR)
    assert refused.value.reason == "SECOND_FACTOR_MISSING"
    assert [actor.split(":")[0] for actor, _, _ in await service.events("SECOND_FACTOR_REMOVED")] == ["api_key", "user"]
    # an administrator's own needs a code too
    app, _, root = await service.enrolled(ROOT)
    me = (await service.call(AuthServiceStub, "GetMe", session_pb2.GetMeRequest(), root)).me.id
    with pytest.raises(InvalidArgument):
        await service.remove(root, user_id=me)
    await service.remove(root, app.code(), me)


async def test_whom_it_is_not_about_neither_reads_nor_removes_it(service: Service) -> None:
    await service.enrolled()
    request = user_service_pb2.CreateUserRequest(email="eve@example.com", password=PASSWORD)
    await service.call(UserServiceStub, "CreateUser", request, OPERATOR)
    eve = await service.as_person(email="eve@example.com")
    for wanted in (service.standing(eve), service.remove(eve, "123456")):
        with pytest.raises(PermissionDenied) as refused:
            await wanted
        assert refused.value.reason == "NOT_OWNER"
    with pytest.raises(NotFound):
        await service.standing(OPERATOR, new_id())
    with pytest.raises(PermissionDenied) as refused:
        await service.begin(OPERATOR)
    assert refused.value.reason == "PERSON_NEEDED"
    with pytest.raises(PermissionDenied) as refused:
        await service.begin(eve, "not the password")
    assert refused.value.reason == "WRONG_PASSWORD"
    with pytest.raises(FailedPrecondition) as missing:
        await service.confirm(eve, "123456")
    assert missing.value.reason == "SECOND_FACTOR_MISSING"


async def test_there_is_one_at_a_time_and_what_was_not_confirmed_is_begun_anew(service: Service) -> None:
    own = await service.as_person()
    first, second = App((await service.begin(own)).secret), App((await service.begin(own)).secret)
    with pytest.raises(PermissionDenied):
        await service.confirm(own, first.code())
    await service.confirm(own, second.code())
    for again in (service.begin(own), service.confirm(own, second.code())):
        with pytest.raises(FailedPrecondition) as refused:
            await again
        assert refused.value.reason == "SECOND_FACTOR_EXISTS"


async def test_secrets_are_sealed_and_recovery_codes_hashed(service: Service) -> None:
    app, recovery, _ = await service.enrolled()
    ((kept,),) = await service.sql("SELECT sealed_secret FROM second_factors")
    assert base64.b32decode(app.secret) not in kept
    hashes = {row.code_sha256 for row in await service.sql("SELECT code_sha256 FROM recovery_codes")}
    assert hashes == {codes.hash_of(code) for code in recovery}
    await service.sql("UPDATE second_factors SET sealed_secret = decode('00', 'hex') || substr(sealed_secret, 2)")
    with pytest.raises(FailedPrecondition) as refused:
        await service.log_in(app.code())
    assert refused.value.reason == "SECOND_FACTOR_UNREADABLE"
    await service.log_in(recovery[0])
    await service.sql("DELETE FROM users")
    assert await service.sql("SELECT 1 FROM second_factors UNION ALL SELECT 1 FROM recovery_codes") == []


async def test_a_new_password_by_mail_takes_no_second_factor_away(service: Service) -> None:
    app, _, _ = await service.enrolled()
    await service.call(AccountServiceStub, "RequestPasswordReset", account_service_pb2.RequestPasswordResetRequest(email=EMAIL))
    assert (await service.standing()).enabled
    with pytest.raises(Unauthenticated):
        await service.log_in()
    await service.log_in(app.code())


@pytest.mark.parametrize("settings", [{"CLARION_ADMIN_SECOND_FACTOR": "true"}])
async def test_where_administrators_need_one_they_have_no_scopes_before(service: Service) -> None:
    tokens = await service.log_in(email=ROOT)
    assert (tokens.second_factor_missing, scopes_of(tokens)) == (True, "")
    with pytest.raises(ServiceError):
        await service.standing(bearer(tokens))
    app = App((await service.begin(bearer(tokens))).secret)
    await service.confirm(bearer(tokens), app.code())
    full = await service.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=tokens.refresh_token))
    assert "users:admin" in scopes_of(full)
    again = await service.log_in(app.code(), ROOT)
    assert (again.second_factor_missing, "users:admin" in scopes_of(again)) == (False, True)
    assert not (await service.log_in()).second_factor_missing  # members may, and need not
    await service.sql("DELETE FROM second_factors")
    gone = await service.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=again.refresh_token))
    assert scopes_of(gone) == ""


def scopes_of(tokens: Any) -> str:
    return str(jwt.decode(tokens.access_token, options={"verify_signature": False})["scope"])
