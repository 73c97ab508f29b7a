"""The composition root of the process that posts webhooks: opens what it needs and wires it together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.changes.repository import ChangeRepository
from gateway.webhooks.egress import open_egress
from gateway.webhooks.posting import Webhooks
from gateway.webhooks.settings import Settings
from gateway.webhooks.use_cases import SEALED_FOR
from gateway.webhooks.work_repository import WorkRepository
from mesh.process.health import Check, HealthMonitor
from mesh.process.memory_budget import MemoryBudget
from mesh.process.runtime import App
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.server import serve_grpc
from mesh.sealing import Sealer
from mesh.stores.database import open_database

NAME = "webhooks"


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Posts until the end of the block. Of several such processes each works for some of the endpoints."""
    async with open_database(settings.database) as database, open_egress(settings.egress) as egress:
        sealer = Sealer(settings.sealing.secret, SEALED_FOR, old=settings.sealing.old)
        webhooks = Webhooks(WorkRepository(database), ChangeRepository(database), egress, sealer)
        health = HealthMonitor((Check("database", database.ping),))
        try:
            webhooks.start()
            await health.start()
            budget, grace_s = MemoryBudget.of(settings.common), settings.common.grace_s
            async with serve_grpc(Dispatcher(()), settings.grpc, health, budget=budget, grace_s=grace_s) as port:
                yield App(NAME, health, {"grpc": port}, settings.grpc.connections)
        finally:
            await health.close()
            await webhooks.close(within_s=settings.common.door_grace_s)
