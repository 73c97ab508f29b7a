"""The topology against the code: every queue has a way in, a way out and somebody who reads it."""

import ast
from pathlib import Path

import pytest

from clarion.channel.v1.channel_pb2 import Channel
from delivery.lanes import CHANNELS, DELAY_EXCHANGE, EXCHANGE, PARK_DELAYS_S, RETRY_DELAYS_S, build_topology, lane_of, work_queue
from mesh.bus.topology import Queue
from tests.repo.trees import parsed

ROOT = Path(__file__).parents[2]
TOPOLOGY = build_topology()
QUEUES = {queue.name: queue for queue in TOPOLOGY.queues}
BOUND = {(binding.exchange, binding.routing_key): binding.queue for binding in TOPOLOGY.bindings}


def test_the_queues_are_those_of_the_contract() -> None:
    expected = {"outcome.queue", "failed.queue"}
    for channel in ("email", "push"):
        expected |= {f"{channel}.queue", f"{channel}.urgent.queue"}
        expected |= {f"{channel}.retry.{seconds}s" for seconds in (2, 4, 8)} | {f"{channel}.park.{seconds}s" for seconds in (30, 120)}
    assert set(QUEUES) == expected
    assert TOPOLOGY.exchanges == ("notifications", "notifications.delay")


def test_the_channels_are_those_of_the_schema() -> None:
    assert {f"CHANNEL_{channel.upper()}" for channel in CHANNELS} | {"CHANNEL_UNSPECIFIED"} == set(Channel.keys())


def test_a_new_channel_is_one_word() -> None:
    wider = build_topology([*CHANNELS, "sms"])
    assert {queue.name for queue in wider.queues} - set(QUEUES) == {
        "sms.queue", "sms.urgent.queue", "sms.retry.2s", "sms.retry.4s", "sms.retry.8s", "sms.park.30s", "sms.park.120s",
    }  # fmt: skip
    assert work_queue("sms", urgent=True) == "sms.urgent.queue"


@pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda queue: queue.name)
def test_a_queue_is_replicated_loses_nothing_and_has_a_limit_that_is_ours(queue: Queue) -> None:
    arguments = queue.arguments
    assert arguments["x-queue-type"] == "quorum"
    if queue.ttl_ms is None:
        # Brokers of different ages have different limits of their own.
        assert "x-delivery-limit" in arguments
    if queue.name != "failed.queue":
        assert arguments["x-dead-letter-exchange"] == EXCHANGE
        assert (arguments["x-dead-letter-strategy"], arguments["x-overflow"]) == ("at-least-once", "reject-publish")


@pytest.mark.parametrize("route", TOPOLOGY.routes.values(), ids=lambda route: route.name)
def test_every_route_leads_into_its_queue(route: object) -> None:
    assert BOUND[route.exchange, route.routing_key] == route.queue  # type: ignore[attr-defined]  # pytest passes it untyped


def test_every_queue_has_a_route() -> None:
    assert {route.queue for route in TOPOLOGY.routes.values()} == set(QUEUES)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("urgent", [False, True])
def test_a_delayed_message_returns_to_its_lane(channel: str, urgent: bool) -> None:
    lane = lane_of(TOPOLOGY, channel, urgent=urgent)
    assert [delay.delay_s for delay in lane.retry] == list(RETRY_DELAYS_S)
    assert [delay.delay_s for delay in lane.park] == list(PARK_DELAYS_S)
    for delay in (*lane.retry, *lane.park):
        route = TOPOLOGY.route(delay.route)
        queue = QUEUES[route.queue]
        assert route.exchange == DELAY_EXCHANGE
        assert queue.ttl_ms == delay.delay_s * 1000
        assert queue.dead_letter_key is None, "the message keeps the key that names its lane"
        assert BOUND[EXCHANGE, route.routing_key] == lane.queue


def test_delays_scale_and_names_stay() -> None:
    scaled = build_topology(delay_scale=0.01)
    assert [queue.name for queue in scaled.queues] == [queue.name for queue in TOPOLOGY.queues]
    assert lane_of(scaled, "email", urgent=False).retry[0].delay_s == pytest.approx(0.02)


def test_every_queue_is_consumed_by_a_process() -> None:
    gateway = _names_passed_to_consume(ROOT / "gateway")
    assert {"OUTCOME_QUEUE", "FAILED_QUEUE"} <= gateway
    for channel in CHANNELS:
        assert channel in _channels_consumed(ROOT / f"{channel}_worker"), f"nobody consumes the {channel} lanes"


def _calls(package: Path, name: str) -> list[ast.Call]:
    trees = [parsed(path) for path in package.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in nodes if name == (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))]


def _names_passed_to_consume(package: Path) -> set[str]:
    return {argument.id for call in _calls(package, "consume") for argument in call.args[:1] if isinstance(argument, ast.Name)}


def _channels_consumed(package: Path) -> set[str]:
    """The channels that a worker hands to `open_worker`, which consumes both lanes of each."""
    if not _calls(package, "open_worker"):
        return set()
    names = [call.args[0] for call in _calls(package, "Channel") if call.args]
    return {name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)}
