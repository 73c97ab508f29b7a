"""What a worker decides about one delivery; the delivery loop (`delivery/consumer.py`) acts on it.

Pure data apart from the loop, so that use cases may speak of it and stay free of AMQP.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from clarion.delivery.v1.delivery_pb2 import Delivery, Outcome


@dataclass(frozen=True, slots=True)
class Done:
    """Settled: SENT, SKIPPED or EXPIRED. The outcome is published and that is all."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed for a reason that may pass. After the last attempt the loop makes it Dead.

    The next attempt comes not before `retry_after_s` where it is set. `delivery` replaces the delivery on its way to the next
    attempt, for one that was delivered in part.
    """

    outcome: Outcome
    retry_after_s: float | None = None
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Defer:
    """Not tried: something that it needs is down. Comes back after at least `delay_s`; the attempt is not used up."""

    reason: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Postpone:
    """Not tried: its person does not want it now. Waits in the gateway's database for `wait_s`; the attempt is not used up."""

    rule: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up: FAILED, and a dead letter for review."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker's own code failed over this delivery: it is tried again alone, some times, and then given up."""


Disposition = Done | Retry | Defer | Postpone | Dead | Broken

# Receives dispositions by the delivery's place in its envelope, ahead of the last of them.
Settled = Callable[[Mapping[int, Disposition]], Awaitable[None]]


def reason_of(rule: str) -> str:
    """The rule that decided as a reason, such as "QUIET_HOURS" for "quiet_hours:22:00-07:30"."""
    return rule.partition(":")[0].upper()
