"""The rules of accepting a notification, with fakes; and with the real stores where they decide."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value
from redis.asyncio import Redis
from sqlalchemy import text

from clarion.channel.v1.channel_pb2 import CHANNEL_EMAIL
from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_service_pb2 import DESCRIPTOR, BatchSendNotificationsRequest, SendNotificationRequest
from gateway.accepting.admission import Admission
from gateway.accepting.convert import delivery_bytes, draft_of, fingerprint_of
from gateway.accepting.errors import TextTooLarge
from gateway.accepting.limits import AdmissionDecision, Answer, Ask, Claim, RateLimit
from gateway.accepting.models import Acceptance, Addressee, Draft, Reached, Record, Row, TemplateKey, TemplateSummary, TextSize
from gateway.accepting.notification_writer import NotificationWriter
from gateway.accepting.use_cases import Key, Sender, choose_key
from gateway.notifications.models import Channel, Status
from gateway.notifications.use_cases import Notifications
from gateway.servicer import NotificationServicer
from mesh import context
from mesh.context import FIRST_PROJECT, CallContext
from mesh.errors import InvalidArgument, PermissionDenied, ServiceError, Unavailable
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import ApiKeyInfo, Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.stores.cache import open_cache
from mesh.stores.database import Database
from mesh.stores.settings import CacheSettings
from mesh.testing import SECRET, FakeCredentials, caller
from tests.gateway.fakes import Budget, FakeCaptures, FakeFiles, FakePeople, FakeTexts, FakeZones

USER = "01890000-0000-7000-8000-000000000001"
LIMIT = RateLimit("caller", 10, 60)
NOW = datetime.now(UTC)


class FakeTemplates:
    def __init__(self) -> None:
        self.known = {"welcome": TemplateSummary(FIRST_PROJECT, "welcome", Channel.EMAIL, "news", False, 1, 3, ("name",))}
        self.error: ServiceError | None = None

    async def describe(self, key: TemplateKey) -> TemplateSummary | None:
        if self.error is not None:
            raise self.error
        return self.known.get(key.name)


ADDRESSEE = Addressee("Ada@example.com", "Ada", "pt-BR", "Europe/Lisbon")


class FakeUsers:
    def __init__(self) -> None:
        self.known = {USER: USER, "crm-17": USER}
        self.made: list[Addressee] = []

    async def find(self, project: str, reference: str) -> str | None:
        return self.known.get(reference)

    async def find_addressee(self, project: str, addressee: Addressee) -> Reached | None:
        found = self.known.get(addressee.key)
        return None if found is None else Reached(found)

    async def ensure(self, project: str, addressee: Addressee) -> Reached:
        self.made.append(addressee)
        device = "01890000-0000-7000-8000-0000000000dd" if addressee.device_token else ""
        return Reached(USER if addressee == ADDRESSEE else "01890000-0000-7000-8000-0000000000ff", device)


class FakeGate:
    policy_header = '"caller";q=10;w=60'

    def __init__(self) -> None:
        self.verdict = AdmissionDecision(Answer.ADMITTED, b"", 0, LIMIT, 9, 5_500_000)
        self.asked: list[Ask] = []
        self.released: list[Ask] = []
        self.completed: list[tuple[Claim, bytes]] = []

    async def admit(self, ask: Ask) -> AdmissionDecision:
        self.asked.append(ask)
        return self.verdict

    async def release(self, ask: Ask) -> None:
        self.released.append(ask)

    def complete(self, done: Sequence[tuple[Claim, bytes]]) -> None:
        self.completed += done


class FakeStore:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.standing: Record | None = None
        self.error: ServiceError | None = None

    async def store(self, row: Row) -> Record | None:
        if self.error is not None:
            raise self.error
        if self.standing is None:
            self.rows.append(row)
        return self.standing

    async def find(self, digest: bytes) -> Record | None:
        return self.standing


class World:
    def __init__(self) -> None:
        self.templates, self.texts, self.gate, self.store = FakeTemplates(), FakeTexts(), FakeGate(), FakeStore()
        self.users, self.zones, self.files = FakeUsers(), FakeZones(), FakeFiles()
        self.sender = Sender(
            templates=self.templates,
            users=self.users,
            zones=self.zones,
            texts=self.texts,
            files=self.files,
            admission=self.gate,
            store=self.store,
            payload=delivery_bytes,
            lease_s=3.0,
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def call() -> Iterator[CallContext]:
    served = CallContext("/m", "c-1", caller("notifications:send"))
    with context.use(served):
        yield served


def draft(**changes: object) -> Draft:
    variables = Struct()
    variables.update({"name": "Ada"})
    return Draft(user_id=USER, channel=Channel.EMAIL, template="welcome", variables=variables)._replace(**changes)  # type: ignore[arg-type]  # plain values stand for enums and fields


async def test_a_text_is_measured_only_where_it_may_be_too_large(world: World) -> None:
    welcome = world.templates.known["welcome"]
    world.templates.known["welcome"] = welcome._replace(size=TextSize(998, 20, ("name",)))
    await world.sender.send(draft(), None)
    assert world.texts.asked == []
    long = Struct()
    long.update({"name": "x" * 990})
    world.texts.error = TextTooLarge("contents.en.subject", "makes 1010 characters")
    with pytest.raises(TextTooLarge, match=r"variables: contents\.en\.subject of the template makes 1010 characters; shorten") as refused:
        await world.sender.send(draft(variables=long), None)
    assert [violation.field for violation in refused.value.violations] == ["variables"]
    assert len(world.store.rows) == 1


async def test_an_accepted_notification_is_stored_with_all_a_worker_needs(world: World, call: CallContext) -> None:
    accepted = await world.sender.send(draft(locale="pt-BR", metadata={"order": "17"}), None)
    (row,) = world.store.rows
    assert (accepted.id, accepted.status) == (row.id, Status.PENDING)
    assert row.dispatch_at - row.create_time == timedelta(seconds=3)
    assert (row.category, row.template_version, row.metadata, row.caller) == ("news", 3, '{"order":"17"}', "api_key:test-key")
    delivery = Delivery.FromString(row.payload)
    assert (delivery.notification_id, delivery.attempt, delivery.run) == (str(row.id), 1, 0)
    assert (delivery.locale, delivery.category, delivery.correlation_id) == ("pt-BR", "news", "c-1")
    assert dict(delivery.variables.items()) == {"name": "Ada"}
    assert dict(call.headers) == {"ratelimit-policy": '"caller";q=10;w=60', "ratelimit": '"caller";r=9;t=6'}


async def test_a_persons_own_id_stands_in_for_ours(world: World) -> None:
    """Row, payload and rate limit have our id, so that a person under two ids is one."""
    await world.sender.send(draft(user_id="crm-17"), None)
    (row,) = world.store.rows
    assert (str(row.user_id), Delivery.FromString(row.payload).user_id) == (USER, USER)
    assert [ask.recipient for ask in world.gate.asked] == [f"{USER}:email"]
    with pytest.raises(InvalidArgument, match="user_id"):
        await world.sender.send(draft(user_id="crm-18"), None)
    assert len(world.gate.asked) == 1


async def test_a_later_send_is_scheduled(world: World) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    accepted = await world.sender.send(draft(send_at=later), None)
    assert accepted.status is Status.SCHEDULED
    assert world.store.rows[0].dispatch_at == later
    due = Delivery.FromString(world.store.rows[0].payload).due_time
    assert due.ToDatetime(UTC) == later, "the service level counts from then on"


async def test_a_past_send_at_means_at_once(world: World) -> None:
    assert (await world.sender.send(draft(send_at=datetime.now(UTC) - timedelta(days=1)), None)).status is Status.PENDING


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"template": "nope"}, "template", "TEMPLATE_NOT_FOUND"),
        ({"channel": Channel.PUSH}, "channel", "CHANNEL_MISMATCH"),
        ({"variables": Struct()}, "variables.name", "MISSING_VARIABLE"),
        ({"variables": Struct(fields={"name": Value(null_value=NULL_VALUE)})}, "variables.name", "MISSING_VARIABLE"),
        ({"user_id": str(uuid.UUID(int=7))}, "user_id", "USER_NOT_FOUND"),
        ({"user_id": "ada"}, "user_id", "USER_NOT_FOUND"),
        ({"locale": "xx-nowhere-else"}, "locale", "INVALID_ARGUMENT"),
        ({"locale": "not a locale"}, "locale", "INVALID_ARGUMENT"),
        ({"send_at": NOW + timedelta(days=91)}, "send_at", "INVALID_ARGUMENT"),
        ({"expires_at": NOW - timedelta(seconds=1)}, "expires_at", "INVALID_ARGUMENT"),
        ({"send_at": NOW + timedelta(days=2), "expires_at": NOW + timedelta(days=1)}, "expires_at", "INVALID_ARGUMENT"),
        ({"metadata": {"a": "\0"}}, "metadata", "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_wrong_is_named(world: World, changes: dict[str, object], field: str, reason: str) -> None:
    """One clear error with its field, nothing stored, and the idempotency key free again."""
    with pytest.raises(InvalidArgument) as caught:
        await world.sender.send(draft(**changes), Key("k", b"f" * 32))
    assert caught.value.reason == reason
    assert [violation.field for violation in caught.value.violations] == [field]
    assert world.store.rows == []
    assert len(world.gate.released) == len(world.gate.asked)


async def test_an_unpublished_template_is_refused(world: World) -> None:
    world.templates.known["welcome"] = world.templates.known["welcome"]._replace(published_version=0)
    with pytest.raises(InvalidArgument) as caught:
        await world.sender.send(draft(), None)
    assert caught.value.reason == "TEMPLATE_NOT_PUBLISHED"
    assert ":publish" in caught.value.message


async def test_a_person_sends_to_themselves_only(world: World) -> None:
    with context.use(CallContext("/m", "c", caller(user_id=USER))):
        await world.sender.send(draft(), None)
        with pytest.raises(PermissionDenied):
            await world.sender.send(draft(user_id=str(uuid.UUID(int=7))), None)


async def test_a_service_that_is_down_releases_the_key(world: World) -> None:
    world.templates.error = Unavailable("down", retry_after_s=1)
    with pytest.raises(Unavailable):
        await world.sender.send(draft(), Key("k", b"f" * 32))
    assert len(world.gate.released) == 1


async def test_limits_tell_when_to_come_back(world: World, call: CallContext) -> None:
    world.gate.verdict = AdmissionDecision(Answer.CALLER_LIMITED, b"", 2_500_000, LIMIT, 0, 56_500_000)
    with pytest.raises(ServiceError) as caught:
        await world.sender.send(draft(), None)
    assert (caught.value.reason, caught.value.retry_after_s, caught.value.quota) == ("RATE_LIMITED", 2.5, "caller")
    assert dict(call.headers)["ratelimit"] == '"caller";r=0;t=3'


async def test_a_finished_request_is_replayed(world: World, call: CallContext) -> None:
    first = Acceptance(uuid.UUID(int=1), Status.PENDING, datetime(2026, 1, 1, tzinfo=UTC))
    world.gate.verdict = AdmissionDecision(Answer.REPLAY, first.pack(), 0, LIMIT, 9, 1)
    assert await world.sender.send(draft(), Key("k", b"f" * 32)) == first
    assert ("idempotency-replayed", "true") in call.headers
    assert world.store.rows == []


@pytest.mark.parametrize(
    ("answer", "stored", "reason"),
    [
        (Answer.MISMATCH, None, "IDEMPOTENCY_KEY_REUSED"),
        (Answer.IN_PROGRESS, None, "IDEMPOTENCY_IN_PROGRESS"),
        (Answer.IN_PROGRESS, b"g", "IDEMPOTENCY_KEY_REUSED"),
        (Answer.ADMITTED, b"g", "IDEMPOTENCY_KEY_REUSED"),
    ],
)
async def test_a_key_in_use_is_refused(world: World, answer: Answer, stored: bytes | None, reason: str) -> None:
    world.gate.verdict = world.gate.verdict._replace(answer=answer)
    if stored is not None:
        world.store.standing = Record(b"", stored * 32, b"", NOW)
    with pytest.raises(ServiceError) as caught:
        await world.sender.send(draft(), Key("k", b"f" * 32))
    assert caught.value.reason == reason


async def test_what_redis_forgot_the_database_replays_and_teaches(world: World) -> None:
    first = Acceptance(uuid.UUID(int=1), Status.PENDING, datetime(2026, 1, 1, tzinfo=UTC))
    world.store.standing = Record(b"d", b"f" * 32, first.pack(), NOW)
    assert await world.sender.send(draft(), Key("k", b"f" * 32)) == first
    assert [response for _, response in world.gate.completed] == [first.pack()]


def test_the_two_places_of_a_key_must_agree() -> None:
    assert choose_key("", "") == ""
    assert choose_key('"quoted"', "") == "quoted"
    assert choose_key("bare", "bare") == "bare"
    assert choose_key("", "request") == "request"
    for header, request_id in (("a", "b"), ("a\tb", ""), ("é", ""), ("x" * 256, "")):
        with pytest.raises(InvalidArgument):
            choose_key(header, request_id)


def test_a_fingerprint_ignores_where_the_key_was_given() -> None:
    request = SendNotificationRequest(user_id=USER, template="welcome", metadata={"a": "1", "b": "2"})
    other = SendNotificationRequest(user_id=USER, template="welcome", metadata={"b": "2", "a": "1"}, request_id="k")
    assert fingerprint_of(request) == fingerprint_of(other)
    other.locale = "en"
    assert fingerprint_of(request) != fingerprint_of(other)


class Real:
    """The accept path over the real stores."""

    def __init__(self, redis: Redis, database: Database) -> None:
        limit = RateLimit("caller", 100_000, 60)
        self.redis, self.database = redis, database
        self.admission = Admission(redis, caller=limit, recipient=limit)
        self.journal = NotificationWriter(database, self._stored)
        self.sender = Sender(
            templates=FakeTemplates(),
            users=FakeUsers(),
            zones=FakeZones(),
            texts=FakeTexts(),
            files=FakeFiles(),
            admission=self.admission,
            store=self.journal,
            payload=delivery_bytes,
            lease_s=3.0,
        )
        unread = Notifications(None, None, None, Budget(), FakeCaptures(), people=FakePeople())  # type: ignore[arg-type]  # not read
        unasked: Any = dict.fromkeys(["evaluation", "contents", "resending"])
        self.servicer = NotificationServicer(sender=self.sender, notifications=unread, bulk_in_flight=100, **unasked)

    def _stored(self, rows: Sequence[Row]) -> None:
        done = [(Claim(row.digest, row.fingerprint, b""), row.response) for row in rows if row.digest and row.fingerprint and row.response]
        self.admission.complete(done)

    async def count(self) -> int:
        async with self.database.connect() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM notifications"))).scalar_one())


@pytest.fixture
async def real(redis_url: str, database: Database) -> AsyncIterator[Real]:
    async with open_cache(CacheSettings(redis_url, 1.0)) as redis:
        opened = Real(redis, database)
        yield opened
        await opened.admission.close()
        await opened.journal.close()


def outcome_of(result: Acceptance | BaseException) -> object:
    return result.id if isinstance(result, Acceptance) else getattr(result, "reason", result)


async def test_the_same_key_fifty_times_in_parallel_is_one_notification_also_after_redis_is_emptied(real: Real) -> None:
    """The others are told that it is running, or get the first response."""
    key = Key("k", b"f" * 32)
    send: Callable[[], object] = lambda: asyncio.gather(*(real.sender.send(draft(), key) for _ in range(50)), return_exceptions=True)  # noqa: E731  a name for one expression
    first = {outcome_of(result) for result in await send()}  # type: ignore[misc]  # gather is awaitable
    await real.redis.flushall()
    second = {outcome_of(result) for result in await send()}  # type: ignore[misc]  # gather is awaitable
    third = {outcome_of(result) for result in await send()}  # type: ignore[misc]  # gather is awaitable
    ids = {outcome for outcome in first | second | third if isinstance(outcome, uuid.UUID)}
    assert len(ids) == 1
    assert (first | second | third) - ids <= {"IDEMPOTENCY_IN_PROGRESS"}
    assert third == ids
    assert await real.count() == 1


async def test_a_batch_answers_each_item_and_its_header_makes_it_safe_to_repeat(real: Real) -> None:
    good = SendNotificationRequest(user_id=USER, channel=CHANNEL_EMAIL, template="welcome")  # plain values stand for enums and fields
    good.variables.update({"name": "Ada"})
    bad = SendNotificationRequest(user_id=USER, channel=CHANNEL_EMAIL)  # plain values stand for enums and fields
    request = BatchSendNotificationsRequest(requests=[good, bad, good])
    with context.use(CallContext("/m", "c", caller("notifications:send"), metadata={"idempotency-key": "batch"})):
        first = await real.servicer.BatchSendNotifications(request, None)
        again = await real.servicer.BatchSendNotifications(request, None)
    assert [result.WhichOneof("result") for result in first.results] == ["accepted", "error", "accepted"]
    assert first.accepted_count == 2
    assert "template" in first.results[1].error.message
    assert [result.accepted.id for result in again.results] == [result.accepted.id for result in first.results]
    assert await real.count() == 2


async def test_a_batch_item_that_breaks_the_schema_stops_no_other(real: Real) -> None:
    """Through the whole chain of interceptors: only what is wrong with the batch itself refuses all of it."""
    credentials = FakeCredentials()
    credentials.keys[hashlib.sha256(b"clk_test_key").digest()] = ApiKeyInfo("k", "k", frozenset({"notifications:send"}))
    dispatcher = Dispatcher(server_chain(Authenticator(credentials, ServiceIdentity("gateway", SECRET))))
    dispatcher.add(DESCRIPTOR.services_by_name["NotificationService"], real.servicer)
    method, metadata = "/clarion.notification.v1.NotificationService/BatchSendNotifications", {"authorization": "Bearer clk_test_key"}
    good = SendNotificationRequest(user_id=USER, channel=CHANNEL_EMAIL, template="welcome", request_id="one")
    good.variables.update({"name": "Ada"})
    wrong = SendNotificationRequest(user_id="x" * 40, channel=CHANNEL_EMAIL, template="welcome")
    reply = await dispatcher.unary(method, BatchSendNotificationsRequest(requests=[good, wrong]), metadata=metadata)
    results = reply.message.results  # type: ignore[attr-defined]  # a BatchSendNotificationsResponse
    assert [result.WhichOneof("result") for result in results] == ["accepted", "error"]
    assert "user_id" in results[1].error.message
    with pytest.raises(InvalidArgument):
        await dispatcher.unary(method, BatchSendNotificationsRequest(requests=[good] * 1001), metadata=metadata)
    with pytest.raises(InvalidArgument):
        await dispatcher.unary(method, BatchSendNotificationsRequest(), metadata=metadata)


async def test_a_batch_shares_its_statements(real: Real) -> None:
    """A thousand items are stored by a handful of commits."""
    batches: list[int] = []
    real.journal._on_stored = lambda rows: batches.append(len(rows))
    item = SendNotificationRequest(user_id=USER, channel=CHANNEL_EMAIL, template="welcome")
    item.variables.update({"name": "Ada"})
    answer = await real.servicer.BatchSendNotifications(BatchSendNotificationsRequest(requests=[item] * 1000), None)
    assert answer.accepted_count == 1000
    assert sum(batches) == 1000
    assert len(batches) <= 20


@pytest.mark.parametrize("change", [str.upper, str.title, str.swapcase])
async def test_an_id_in_another_spelling_is_the_same_id(world: World, change: Callable[[str], str]) -> None:
    """Else each spelling would have a rate limit of its own."""
    spelt = change(USER.replace("-8000-", "-800a-"))
    world.users.known[spelt] = USER
    await world.sender.send(
        draft_of(SendNotificationRequest(user_id=spelt, channel=CHANNEL_EMAIL, template="welcome"))._replace(variables=draft().variables),
        None,
    )
    assert [ask.recipient for ask in world.gate.asked] == [f"{USER}:email"]


async def test_an_own_id_is_looked_up_as_it_is_written(world: World) -> None:
    """Many systems write theirs as a GUID in capitals."""
    guid = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
    world.users.known[guid] = USER
    await world.sender.send(draft(user_id=guid), None)
    assert [str(row.user_id) for row in world.store.rows] == [USER]


@pytest.mark.parametrize(
    ("changes", "reason"), [({"template": "nope"}, "TEMPLATE_NOT_FOUND"), ({"variables": Struct()}, "MISSING_VARIABLE")]
)
async def test_a_send_that_is_refused_makes_no_user(world: World, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await world.sender.send(draft(user_id="", to=ADDRESSEE, **changes), None)
    assert caught.value.reason == reason
    assert world.users.made == []


async def test_a_send_that_is_limited_or_too_large_makes_no_user(world: World) -> None:
    long = Struct()
    long.update({"name": "x" * 990})
    world.templates.known["welcome"] = world.templates.known["welcome"]._replace(size=TextSize(998, 20, ("name",)))
    world.texts.error = TextTooLarge("contents.en.subject", "makes 1010 characters")
    with pytest.raises(TextTooLarge):
        await world.sender.send(draft(user_id="", to=ADDRESSEE, variables=long), None)
    admitted = world.gate.verdict
    world.gate.verdict = admitted._replace(answer=Answer.CALLER_LIMITED, retry_after_us=1)
    with pytest.raises(ServiceError) as limited:
        await world.sender.send(draft(user_id="", to=ADDRESSEE), None)
    assert (limited.value.reason, world.users.made) == ("RATE_LIMITED", [])
    world.gate.verdict = admitted
    await world.sender.send(draft(user_id="", to=ADDRESSEE), None)
    assert (world.users.made, [str(row.user_id) for row in world.store.rows]) == ([ADDRESSEE], [USER])


async def test_who_has_an_address_has_one_limit_by_address_and_by_id(world: World) -> None:
    """Who is not a user yet is limited too, by what does not show the address."""
    for email in ("ada@example.com", "Ada@Example.com"):
        await world.sender.send(draft(user_id="", to=ADDRESSEE._replace(email=email)), None)
    world.users.known["ada@example.com"] = USER
    await world.sender.send(draft(user_id="", to=ADDRESSEE), None)
    first, second, third = (ask.recipient for ask in world.gate.asked)
    assert first == second != third == f"{USER}:email"


async def test_an_own_id_that_looks_like_ours_is_no_second_limit(world: World) -> None:
    guid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    world.users.known[guid] = USER
    await world.sender.send(draft(user_id=guid), None)
    assert [ask.recipient for ask in world.gate.asked] == [f"{USER}:email"]


async def test_what_is_not_accepted_gives_back_its_turn_without_a_key_too(world: World) -> None:
    """Or what is repeated while a part is away uses up the limit of its recipient."""
    world.store.error = Unavailable("down", retry_after_s=1)
    with pytest.raises(Unavailable):
        await world.sender.send(draft(), None)
    assert world.gate.released == world.gate.asked != []


@pytest.mark.parametrize("whom", [{"user_id": "", "to": ADDRESSEE}, {"user_id": "crm-18"}])
async def test_a_repetition_gets_the_first_answer_when_the_person_is_gone(world: World, whom: dict[str, object]) -> None:
    """And makes no one anew."""
    first = Acceptance(uuid.UUID(int=5), Status.PENDING, NOW)
    world.store.standing = Record(b"d" * 32, b"f" * 32, first.pack(), NOW)
    assert await world.sender.send(draft(**whom), Key("k", b"f" * 32)) == first
    with pytest.raises(ServiceError, match="another request"):
        await world.sender.send(draft(**whom), Key("k", b"g" * 32))
    assert (world.users.made, world.store.rows) == ([], [])
