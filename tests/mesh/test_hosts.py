"""URLs with one host or several, as settings read them."""

from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from mesh.bus.settings import BrokerSettings
from mesh.process.hosts import with_each_host
from mesh.process.settings import Env
from mesh.stores.cache import open_cache
from mesh.stores.database import async_url
from mesh.stores.settings import CacheSettings, DatabaseSettings


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("amqp://one/", ["amqp://one/"]),
        ("amqp://u:p,q@one:1,two:2/v?heartbeat=9", ["amqp://u:p,q@one:1/v?heartbeat=9", "amqp://u:p,q@two:2/v?heartbeat=9"]),
        ("postgresql://one,two:2", ["postgresql://one", "postgresql://two:2"]),
        ("redis+sentinel://[::1]:1,two?master=m", ["redis+sentinel://[::1]:1?master=m", "redis+sentinel://two?master=m"]),
        ("unix:///run/redis.sock", ["unix:///run/redis.sock"]),
    ],
)
def test_a_url_is_taken_apart_by_host(url: str, each: list[str]) -> None:
    assert list(with_each_host(url)) == each


@pytest.mark.parametrize(
    ("variable", "url", "fits"),
    [
        ("CLARION_AMQP_URL", "amqp://u:p@one:5672,two:5672/", True),
        ("CLARION_AMQP_URL", "amqp://one,,two/", False),
        ("CLARION_AMQP_URL", "amqp://one:5672,two:none/", False),
        ("CLARION_DATABASE_URL", "postgresql://one,two/d?target_session_attrs=any", True),
        ("CLARION_REDIS_URL", "redis+sentinel://one:26379,two:26379/0?master=clarion", True),
        ("CLARION_REDIS_URL", "rediss+sentinel://one", True),
        ("CLARION_REDIS_URL", "redis://one,two", False),
        ("CLARION_REDIS_URL", "unix:///run/redis.sock", True),
        ("CLARION_REDIS_URL", "unix:///run/redis.sock?db=1", True),
        ("CLARION_REDIS_URL", "redis://one/abc", False),
        ("CLARION_REDIS_URL", "redis+sentinel://one,two/abc?master=m", False),
        ("CLARION_REDIS_URL", "redis+sentinel://one/0?mastr=m", False),
        ("CLARION_REDIS_URL", "redis://one/0?foo=bar", False),
        ("CLARION_REDIS_URL", "redis://one/0?ssl_ca_certs=/ca", False),
        ("CLARION_REDIS_URL", "rediss://one:6380/15?ssl_ca_certs=/ca&ssl_check_hostname=false", True),
        ("CLARION_REDIS_URL", "rediss+sentinel://one/0?master=m&sentinel_password=p&ssl_ca_certs=/ca", True),
        ("CLARION_DATABASE_URL", "postgresql://one/d?sslmode=require", False),
        ("CLARION_DATABASE_URL", "postgresql://one/d?ssl=verify-full", True),
        ("CLARION_DATABASE_URL", "postgresql://one/d?ssl=nonsense", False),
        ("CLARION_DATABASE_URL", "postgresql://one,two/d?target_session_attrs=sometimes", False),
        ("CLARION_DATABASE_URL", "postgresql://one/d?connect_timeout=abc", False),
        ("CLARION_DATABASE_URL", "postgresql://one,two/d?host=three", False),
        ("CLARION_DATABASE_URL", "postgresql://u@/d?host=/run/postgresql", True),
        ("CLARION_DATABASE_URL", "postgresql://one,[::1]:5433/d", True),
        ("CLARION_DATABASE_URL", "postgresql://u@one:/d", False),
        ("CLARION_AMQP_URL", "amqp://one/?heartbeat=30", True),
        ("CLARION_AMQP_URL", "amqp://one/?heartbeat=abc", False),
        ("CLARION_AMQP_URL", "amqps://one/?no_verify_ssl=false", False),
        ("CLARION_AMQP_URL", "amqps://one/%2f?cafile=/ca", True),
        ("CLARION_AMQP_URL", "amqp://one/?timeuot=5", False),
    ],
)
def test_settings_take_several_hosts_where_a_client_can_use_them(variable: str, url: str, *, fits: bool) -> None:
    env = Env({variable: url})
    for settings in (BrokerSettings, DatabaseSettings, CacheSettings):
        settings.from_env(env)
    assert any(problem.startswith(variable) for problem in env.problems) != fits


def test_an_option_that_a_client_would_not_take_is_named_with_those_that_there_are() -> None:
    env = Env({"CLARION_DATABASE_URL": "postgresql://u:secret@one/d?sslmode=require&ssl=on"})
    DatabaseSettings.from_env(env)
    taken = "host, passfile, port, prepared_statement_cache_size, ssl, target_session_attrs"
    assert env.problems == [
        f"CLARION_DATABASE_URL: takes no option 'sslmode' after the question mark; it takes {taken}",
        "CLARION_DATABASE_URL: ssl must be one of disable, allow, prefer, require, verify-ca, verify-full",
    ]


@pytest.mark.parametrize("hosts", ["one:5433", "one:5433,two"])
@pytest.mark.parametrize("password", ["p@ss", "p@ss:w", "p:w", "p%40ss", "100%", "@", "pä@"])
def test_a_password_ends_with_the_last_at_sign(password: str, hosts: str) -> None:
    """As the clients of Redis and RabbitMQ read it. Who pastes a password into a URL forgets to escape it."""
    url = make_url(async_url(f"postgresql://u:{password}@{hosts}/d"))
    _, options = PGDialect_asyncpg().create_connect_args(url)  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects have no types
    assert (options["user"], options["password"]) == ("u", password.replace("%40", "@"))
    assert options["host"] in ("one", ["one", "two"])


def test_several_hosts_may_be_addresses_of_ipv6() -> None:
    url = make_url(async_url("postgresql://u:p@one,[::1]:5433/d"))
    _, options = PGDialect_asyncpg().create_connect_args(url)  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects have no types
    assert (options["host"], options["port"]) == (["one", "::1"], [5432, 5433])
    assert options["target_session_attrs"] == "read-write"


async def test_sentinels_and_the_primary_are_reached_with_the_tls_that_the_url_asks_for() -> None:
    settings = CacheSettings("rediss+sentinel://one:1/0?master=m&ssl_ca_certs=/ca.pem&ssl_check_hostname=false")
    async with open_cache(settings) as client:
        pool: Any = client.connection_pool
        sentinel = pool.sentinel_manager.sentinels[0].connection_pool
        for kwargs in (pool.connection_kwargs, sentinel.connection_kwargs):
            assert (kwargs["ssl_ca_certs"], kwargs["ssl_check_hostname"]) == ("/ca.pem", False)
        assert {pool.connection_class.__name__, sentinel.connection_class.__name__} == {"SentinelManagedSSLConnection", "SSLConnection"}
