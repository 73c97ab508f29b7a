"""The fuzz drill: ten callers for so many seconds, and then the books."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg

from clarion.notification.v1 import dead_letter_service_pb2, notification_service_pb2, saga_service_pb2
from clarion.operations.v1 import breaker_service_pb2
from clarion.template.v1 import render_service_pb2, template_service_pb2
from clarion.user.v1 import auth_service_pb2, erasure_service_pb2, recipient_service_pb2, user_service_pb2
from devstack.client import Client
from devstack.processes import API_KEY, ProcessStack
from gateway.notifications.models import Status
from tests.system.drills.fuzz.caller import Caller, Record
from tests.system.drills.fuzz.doors import GrpcDoor, RestDoor
from tests.system.drills.fuzz.guard import Guard, memory_limits

_CALLERS = 10
_AT_A_TIME = 3  # requests of one caller
_SCOPES = (
    "users:read users:write templates:read templates:write notifications:send notifications:read deadletters:review sagas:read sagas:write"
)
_FILES = (
    notification_service_pb2, dead_letter_service_pb2, saga_service_pb2, breaker_service_pb2, render_service_pb2, template_service_pb2,
    auth_service_pb2, erasure_service_pb2, recipient_service_pb2, user_service_pb2,
)  # fmt: skip
_TERMINAL = tuple(status.value for status in (Status.SENT, Status.FAILED, Status.SKIPPED, Status.CANCELLED, Status.EXPIRED))
_SETTLE_S = 180.0
_LOOK_EVERY_S = 0.5
# Since the drill began, without those that are to be sent another day.
_OPEN = """
SELECT id::text, status, reason, attempt, template FROM notifications
WHERE create_time >= $1 AND status <> ALL($2::smallint[]) AND NOT (status = $3 AND dispatch_at > now() + interval '10 seconds')
"""
_UNEXPLAINED = """
SELECT id::text, reason FROM notifications n WHERE create_time >= $1 AND status = $2
AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.notification_id = n.id)
"""
_TOTALS = "SELECT status, reason, count(*) FROM notifications WHERE create_time >= $1 GROUP BY 1, 2 ORDER BY 3 DESC"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`violations` is empty when all went well; the rest says how much was tried. Memory in bytes."""

    violations: list[str]
    answers: Mapping[str, int]
    ends: Mapping[str, int]
    memory: Mapping[str, int]

    def report(self) -> str:
        """A paragraph for people."""
        parts = {"answers": self.answers, "ends": self.ends, "MiB at most": {name: peak >> 20 for name, peak in self.memory.items()}}
        lines = [f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()) for title, counts in parts.items()]
        return "\n".join([*lines, *(f"VIOLATION: {violation}" for violation in self.violations)])


async def fuzz(stack: ProcessStack, *, seed: int, seconds: float) -> Outcome:
    """Fuzzes what is running. The same seed draws the same values; what they meet differs with the order of the callers."""
    record, guard = Record(), Guard(stack)
    connection: Any = await asyncpg.connect(stack.environ("gateway")["CLARION_DATABASE_URL"])
    watching = asyncio.create_task(guard.watch())
    try:
        begun = await connection.fetchval("SELECT now()")
        await _load(stack, record, seed=seed, seconds=seconds)
        unsettled = await _settle(connection, begun)
        unexplained = await connection.fetch(_UNEXPLAINED, begun, Status.FAILED)
        totals = await connection.fetch(_TOTALS, begun)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await connection.close()
    violations = [*record.findings, *guard.violations(memory_limits())]
    violations += [f"does not end: {tuple(row)}" for row in unsettled] + [
        f"failed without a dead letter: {tuple(row)}" for row in unexplained
    ]
    ends = {f"{Status(row['status']).name} {row['reason']}".strip(): row["count"] for row in totals}
    return Outcome(violations, dict(record.answers.most_common()), ends, guard.peaks)


async def _load(stack: ProcessStack, record: Record, *, seed: int, seconds: float) -> None:
    services = [service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(Client(stack.url, API_KEY))
        doors = [GrpcDoor(stack.grpc_ports[name]) for name in ("gateway", "user_svc", "template_svc", "email_worker", "push_worker")]
        for door in doors:
            opened.push_async_callback(door.close)
        keys = [
            await client.call("POST", "/v1/api-keys", {"name": f"fuzz {number}", "scopes": _SCOPES.split()}) for number in range(_CALLERS)
        ]
        callers = [
            Caller(number, key["secret"], record, seed=seed, rest=RestDoor(stack.http_port), doors=doors, services=services)
            for number, key in enumerate(keys)
        ]
        for caller in callers:
            await caller.new_person(plain=True)
            await caller.new_template(plain=True)
        until = time.monotonic() + seconds
        await asyncio.gather(*(_act(caller, until) for caller in callers for _ in range(_AT_A_TIME)))


async def _act(caller: Caller, until: float) -> None:
    while time.monotonic() < until:
        await caller.act()


async def _settle(connection: Any, begun: object) -> list[Any]:
    """What has not ended when the time for it is over."""
    give_up_at = time.monotonic() + _SETTLE_S
    while True:
        rows: list[Any] = await connection.fetch(_OPEN, begun, _TERMINAL, Status.SCHEDULED)
        if not rows or time.monotonic() > give_up_at:
            return rows
        await asyncio.sleep(_LOOK_EVERY_S)
