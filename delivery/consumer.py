"""The delivery loop, the only one: envelopes from the bus to a channel's handler, and each delivery onward from there.

What is to come of a delivery is published and confirmed first; only then is the envelope acknowledged. A crash in between makes a double,
which the workers' ledger makes harmless, and never a loss.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryResolved, Outcome
from delivery.actions import DeliveryActions, OutgoingMessage
from delivery.disposition import Disposition, Settled
from delivery.envelopes import RESOLVED, open_envelope
from delivery.lanes import OUTCOME_QUEUE, RETRY_DELAYS_S, Lane, lane_of
from mesh.bus.broker import Broker, BrokerUnavailable, Message, Subscription, Unroutable
from mesh.resilience.batching import Batcher

log = logging.getLogger(__name__)

Handler = Callable[[Sequence[Delivery], Settled], Awaitable[Sequence[Disposition]]]

# From this redelivery on an envelope of several is taken apart, well before the broker's limit gives all of them up.
SPLIT_FROM_DELIVERY = 2

_OUTCOME_BATCH = 32  # envelopes, of up to 50 outcomes each
_RETRY_MIN_S = 0.1
_RETRY_MAX_S = 5.0


class DeliveryConsumer:
    """Consumes both lanes of a channel, each with a consumer and a prefetch of its own, so that neither waits for the other.

    The handler answers with one disposition per delivery, in order, and may hand over some of them earlier, so that none waits for a
    slow neighbour. It is called for what is due or out of time: deliveries whose `not_before` lies ahead go back into a delay queue.
    """

    def __init__(
        self,
        broker: Broker,
        channel: str,
        handler: Handler,
        *,
        prefetch: int,
        urgent_prefetch: int | None = None,
        retries_s: Sequence[float] = RETRY_DELAYS_S,
        delay_scale: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._handler = handler
        self._clock = clock
        self._prefetch = {False: prefetch, True: urgent_prefetch or prefetch}
        self._lanes = {
            urgent: lane_of(broker.topology, channel, urgent=urgent, retries_s=retries_s, delay_scale=delay_scale)
            for urgent in (False, True)
        }
        self._subscriptions: list[Subscription] = []
        self._outcomes: Batcher[Sequence[Outcome], None] = Batcher(
            self._publish_outcomes, max_items=_OUTCOME_BATCH, max_concurrent=2, name=f"{channel}-outcomes"
        )

    async def start(self) -> None:
        """Begins to consume, as soon as there is a broker; also after `pause`."""
        for urgent, lane in self._lanes.items():
            subscription = await self._broker.consume(lane.queue, self._receiver(lane, urgent=urgent), prefetch=self._prefetch[urgent])
            self._subscriptions.append(subscription)

    async def pause(self, *, timeout_s: float) -> None:
        """Leaves what is in the queues to other workers until `start`, and finishes what is in flight."""
        paused, self._subscriptions = self._subscriptions, []
        await asyncio.gather(*(subscription.stop(timeout_s=timeout_s) for subscription in paused))

    async def stop(self, *, timeout_s: float) -> None:
        """Takes nothing new and finishes what is in flight; what is not done in time is redelivered to another worker."""
        await asyncio.gather(*(subscription.stop(timeout_s=timeout_s) for subscription in self._subscriptions))
        await self._outcomes.close()

    def liveness(self) -> bool:
        """False when a lane's consumer has died; a restart may help. A broker that is down does not count."""
        return all(subscription.healthy for subscription in self._subscriptions)

    @property
    def ready(self) -> bool:
        """Whether both lanes are being consumed."""
        return bool(self._subscriptions) and all(subscription.consuming for subscription in self._subscriptions)

    @property
    def in_flight(self) -> int:
        """Envelopes in hand."""
        return sum(subscription.in_flight for subscription in self._subscriptions)

    def _receiver(self, lane: Lane, *, urgent: bool) -> Callable[[Message], Awaitable[None]]:
        async def receive(message: Message) -> None:
            actions = DeliveryActions(lane, urgent=urgent, now=self._clock())
            deliveries, unreadable = open_envelope(message.body, message.headers)
            if unreadable:
                log.warning("items of a message are no deliveries", extra={"queue": message.queue, "items": len(unreadable)})
                actions.set_aside(unreadable, message.queue)
            if message.delivery_count >= SPLIT_FROM_DELIVERY and len(deliveries) > 1:
                log.warning("envelope taken apart", extra={"queue": message.queue, "deliveries": len(deliveries)})
                actions.split(deliveries)
            else:
                await self._decide(actions, deliveries, message, urgent=urgent, lane=lane)
            if await self._carry_out(actions, message):
                await message.ack()

        return receive

    async def _decide(
        self, actions: DeliveryActions, deliveries: Sequence[Delivery], message: Message, *, lane: Lane, urgent: bool
    ) -> None:
        due = [delivery for delivery in deliveries if not actions.settle_early(delivery)]
        early: set[int] = set()

        async def settled(dispositions: Mapping[int, Disposition]) -> None:
            """Publishes what these lead to at once. When the envelope is redelivered the ledger knows them."""
            ahead = DeliveryActions(lane, urgent=urgent, now=self._clock())
            for index, disposition in dispositions.items():
                ahead.settle(due[index], disposition)
            ahead.pack()
            if await self._carry_out(ahead, message):
                early.update(dispositions)

        if due:
            try:
                dispositions = await self._handler(due, settled)
                if len(dispositions) != len(due):
                    raise RuntimeError(f"the handler answered {len(dispositions)} dispositions for {len(due)} deliveries")
            except Exception:
                log.exception("delivery handler failed", extra={"deliveries": len(due), "notification_id": due[0].notification_id})
                actions.crashed(delivery for index, delivery in enumerate(due) if index not in early)
            else:
                actions.now = self._clock()
                for index, disposition in enumerate(dispositions):
                    if index not in early:
                        actions.settle(due[index], disposition)
        actions.pack()

    async def _carry_out(self, actions: DeliveryActions, message: Message) -> bool:
        """False when the message was lost meanwhile: it is redelivered, so what is left of the actions is not kept."""
        pending = actions.messages
        failures = 0
        while True:
            results = await asyncio.gather(*map(self._publish, pending))
            pending = [onward for onward, confirmed in zip(pending, results, strict=True) if not confirmed]
            # Last, so that who learns that a retry is planned can rely on its being planned.
            if not pending and await self._tell(actions.outcomes):
                return True
            if message.lost:
                return False
            await asyncio.sleep(min(_RETRY_MAX_S, _RETRY_MIN_S * 2.0 ** min(failures, 10)))
            failures += 1

    async def _publish(self, onward: OutgoingMessage) -> bool:
        try:
            await self._broker.publish(onward.route, onward.body, headers=onward.headers, kind=onward.kind)
        except (BrokerUnavailable, Unroutable) as error:
            log.warning("publishing onward failed: trying again", extra={"queue": onward.route, "reason": error.reason})
            return False
        return True

    async def _tell(self, outcomes: Sequence[Outcome]) -> bool:
        if not outcomes:
            return True
        try:
            await self._outcomes.submit(outcomes)
        except (BrokerUnavailable, Unroutable) as error:
            log.warning("publishing outcomes failed: trying again", extra={"reason": error.reason})
            return False
        return True

    async def _publish_outcomes(self, batches: Sequence[Sequence[Outcome]]) -> Sequence[None]:
        resolved = DeliveryResolved(outcomes=[outcome for batch in batches for outcome in batch])
        await self._broker.publish(OUTCOME_QUEUE, resolved.SerializeToString(), kind=RESOLVED)
        return [None] * len(batches)
