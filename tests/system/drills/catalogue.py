"""Every fault by name, and which of them are the short form."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from devstack.processes import SERVICES
from tests.system.drills.bus_faults import Garbage, Poison
from tests.system.drills.fault import Fault
from tests.system.drills.link_faults import LINK_FAULTS
from tests.system.drills.process_faults import Freeze, Kill
from tests.system.drills.provider_faults import FCM_FAULTS, SilentSmtp
from tests.system.drills.store_faults import (
    FlushValkey,
    FullDisk,
    KillPostgres,
    KillRabbitMQ,
    KillValkey,
    MemoryAlarm,
    RestartPostgres,
)

_KILLS: tuple[Fault, ...] = (
    *(Kill(service) for service in SERVICES),
    KillRabbitMQ("kill -9 RabbitMQ"),
    KillPostgres("kill -9 PostgreSQL"),
    KillValkey("kill -9 Valkey"),
    FlushValkey("FLUSHALL Valkey"),
)
ALL: tuple[Fault, ...] = (
    *_KILLS,
    RestartPostgres("restart PostgreSQL"),
    MemoryAlarm("memory alarm of RabbitMQ"),
    FullDisk("full disk of PostgreSQL"),
    *(Freeze(service, 30.0) for service in ("gateway", "email_worker", "push_worker")),
    SilentSmtp("SMTP takes the mail, is silent"),
    *FCM_FAULTS,
    Garbage("garbage on every queue"),
    Poison("poison on every work queue"),
    *LINK_FAULTS,
)
_QUICK_LINKS = ("reset: gateway to PostgreSQL", "black hole: email_worker to SMTP", "cut: push_worker to FCM")
SHORT: tuple[Fault, ...] = (
    *_KILLS,
    Freeze("email_worker", 2.0),
    SilentSmtp("SMTP takes the mail, is silent"),
    next(fault for fault in FCM_FAULTS if fault.name == "FCM 500"),
    Poison("poison on every work queue"),
    *(fault for fault in LINK_FAULTS if fault.name in _QUICK_LINKS),
)


def chosen(faults: Sequence[Fault], patterns: Sequence[str]) -> list[Fault]:
    """Those whose name fits one of the patterns (`*` stands for anything); all without patterns. Raises ValueError for a useless one."""
    for pattern in patterns:
        if not any(_fits(fault, pattern) for fault in faults):
            raise ValueError(f"--fault: no fault is called {pattern!r}; --list names them all")
    return [fault for fault in faults if not patterns or any(_fits(fault, pattern) for pattern in patterns)]


def _fits(fault: Fault, pattern: str) -> bool:
    return fnmatchcase(fault.name.lower(), pattern.lower())
