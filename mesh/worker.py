"""What both workers are made of beside their channel."""

from dataclasses import dataclass
from typing import Self

from mesh.settings import Env


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How much a worker has in hand, and how long its ledger remembers."""

    prefetch: int = 4
    urgent_prefetch: int = 8
    ledger_ttl_s: int = 24 * 3600

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """`prefetch` counts envelopes of up to 50 deliveries; in the urgent lane most hold one."""
        return cls(
            prefetch=env.integer("CLARION_PREFETCH", 4, minimum=1, maximum=1000),
            urgent_prefetch=env.integer("CLARION_URGENT_PREFETCH", 8, minimum=1, maximum=1000),
            ledger_ttl_s=env.integer("CLARION_LEDGER_TTL_S", 24 * 3600, minimum=3600, maximum=7 * 24 * 3600),
        )
