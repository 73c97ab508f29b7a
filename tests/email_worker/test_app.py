"""The worker as it runs, with the services that it asks down."""

import asyncio
from contextlib import aclosing

import grpc.aio

from email_worker.app import open_app
from email_worker.settings import Settings
from mesh.process.health import LIVENESS, NOT_SERVING, SERVING
from mesh.process.settings import Env
from mesh.testing import SECRET, free_port, watch_health
from tests.dying_broker import DyingBroker


async def test_a_consumer_that_has_died_in_silence_ends_the_process(redis_url: str) -> None:
    """Liveness tells so for a platform that asks, and the process goes by itself so that another takes over."""
    env = Env(
        {
            "CLARION_HOST": "127.0.0.1",
            "CLARION_GRPC_PORT": str(free_port()),
            "CLARION_METRICS_PORT": "0",
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_REDIS_URL": redis_url,
            "CLARION_AMQP_URL": "amqp://in-process",
            "CLARION_USER_SVC_TARGET": f"dns:///127.0.0.1:{free_port()}",
            "CLARION_TEMPLATE_SVC_TARGET": f"dns:///127.0.0.1:{free_port()}",
            "CLARION_SMTP_HOST": "127.0.0.1",
            "CLARION_SMTP_FROM": "no-reply@clarion.test",
            "CLARION_SMTP_TLS": "none",
            "CLARION_GRACE_S": "1",
        }
    )
    settings = Settings.from_env(env)
    env.check()
    broker = DyingBroker()
    async with (
        asyncio.timeout(60),
        open_app(settings, broker=broker) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        aclosing(watch_health(channel, LIVENESS)) as liveness,
    ):
        assert await anext(liveness) == SERVING
        broker.dead = "email.urgent.queue"
        assert await anext(liveness) == NOT_SERVING
        await app.fatal.wait()
