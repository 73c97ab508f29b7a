"""The stores of user_svc, each twice: in memory and in a real PostgreSQL. A contract test runs on both."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from sqlalchemy import event, text

from mesh.process.settings import Env
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from tests.fixtures_postgres import NewDatabase
from tests.user_svc import fakes, fakes_auth
from tests.user_svc.factories import START, Clock, environ
from tests.user_svc.issuer import Issuer, open_issuer
from tests.user_svc.sign_in_door import Door, OpenDoor, described
from user_svc.app import open_app
from user_svc.audit.models import NewEvent
from user_svc.auth.api_key_repository import ApiKeyRepository
from user_svc.auth.api_keys import ApiKeyStore
from user_svc.auth.repository import SessionRepository, SigningKeyRepository
from user_svc.auth.signing import SigningKeyStore
from user_svc.auth.use_cases import SessionStore
from user_svc.bootstrap import BootstrapRecord
from user_svc.bootstrap_repository import BootstrapRepository
from user_svc.devices.repository import DeviceRepository
from user_svc.devices.use_cases import DeviceStore
from user_svc.policies.repository import PolicyRepository
from user_svc.policies.use_cases import PolicyStore, RuleBook
from user_svc.preferences.repository import PreferenceRepository
from user_svc.preferences.use_cases import PreferenceStore
from user_svc.recipients.repository import ContactRepository
from user_svc.recipients.use_cases import ContactStore, Recipients
from user_svc.settings import Settings
from user_svc.suppressions.repository import SuppressionRepository
from user_svc.suppressions.use_cases import SuppressionStore
from user_svc.users.repository import UserRepository
from user_svc.users.use_cases import UserStore


@dataclass(frozen=True)
class Stores:
    """Every store, over one set of data."""

    users: UserStore
    devices: DeviceStore
    preferences: PreferenceStore
    suppressions: SuppressionStore
    sessions: SessionStore
    api_keys: ApiKeyStore
    signing_keys: SigningKeyStore
    contacts: ContactStore
    bootstraps: BootstrapRecord
    policies: PolicyStore

    def recipients(self, now: Callable[[], datetime] = lambda: START) -> Recipients:
        """What answers the workers, over these."""
        return Recipients(self.contacts, RuleBook(self.policies), audit=nowhere, now=now)


async def nowhere(event: NewEvent) -> None:
    """An audit log for tests that are about something else."""


@dataclass
class Statements:
    """The SQL statements that a database was given, transaction control left out."""

    seen: list[tuple[str, Any]] = field(default_factory=list)


@pytest.fixture
def clock() -> Clock:
    """Stands still until a test moves it."""
    return Clock()


@pytest.fixture
def memory_stores() -> Stores:
    """The fakes."""
    memory = fakes.Memory()
    return Stores(
        fakes.MemoryUsers(memory),
        fakes.MemoryDevices(memory),
        fakes.MemoryPreferences(memory),
        fakes.MemorySuppressions(memory),
        fakes_auth.MemorySessions(memory),
        fakes_auth.MemoryApiKeys(memory),
        fakes_auth.MemorySigningKeys(memory),
        fakes.MemoryContacts(memory),
        fakes_auth.MemoryBootstraps(),
        fakes.MemoryPolicies(memory),
    )


@pytest.fixture
async def database(postgres_url: NewDatabase) -> AsyncIterator[Database]:
    """A migrated, empty user database."""
    async with open_database(DatabaseSettings(await postgres_url("user_svc"))) as opened:
        yield opened


@pytest.fixture
def postgres_stores(database: Database) -> Stores:
    """The repositories."""
    return Stores(
        UserRepository(database),
        DeviceRepository(database),
        PreferenceRepository(database),
        SuppressionRepository(database),
        SessionRepository(database),
        ApiKeyRepository(database),
        SigningKeyRepository(database),
        ContactRepository(database),
        BootstrapRepository(database),
        PolicyRepository(database),
    )


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Both, one after the other: what holds for the fake must hold for PostgreSQL."""
    found: Stores = request.getfixturevalue(f"{request.param}_stores")
    return found


@pytest.fixture
def statements(database: Database) -> Statements:
    """Records what the repositories send from here on."""
    return statements_of(database)


def statements_of(database: Database) -> Statements:
    """Records what is sent from here on."""
    record = Statements()

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        record.seen.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    return record


async def explain(database: Database, statement: str, parameters: Any) -> str:
    """PostgreSQL's plan when it would rather use any index than read a whole table."""
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        result = await connection.exec_driver_sql(f"EXPLAIN {statement}", tuple(parameters))
        return "\n".join(str(row[0]) for row in result)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """One that keeps the rules until a test changes it."""
    async with open_issuer() as opened:
        yield opened


@pytest.fixture
def open_door(postgres_url: NewDatabase, tmp_path: Path) -> OpenDoor:
    """Starts user_svc with a file of issuers."""

    @asynccontextmanager
    async def opened(*issuers: str) -> AsyncIterator[Door]:
        url, file = await postgres_url("user_svc"), tmp_path / "oidc.toml"
        file.write_text('console_url = "https://clarion.example/console/"\n' + "".join(issuers))
        env = Env(environ(url, CLARION_OIDC_FILE=str(file)))
        settings = Settings.from_env(env)
        env.check()
        async with open_app(settings) as app, grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel:
            await app.health.probe()
            yield Door(channel, url)

    return opened


@pytest.fixture
async def door(open_door: OpenDoor, issuer: Issuer) -> AsyncIterator[Door]:
    """user_svc with that issuer."""
    async with open_door(described(issuer)) as opened:
        yield opened
