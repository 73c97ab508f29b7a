"""What a container platform asks before it restarts a process."""

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.process.health import LIVENESS, Check, HealthMonitor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.server import serve_grpc
from mesh.testing import grpc_settings

Status = health_pb2.HealthCheckResponse


async def refuse() -> None:
    raise ConnectionError("down")


async def test_a_process_is_alive_while_what_it_needs_is_down() -> None:
    """Restarting it would not bring the dependency back, and would lose what it has in hand."""
    monitor = HealthMonitor([Check("db", refuse)])
    await monitor.start()
    async with (
        serve_grpc(Dispatcher(()), grpc_settings(), monitor, grace_s=1) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        alive = await stub.Check(health_pb2.HealthCheckRequest(service=LIVENESS))
        overall = await stub.Check(health_pb2.HealthCheckRequest())
    await monitor.close()
    assert alive.status == Status.SERVING
    assert overall.status == Status.NOT_SERVING
