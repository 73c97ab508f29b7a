"""The port for machines: metrics and probes, from threads that notice a stuck event loop."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from mesh.process.health import Check, HealthMonitor
from mesh.process.machine_door import MachineDoor, open_machine_door


@pytest_asyncio.fixture
async def door() -> AsyncIterator[MachineDoor]:
    with open_machine_door("127.0.0.1", 0, loop_answers_within_s=0.3) as opened:
        yield opened


async def get(door: MachineDoor, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", timeout=10) as client:
        return await client.request(method, path)


async def test_probes_fail_until_the_process_has_started(door: MachineDoor) -> None:
    assert (await get(door, "/livez")).status_code == 503
    assert (await get(door, "/readyz")).json() == {"message": "the process is starting"}


async def test_readiness_follows_dependencies_and_liveness_does_not(door: MachineDoor) -> None:
    """And the answer names the dependency that is down."""

    async def fail() -> None:
        raise OSError

    door.health = HealthMonitor([Check("database", fail)])
    await door.health.probe()
    ready = await get(door, "/readyz")
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "dependencies": {"database": False}})
    assert (await get(door, "/livez")).status_code == 200


async def test_liveness_follows_what_the_process_keeps_going(door: MachineDoor) -> None:
    door.health = HealthMonitor([], alive=lambda: False)
    assert (await get(door, "/livez")).status_code == 503


async def test_a_draining_process_is_alive_and_not_ready(door: MachineDoor) -> None:
    door.health = HealthMonitor([])
    await door.health.probe()
    assert (await get(door, "/readyz")).status_code == 200
    await door.health.drain()
    assert (await get(door, "/readyz")).status_code == 503
    assert (await get(door, "/livez")).status_code == 200


# not in the fast tier, which also runs under faketime: that changes how long a thread waits for another
@pytest.mark.processes
async def test_a_stuck_event_loop_is_not_alive(door: MachineDoor) -> None:
    """The thread that answers does not wait for it for ever."""
    door.health = HealthMonitor([])
    asking = asyncio.create_task(asyncio.to_thread(httpx.get, f"http://127.0.0.1:{door.port}/livez", timeout=10))
    # the request is on its way before the loop stops for longer than it may
    await asyncio.sleep(0)
    time.sleep(1.5)  # noqa: ASYNC251  it is what is tested
    answer = await asking
    assert (answer.status_code, answer.json()) == (503, {"message": "the event loop is stuck"})


async def test_a_client_that_sends_nothing_holds_up_no_other_and_no_stop() -> None:
    with open_machine_door("127.0.0.1", 0) as opened:
        opened.health = HealthMonitor([])
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        assert (await get(opened, "/livez")).status_code == 200
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/metrics", 200), ("HEAD", "/livez", 503), ("POST", "/livez", 405), ("GET", "/", 404)]
)
async def test_only_three_paths_are_served(door: MachineDoor, method: str, path: str, status: int) -> None:
    assert (await get(door, path, method)).status_code == status
