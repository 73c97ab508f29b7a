"""URLs with one host or several, as settings read them."""

import pytest

from mesh.bus.settings import BrokerSettings
from mesh.process.hosts import with_each_host
from mesh.process.settings import Env
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
    ],
)
def test_settings_take_several_hosts_where_a_client_can_use_them(variable: str, url: str, *, fits: bool) -> None:
    env = Env({variable: url})
    for settings in (BrokerSettings, DatabaseSettings, CacheSettings):
        settings.from_env(env)
    assert any(problem.startswith(variable) for problem in env.problems) != fits
