"""Messages on the bus that no worker can take."""

import os

from clarion.channel.v1.channel_pb2 import CHANNEL_EMAIL
from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryRequested
from delivery.lanes import build_topology
from mesh.bus.rabbitmq import open_broker
from mesh.bus.settings import BrokerSettings
from mesh.ids import new_id
from tests.system.drills.fault import Fault
from tests.system.drills.rig import Rig
from tests.waiting import until

_QUEUES = ("email.queue", "push.queue", "email.urgent.queue", "push.urgent.queue")


class Garbage(Fault):
    """Bytes that are no message at all, on every work queue, on the outcomes and on the dead letters."""

    lasts_s = (0.0, 0.0)

    async def inject(self, rig: Rig) -> None:
        await _publish(rig, {queue: os.urandom(200) for queue in (*_QUEUES, "outcome.queue", "failed.queue")})


class Poison(Fault):
    """An envelope over which the delivery loop itself breaks down each time: a time that no clock can hold."""

    lasts_s = (0.0, 0.0)

    async def inject(self, rig: Rig) -> None:
        delivery = Delivery(notification_id=new_id(), attempt=1, channel=CHANNEL_EMAIL)
        delivery.not_before.seconds = 10**18
        body = DeliveryRequested(deliveries=[delivery]).SerializeToString()
        await _publish(rig, dict.fromkeys(_QUEUES, body))


async def _publish(rig: Rig, bodies: dict[str, bytes]) -> None:
    async with open_broker(BrokerSettings(rig.rabbitmq.url), build_topology()) as broker:
        await until(lambda: broker.connected)  # a loaded machine takes longer than `open_broker` waits
        for queue, body in bodies.items():
            await broker.publish(queue, body)
