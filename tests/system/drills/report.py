"""What the drills found: a line per fault, and the sums."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from gateway.notifications.models import Status
from tests.system.drills.drill import Drill, Round

_HEAD = ("fault", "rounds", "accepted", "sent", "failed", "lost", "duplicates", "held", "recovery s", "bound s")
NOT_AVAILABLE = "not available here"


@dataclass(frozen=True, slots=True)
class Line:
    """One fault over all its rounds.

    `in_flight` is the most that it may have sent twice; `held` were sent and wait for review all the same.
    """

    fault: str
    rounds: int
    accepted: int = 0
    sent: int = 0
    failed: int = 0
    others: int = 0
    lost: int = 0
    duplicates: int = 0
    in_flight: int = 0
    held: int = 0
    violations: int = 0
    longest_recovery_s: float = 0.0
    recovers_s: float = 0.0

    @classmethod
    def of(cls, drill: Drill, fault: str, rounds: Sequence[Round]) -> Self:
        """Sums the rounds of one fault up."""
        totals = [one.account.totals for one in rounds]
        sent = sum(total.get(Status.SENT, 0) for total in totals)
        failed = sum(total.get(Status.FAILED, 0) for total in totals)
        return cls(
            fault=fault,
            rounds=len(rounds),
            accepted=sum(one.account.accepted for one in rounds),
            sent=sent,
            failed=failed,
            others=sum(sum(total.values()) for total in totals) - sent - failed,
            lost=sum(len(drill.lost(one)) for one in rounds),
            duplicates=sum(drill.doubles(one) for one in rounds),
            held=sum(len(drill.held(one)) for one in rounds),
            in_flight=sum(one.fault.doubles for one in rounds),
            violations=sum(len(one.violations) for one in rounds),
            longest_recovery_s=round(max(one.recovery_s for one in rounds), 1),
            recovers_s=max(one.fault.recovers_s for one in rounds),
        )

    def cells(self) -> tuple[str, ...]:
        """As in the table."""
        if not self.rounds:
            return (self.fault, NOT_AVAILABLE, *[""] * (len(_HEAD) - 2))
        counts = (self.rounds, self.accepted, self.sent, self.failed, self.lost)
        doubles, recovery = f"{self.duplicates} of {self.in_flight}", f"{self.longest_recovery_s:.1f}"
        return (self.fault, *map(str, counts), doubles, str(self.held), recovery, f"{self.recovers_s:g}")


def lines_of(drill: Drill) -> list[Line]:
    """A line per fault, in the order in which they were drilled."""
    by_fault: dict[str, list[Round]] = {}
    for one in drill.rounds:
        by_fault.setdefault(one.fault.name, []).append(one)
    return [Line.of(drill, fault, rounds) for fault, rounds in by_fault.items()]


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """The last line of the output. Books that do not balance, and more doubles than messages were in flight, are violations too."""
    drilled = [line for line in lines if line.rounds]
    unequal = sum(line.accepted != line.sent + line.failed + line.others for line in drilled)
    too_many = sum(line.duplicates > line.in_flight for line in drilled)
    return {
        "rounds": sum(line.rounds for line in drilled),
        "accepted": sum(line.accepted for line in drilled),
        "lost": sum(line.lost for line in drilled),
        "duplicates": sum(line.duplicates for line in drilled),
        "held": sum(line.held for line in drilled),
        "violations": sum(line.violations for line in drilled) + unequal + too_many,
        "doubles_with_nobody_dead": sum(line.duplicates for line in drilled if not line.in_flight),
        "late": sum(line.longest_recovery_s > line.recovers_s for line in drilled),
        "longest_recovery_s": max((line.longest_recovery_s for line in drilled), default=0.0),
    }


def markdown(lines: Iterable[Line]) -> str:
    """The table for docs/reliability.md."""
    rows = [_HEAD, ("---", *["---:"] * (len(_HEAD) - 1)), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def table(lines: Sequence[Line]) -> str:
    """The same for a terminal."""
    rows = [_HEAD, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]) for row in rows
    )
