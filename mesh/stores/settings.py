"""Settings of the stores."""

from dataclasses import dataclass, field
from typing import Self

from mesh.process.hosts import with_each_host
from mesh.process.settings import Env


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """A PostgreSQL database."""

    url: str = field(repr=False)
    pool_size: int = 8
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 10.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads the service's own database."""
        return cls(
            url=env.url("CLARION_DATABASE_URL", schemes=("postgresql", "postgres")),
            pool_size=env.integer("CLARION_DATABASE_POOL_SIZE", 8, minimum=1, maximum=200),
            connect_timeout_s=env.number("CLARION_DATABASE_CONNECT_TIMEOUT_S", 5.0, minimum=0.1),
            statement_timeout_s=env.number("CLARION_DATABASE_STATEMENT_TIMEOUT_S", 10.0, minimum=0.1),
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
    url = env.url("CLARION_REDIS_URL", default, schemes=_REDIS_SCHEMES)
    if len(with_each_host(url)) > 1 and not url.startswith(SENTINEL_SCHEMES):
        env.problems.append("CLARION_REDIS_URL: several hosts must be Sentinels, in a URL that starts with redis+sentinel://")
    return url
