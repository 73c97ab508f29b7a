"""Settings of the stores."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from mesh.process.hosts import with_each_host
from mesh.process.settings import Env

# What the clients take, and where they would fail at each connection, or read something else without a word.
_POSTGRESQL_OPTIONS: Mapping[str, Collection[str]] = {
    "ssl": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
    "passfile": (),
    "prepared_statement_cache_size": (),
}
_ONE_POSTGRESQL_OPTIONS = {**_POSTGRESQL_OPTIONS, "host": (), "port": ()}
_REDIS_OPTIONS: Mapping[str, Collection[str]] = {"db": (), "client_name": (), "protocol": ("2", "3")}
_REDIS_TLS_OPTIONS: Mapping[str, Collection[str]] = {
    "ssl_ca_certs": (),
    "ssl_ca_path": (),
    "ssl_certfile": (),
    "ssl_keyfile": (),
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_SENTINEL_OPTIONS: Mapping[str, Collection[str]] = {"master": (), "sentinel_password": ()}


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """A PostgreSQL database. `transaction_pooling` says that a pooler stands before it which lends a server for one transaction."""

    url: str = field(repr=False)
    pool_size: int = 8
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 10.0
    transaction_pooling: bool = False

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads the service's own database."""
        return cls(
            url=env.url("CLARION_DATABASE_URL", schemes=("postgresql", "postgres"), options=_options_of(env.given("CLARION_DATABASE_URL"))),
            pool_size=env.integer("CLARION_DATABASE_POOL_SIZE", 8, minimum=1, maximum=200),
            connect_timeout_s=env.number("CLARION_DATABASE_CONNECT_TIMEOUT_S", 5.0, minimum=0.1),
            statement_timeout_s=env.number("CLARION_DATABASE_STATEMENT_TIMEOUT_S", 10.0, minimum=0.1),
            transaction_pooling=env.flag("CLARION_DATABASE_TRANSACTION_POOLING", False),
        )


SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
_REDIS_SCHEMES = ("redis", "rediss", "unix", *SENTINEL_SCHEMES)


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Redis or Valkey. A URL of the schemes with "sentinel" names the Sentinels, who know which server is the primary."""

    url: str = field(repr=False)
    timeout_s: float = 1.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads the shared Redis."""
        return cls(
            url=_redis_url(env),
            timeout_s=env.number("CLARION_REDIS_TIMEOUT_S", 1.0, minimum=0.05),
        )

    @classmethod
    def optional_from_env(cls, env: Env) -> Self | None:
        """The shared Redis of a process that serves without one too; None when none is named."""
        url = _redis_url(env, "")
        timeout_s = env.number("CLARION_REDIS_TIMEOUT_S", 1.0, minimum=0.05)
        return cls(url, timeout_s) if url else None


def _redis_url(env: Env, default: str | None = None) -> str:
    given = env.given("CLARION_REDIS_URL")
    sentinels = given.startswith(SENTINEL_SCHEMES)
    options = {**(_SENTINEL_OPTIONS if sentinels else _REDIS_OPTIONS), **(_REDIS_TLS_OPTIONS if given.startswith("rediss") else {})}
    url = env.url("CLARION_REDIS_URL", default, schemes=_REDIS_SCHEMES, options=options)
    if len(with_each_host(url)) > 1 and not sentinels:
        env.problems.append("CLARION_REDIS_URL: several hosts must be Sentinels, in a URL that starts with redis+sentinel://")
    elif not url.startswith("unix:") and not re.fullmatch(r"[^:]*://[^/?#]*(/\d{0,4})?([?#].*)?", url or "://"):
        env.problems.append("CLARION_REDIS_URL: the path must be the number of a database, such as /0, or be left out")
    return url


def _options_of(url: str) -> Mapping[str, Collection[str]]:
    return _POSTGRESQL_OPTIONS if len(with_each_host(url)) > 1 else _ONE_POSTGRESQL_OPTIONS
