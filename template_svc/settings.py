"""What template_svc reads from the environment."""

from dataclasses import dataclass
from typing import Self

from mesh.process.settings import CommonSettings, Env
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import CacheSettings, DatabaseSettings
from peers.settings import PeerSettings
from template_svc.lint import RULES
from template_svc.models import Rules


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of template_svc. `render_limit_s` is the processor time that one rendering may take, `render_memory_mb` the
    memory beyond what a render process needs itself, `render_processes` how many of them serve sends.
    """

    common: CommonSettings
    grpc: GrpcSettings
    database: DatabaseSettings
    cache: CacheSettings | None
    direct_callers: bool
    peers: PeerSettings
    render_limit_s: float
    render_memory_mb: int
    render_processes: int
    rules: Rules

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Problems are collected in `env`."""
        return cls(
            common=CommonSettings.from_env(env, metrics_port=9102),
            grpc=GrpcSettings.from_env(env, port=8002),
            database=DatabaseSettings.from_env(env),
            cache=CacheSettings.optional_from_env(env),
            direct_callers=env.flag("CLARION_DIRECT_CALLERS", False),
            # Who calls is proven with user_svc's keys.
            peers=PeerSettings.from_env(env, template_svc=False),
            render_limit_s=env.number("CLARION_RENDER_LIMIT_S", 0.2, minimum=0.01, maximum=5),
            render_memory_mb=env.integer("CLARION_RENDER_MEMORY_MB", 96, minimum=32, maximum=4096),
            render_processes=env.integer("CLARION_RENDER_PROCESSES", 2, minimum=1, maximum=64),
            rules=Rules(
                complete_only=env.flag("CLARION_COMPLETE_LOCALES_ONLY", False),
                lint_errors=frozenset(env.listed("CLARION_LINT_ERRORS", choices=RULES)),
            ),
        )
