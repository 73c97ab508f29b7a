"""Every fault by name, and which of them are the short form."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tests.system.drills.bus_faults import Garbage, Poison
from tests.system.drills.fault import Fault
from tests.system.drills.link_faults import LINK_FAULTS
from tests.system.drills.process_faults import Freeze, Kill, KillAll, Misconfigured, OtherClock
from tests.system.drills.provider_faults import FCM_FAULTS, DeferringSmtp, SilentSmtp, SlowSmtp
from tests.system.drills.store_faults import (
    FlushValkey,
    FullDisk,
    KillPostgres,
    KillRabbitMQ,
    KillValkey,
    MemoryAlarm,
    PauseStore,
    RestartPostgres,
    RestartRabbitMQ,
    RestartValkey,
)

_SILENT_SMTP = SilentSmtp("SMTP takes the mail, is silent")
_POISON = Poison("poison on every work queue")
# In this order the messages that the first ones have had parked come back while the later ones are drilled.
_KILLS: tuple[Fault, ...] = (
    Kill("user_svc"),
    Kill("template_svc"),
    KillPostgres("kill -9 PostgreSQL"),
    Kill("gateway"),
    Kill("email_worker"),
    Kill("push_worker"),
    KillRabbitMQ("kill -9 RabbitMQ"),
    KillValkey("kill -9 Valkey"),
    FlushValkey("FLUSHALL Valkey"),
)
_PAUSES = tuple(PauseStore(store, seconds) for store in ("PostgreSQL", "RabbitMQ", "Valkey") for seconds in (2.0, 4.0, 8.0))
ALL: tuple[Fault, ...] = (
    *_KILLS,
    *_PAUSES,
    *(KillAll(service) for service in ("user_svc", "template_svc", "gateway", "email_worker", "push_worker")),
    *(OtherClock(service, offset_s) for service in ("gateway", "user_svc", "email_worker") for offset_s in (-50, -3, 3, 50)),
    *(Freeze(service, 8.0) for service in ("user_svc", "template_svc", "gateway", "email_worker")),
    DeferringSmtp("SMTP 451 to everyone"),
    SlowSmtp("slow SMTP"),
    Misconfigured("wrong SMTP password of email_worker", "email_worker", "CLARION_SMTP_PASSWORD"),
    Misconfigured("wrong CA of email_worker", "email_worker", "CLARION_SMTP_CA_FILE"),
    Misconfigured("wrong RabbitMQ password of push_worker", "push_worker", "CLARION_AMQP_URL"),
    RestartPostgres("restart PostgreSQL"),
    RestartRabbitMQ("restart RabbitMQ"),
    RestartValkey("restart Valkey"),
    MemoryAlarm("memory alarm of RabbitMQ"),
    FullDisk("full disk of PostgreSQL"),
    *(Freeze(service, 30.0) for service in ("gateway", "email_worker", "push_worker")),
    _SILENT_SMTP,
    *FCM_FAULTS,
    Garbage("garbage on every queue"),
    _POISON,
    *LINK_FAULTS,
)
SHORT: tuple[Fault, ...] = (
    *_KILLS,
    *(PauseStore(store, 4.0) for store in ("PostgreSQL", "RabbitMQ", "Valkey")),
    Freeze("user_svc", 8.0),
    *(fault for fault in LINK_FAULTS if fault.name == "cut: email_worker to SMTP"),
    _POISON,
)
# What `make test` has time for: a store that nobody notices to be gone, and a replica.
IN_SUITE: tuple[Fault, ...] = (PauseStore("RabbitMQ", 4.0), Freeze("user_svc", 8.0))


def chosen(faults: Sequence[Fault], patterns: Sequence[str]) -> list[Fault]:
    """Those whose name fits one of the patterns (`*` stands for anything); all without patterns. Raises ValueError for a useless one."""
    for pattern in patterns:
        if not any(_fits(fault, pattern) for fault in faults):
            raise ValueError(f"--fault: no fault is called {pattern!r}; --list names them all")
    return [fault for fault in faults if not patterns or any(_fits(fault, pattern) for pattern in patterns)]


def _fits(fault: Fault, pattern: str) -> bool:
    return fnmatchcase(fault.name.lower(), pattern.lower())
