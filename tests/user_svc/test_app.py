"""Facts about starting user_svc: its settings, what it creates, and a database that comes late."""

import logging
from collections.abc import Collection
from pathlib import Path

import grpc.aio
import pytest

from clarion.user.v1 import auth_service_pb2
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from devstack.postgres import PostgresServer
from mesh.context import FIRST_PROJECT
from mesh.process.settings import Env, SettingsError
from mesh.rpc.channel import to_service_error
from mesh.sealing import Sealer
from mesh.stores.migrations import upgrade
from mesh.testing import SECRET, free_port
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import Clock, environ, make_user
from user_svc.app import open_app
from user_svc.auth.models import Scope
from user_svc.auth.signing import SEALED_FOR, SigningKeys
from user_svc.bootstrap import Bootstrap
from user_svc.settings import BootstrapSettings, Settings
from user_svc.users.models import Role
from user_svc.users.use_cases import Users

API_KEY = "clk_live_0123456789012345678901234567890123456789"
NOTHING = BootstrapSettings("", "", "")
EVERYTHING = BootstrapSettings("root@example.com", "correct horse battery", API_KEY)


def bootstrap(stores: Stores, clock: Clock, settings: BootstrapSettings) -> Bootstrap:
    """One replica's start-up work."""

    async def hash_password(field: str, password: str, known_words: Collection[str]) -> str:
        return f"hash of {password}"

    return Bootstrap(
        settings,
        signing_keys=SigningKeys(stores.signing_keys, Sealer(SECRET, SEALED_FOR), now=clock),
        users=Users(stores.users, hash_password=hash_password, now=clock),
        sessions=stores.sessions,
        api_keys=stores.api_keys,
        record=stores.bootstraps,
        now=clock,
    )


def test_every_bad_variable_is_reported_at_once() -> None:
    """And no message holds a secret."""
    env = Env(
        {
            "CLARION_GRPC_PORT": "99999",
            "CLARION_ADMIN_EMAIL": "not an address",
            "CLARION_ADMIN_PASSWORD": "short",
            "CLARION_BOOTSTRAP_API_KEY": "my favourite key",
        }
    )
    Settings.from_env(env)
    with pytest.raises(SettingsError) as problems:
        env.check()
    for name in ("DATABASE_URL", "SERVICE_SECRET", "GRPC_PORT", "ADMIN_EMAIL", "ADMIN_PASSWORD", "BOOTSTRAP_API_KEY"):
        assert f"CLARION_{name}: " in str(problems.value)
    assert "favourite" not in str(problems.value)
    assert "short" not in str(problems.value)


def test_an_administrator_needs_address_and_password() -> None:
    """One without the other is a mistake, not a default."""
    env = Env(environ("postgresql://localhost/x", CLARION_ADMIN_EMAIL="root@example.com"))
    settings = Settings.from_env(env)
    assert env.problems == ["CLARION_ADMIN_EMAIL, CLARION_ADMIN_PASSWORD: must be given together"]
    assert SECRET not in repr(settings)


async def test_the_first_start_creates_what_the_environment_names(stores: Stores, clock: Clock) -> None:
    """Once, whatever the number of starts."""
    for _ in range(2):
        await bootstrap(stores, clock, EVERYTHING).ensure()
    (root,) = await stores.users.list_newest_first(FIRST_PROJECT, "", None, 10)
    assert (root.email, root.role) == ("root@example.com", Role.ADMINISTRATOR)
    (key,) = await stores.api_keys.list_working(FIRST_PROJECT, None, 10, clock.now)
    assert (key.name, key.prefix, set(key.scopes)) == ("bootstrap", "clk_live_0123", set(Scope))


async def test_a_restart_does_not_undo_a_deletion(stores: Stores, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the administrator nor the key is made a second time, whatever the environment still says."""
    record = stores.bootstraps
    await bootstrap(stores, clock, EVERYTHING).ensure()
    (root,) = await stores.users.list_newest_first(FIRST_PROJECT, "", None, 10)
    (key,) = await stores.api_keys.list_working(FIRST_PROJECT, None, 10, clock.now)
    await stores.users.delete(FIRST_PROJECT, root.id)
    await stores.api_keys.revoke(FIRST_PROJECT, key.id)
    with caplog.at_level(logging.WARNING):
        await bootstrap(stores, clock, EVERYTHING).ensure()
    assert await stores.users.list_newest_first(FIRST_PROJECT, "", None, 10) == []
    assert await stores.api_keys.list_working(FIRST_PROJECT, None, 10, clock.now) == []
    assert "CLARION_BOOTSTRAP_API_KEY is ignored" in caplog.text
    assert await record.done("administrator")


async def test_nothing_named_creates_a_signing_key_only(stores: Stores, clock: Clock) -> None:
    """No administrator with a known password by default."""
    await bootstrap(stores, clock, NOTHING).ensure()
    assert await stores.users.list_newest_first(FIRST_PROJECT, "", None, 10) == []
    assert await stores.api_keys.list_working(FIRST_PROJECT, None, 10, clock.now) == []
    assert await stores.signing_keys.find_active() is not None


async def test_a_member_is_not_made_administrator_silently(stores: Stores, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever registered the address first would gain every scope."""
    await stores.users.insert(FIRST_PROJECT, make_user(email="Root@example.com"), None)
    with caplog.at_level(logging.WARNING):
        await bootstrap(stores, clock, EVERYTHING).ensure()
    (user,) = await stores.users.list_newest_first(FIRST_PROJECT, "", None, 10)
    assert user.role is Role.MEMBER
    assert "belongs to a member" in caplog.text
    assert "root@example.com" not in caplog.text.lower()


async def test_a_database_without_tables_is_told_in_the_log(postgres_url: NewDatabase, caplog: pytest.LogCaptureFixture) -> None:
    """The process runs, is not ready, and says what to do."""
    async with open_app(Settings.from_env(Env(environ(await postgres_url(""))))) as app:
        assert app.health.report() == {"database": True, "bootstrap": False}
        assert not app.health.ready
    said = [record for record in caplog.records if record.name == "mesh.stores.database"]
    assert [("`migrate` first" in record.getMessage(), record.exc_info) for record in said] == [(True, None)]


@pytest.mark.processes
async def test_the_process_starts_before_its_database(tmp_path: Path) -> None:
    """Calls answer UNAVAILABLE with a time to retry after, and the start-up work is done when the database is there."""
    port = free_port()
    server = PostgresServer(tmp_path, port=port, durable=False)
    url = f"postgresql://postgres@127.0.0.1:{port}/clarion"
    settings = Settings.from_env(Env(environ(url, CLARION_ADMIN_EMAIL="root@example.com", CLARION_ADMIN_PASSWORD="correct horse battery")))
    login = auth_service_pb2.LoginRequest(email="root@example.com", password="correct horse battery")
    async with open_app(settings) as app, grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel:
        assert not app.health.ready
        with pytest.raises(grpc.aio.AioRpcError) as down:
            await AuthServiceStub(channel).Login(login)
        error = to_service_error(down.value)
        assert (down.value.code(), error.reason, error.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", 1)
        with server:
            server.create_database("clarion")
            await upgrade("user_svc", url)
            await app.health.probe()
            assert app.health.ready
            assert (await AuthServiceStub(channel).Login(login)).access_token
