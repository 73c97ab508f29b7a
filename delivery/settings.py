"""Settings that the gateway and the workers read alike."""

import re
from dataclasses import dataclass
from typing import Self

from delivery.lanes import RETRY_DELAYS_S
from mesh.process.settings import Env

_STEP = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|h)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_MOST_STEPS = 20
_LONGEST_S = 7 * 24 * 3600


def retries_from_env(env: Env, name: str) -> tuple[float, ...]:
    """The steps of a channel's retry ladder in seconds, such as `2s,4s,8s,5m,30m,2h`."""
    text = env.text(name, ",".join(f"{seconds}s" for seconds in RETRY_DELAYS_S))
    steps = [_STEP.fullmatch(step.strip()) for step in text.split(",")]
    waits = [float(step[1]) * _UNIT_S[step[2]] for step in steps if step is not None]
    if len(waits) < len(steps) or len(steps) > _MOST_STEPS or not all(1 <= wait_s <= _LONGEST_S for wait_s in waits):
        env.problems.append(f"{name}: must be 1 to {_MOST_STEPS} waits between 1s and 7 days, such as 2s,4s,8s,5m,30m,2h")
        return tuple(map(float, RETRY_DELAYS_S))
    return tuple(waits)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """How long Redis remembers attempts and cancels, in seconds; the same for all processes."""

    ttl_s: int = 24 * 3600

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Between an hour and a week."""
        return cls(ttl_s=env.integer("CLARION_LEDGER_TTL_S", 24 * 3600, minimum=3600, maximum=7 * 24 * 3600))
