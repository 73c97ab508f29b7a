"""A person with everything that Clarion can know of one: in a real user_svc over loopback, and in the gateway's PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc.aio

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.user.v1 import auth_service_pb2, device_pb2, suppression_pb2, user_service_pb2
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from gateway.accepting.clients import UserClient
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.notifications.models import Entry, Notification, Outcome, Reach, Status
from gateway.notifications.repository import NotificationRepository
from gateway.sagas.clients import PeopleClient
from gateway.services import ERASURE_SERVICE, RECIPIENT_SERVICE
from gateway.settling.outcomes import Failure, Outcomes
from mesh.context import FIRST_PROJECT
from mesh.process.settings import Env
from mesh.resilience.breaker import Breaker
from mesh.rpc.channel import open_channel
from mesh.rpc.identity import ServiceIdentity
from mesh.rpc.interceptors import client_chain
from mesh.rpc.settings import ChannelSettings
from mesh.stores.database import Database
from mesh.testing import SECRET, free_port
from tests.gateway.factories import make_delivery, make_row
from user_svc.app import open_app
from user_svc.settings import Settings as UserSettings

EMAIL, NAME, PASSWORD = "ada@example.com", "Countess Ada", "correct horse battery"
TOKEN, VARIABLE = "device-token-of-ada", "Analytical Engine"
STEPS = ["hold_notifications", "revoke_credentials", "delete_user", "cancel_notifications", "redact_notifications", "plan_sweep"]
TRACES = [EMAIL, NAME, TOKEN, VARIABLE]
API_KEY = "clk_live_0123456789012345678901234567890123456789"
OPERATOR = (("authorization", f"Bearer {API_KEY}"),)
SETTINGS = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=1000, breaker_open_s=0.1)


class UserSvc:
    """A real user_svc that can be stopped and started again at the same port, over the same database."""

    def __init__(self, url: str) -> None:
        self.port = free_port()
        self._url = url
        self._stack: AsyncExitStack | None = None
        self._channel: grpc.aio.Channel | None = None

    async def start(self) -> None:
        environ = {
            "CLARION_DATABASE_URL": self._url,
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_BOOTSTRAP_API_KEY": API_KEY,
            "CLARION_DIRECT_CALLERS": "true",
            "CLARION_HOST": "127.0.0.1",
            "CLARION_GRPC_PORT": str(self.port),
            "CLARION_GRACE_S": "0",
        }
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(open_app(UserSettings.from_env(Env(environ))))
        if self._channel is not None:
            await self._channel.channel_ready()

    async def stop(self) -> None:
        if self._stack is not None:
            await self._stack.aclose()
            self._stack = None

    async def make_ada(self) -> UUID:
        """The person, with a device, a session, and an address that once bounced."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            users: Any = UserServiceStub(channel)
            auth: Any = AuthServiceStub(channel)
            request = user_service_pb2.CreateUserRequest(email=EMAIL, name=NAME, password=PASSWORD)
            user_id: str = (await users.CreateUser(request, metadata=OPERATOR)).user.id
            device = device_pb2.CreateDeviceRequest(user_id=user_id, token=TOKEN, platform=device_pb2.PLATFORM_ANDROID)
            await users.CreateDevice(device, metadata=OPERATOR)
            suppressed = suppression_pb2.CreateSuppressionRequest(address=EMAIL, reason="bounce")
            await users.CreateSuppression(suppressed, metadata=OPERATOR)
            await auth.Login(auth_service_pb2.LoginRequest(email=EMAIL, password=PASSWORD))
        return UUID(user_id)

    @asynccontextmanager
    async def people(self) -> AsyncIterator[PeopleClient]:
        """The gateway's client of it."""
        chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("user_svc", failures=1000, open_s=0.1))
        services = [RECIPIENT_SERVICE, ERASURE_SERVICE]
        async with open_channel(f"dns:///127.0.0.1:{self.port}", settings=SETTINGS, chain=chain, services=services) as channel:
            self._channel = channel
            users = UserClient(channel, fresh_s=60, stale_s=600)
            yield PeopleClient(channel, users)
            await users.close()


class Rows:
    """Notifications of a person in every state that matters, full of personal data."""

    def __init__(self, database: Database, user_id: UUID) -> None:
        self.database = database
        self.user_id = user_id
        self.outcomes = Outcomes(database)
        self.by_name: dict[str, Row] = {}

    async def fill(self) -> None:
        """One of each."""
        now = datetime.now(UTC)
        later = now + timedelta(days=1)
        await self.add("scheduled", status=Status.SCHEDULED, send_at=later, dispatch_at=later)
        await self.add("waiting", dispatch_at=now - timedelta(seconds=1))
        for name in ("queued", "retrying", "sent", "failed"):
            row = await self.add(name, dispatch_at=now - timedelta(seconds=1))
            await self._mark(row)
        await self.settle("retrying", Status.RETRYING)
        await self.settle("sent", Status.SENT)
        await self.fail("failed")
        await self.note("failed")

    async def add(self, name: str, **changes: Any) -> Row:
        row = make_row(user_id=self.user_id, metadata=f'{{"for": "{NAME}"}}', **changes)
        delivery = make_delivery(row)
        delivery.variables.update({"machine": VARIABLE, "to": EMAIL})
        row = row._replace(payload=delivery.SerializeToString())
        journal = NotificationWriter(self.database, lambda _: None)
        await journal.store(row)
        await journal.close()
        self.by_name[name] = row
        return row

    async def settle(self, name: str, status: Status) -> None:
        """A worker's word, with a detail that should not be there."""
        await self.outcomes.apply([self._outcome(name, status)])

    async def note(self, name: str) -> None:
        """A reviewer's word about a dead letter."""
        await self.database.fetch(
            "INSERT INTO dead_letter_audit (notification_id, run, action, actor_kind, actor_id, note, time, changed) "
            "VALUES ($1, 0, 3, 'user', 'reviewer', $2, now(), '{}')",
            self.by_name[name].id,
            f"called {NAME}",
        )

    async def fail(self, name: str) -> None:
        """A delivery given up, as it comes over the bus: with its variables."""
        delivery = Delivery.FromString(self.by_name[name].payload)
        await self.outcomes.file([Failure(self._outcome(name, Status.FAILED), delivery.SerializeToString())])

    async def get(self, name: str) -> Notification:
        found = await NotificationRepository(self.database).find(self.by_name[name].id, Reach(FIRST_PROJECT))
        assert found is not None
        return found

    async def states(self) -> dict[str, Status]:
        return {name: (await self.get(name)).status for name in self.by_name}

    def _outcome(self, name: str, status: Status) -> Outcome:
        entry = Entry(datetime.now(UTC), status, 0, 1, reason="USER_NOT_FOUND", detail=f"no mailbox for {NAME}")
        return Outcome(self.by_name[name].id, entry)

    async def _mark(self, row: Row) -> None:
        await self.database.fetch("UPDATE notifications SET status = 3, queued_at = now() WHERE id = $1", row.id)
