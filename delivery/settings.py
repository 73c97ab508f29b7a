"""Settings that the gateway and the workers read alike."""

from dataclasses import dataclass
from typing import Self

from mesh.process.settings import Env


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """How long Redis remembers attempts and cancels, in seconds; the same for all processes."""

    ttl_s: int = 24 * 3600

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Between an hour and a week."""
        return cls(ttl_s=env.integer("CLARION_LEDGER_TTL_S", 24 * 3600, minimum=3600, maximum=7 * 24 * 3600))
