"""What a container platform asks before it restarts a process."""

from grpc_health.v1 import health_pb2

from mesh.health import LIVENESS, Check, HealthMonitor


async def refuse() -> None:
    raise ConnectionError("down")


async def test_a_process_is_alive_while_what_it_needs_is_down() -> None:
    """Restarting it would not bring the dependency back, and would lose what it has in hand."""
    monitor = HealthMonitor([Check("db", refuse)])
    await monitor.start()
    alive = await monitor.servicer.Check(health_pb2.HealthCheckRequest(service=LIVENESS), None)
    overall = await monitor.servicer.Check(health_pb2.HealthCheckRequest(), None)
    await monitor.close()
    assert alive.status == health_pb2.HealthCheckResponse.SERVING
    assert overall.status == health_pb2.HealthCheckResponse.NOT_SERVING
