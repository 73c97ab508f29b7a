"""From deliveries on the bus to push messages: one use case per job."""

import time
from collections.abc import Callable, Iterator

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from clarion.notification.v1.notification_pb2 import PRIORITY_HIGH, DeviceResult
from clarion.template.v1.template_pb2 import Content
from delivery.fcm_fields import BLOCKS, finish
from delivery.models import Attempt, ReadyDelivery
from push_worker.models import DeviceOutcome, Push, Target
from push_worker.use_cases import SendPush

_MAX_TTL_S = 2_419_200  # FCM's own limit, four weeks


class PushConsumer:
    """The push channel of the delivery pipeline. `now_s` is Unix time."""

    def __init__(self, send_push: SendPush, *, now_s: Callable[[], float] = time.time) -> None:
        self._send_push = send_push
        self._now_s = now_s

    async def send(self, job: ReadyDelivery) -> Attempt:
        """Sends to the devices that are still to be reached. Raises DeliveryError when there is none."""
        report = await self._send_push(to_push(job, now_s=self._now_s()), to_targets(job))
        return Attempt(report.error, [to_result(outcome) for outcome in report.settled], report.pending)


def to_push(job: ReadyDelivery, *, now_s: float) -> Push:
    """The job as a push message."""
    delivery, content = job.delivery, job.content
    ttl_s = expire_s = None
    if delivery.HasField("expire_time"):
        expire_s = delivery.expire_time.seconds
        ttl_s = min(_MAX_TTL_S, max(0, int(expire_s - now_s)))
    return Push(
        id=delivery.notification_id,
        title=content.title,
        body=content.body,
        data=dict(content.data),
        image=content.image,
        template=delivery.template,
        urgent=delivery.priority == PRIORITY_HIGH,
        ttl_s=ttl_s,
        expire_s=expire_s,
        **{platform: finish(platform, MessageToDict(block)) for platform, block in _blocks(content)},
    )


def _blocks(content: Content) -> Iterator[tuple[str, Struct]]:
    return ((platform, block) for platform in BLOCKS if (block := getattr(content, platform)).fields)


def to_targets(job: ReadyDelivery) -> list[Target]:
    """All of the person's devices; on a retry those that are left, as far as the person still has them."""
    wanted = set(job.delivery.device_ids)
    return [Target(device.device_id, device.token) for device in job.recipient.devices if not wanted or device.device_id in wanted]


def messages_of(job: ReadyDelivery) -> int:
    """How many messages the job is to FCM: one per device, at least one."""
    return max(1, len(job.delivery.device_ids) or len(job.recipient.devices))


def to_result(outcome: DeviceOutcome) -> DeviceResult:
    """The outcome as people see it in the timeline."""
    return DeviceResult(device_id=outcome.device_id, accepted=outcome.error is None, reason=outcome.error.reason if outcome.error else "")
