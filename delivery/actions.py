"""Where each delivery of an envelope goes next: the rules of retry, park and dead letter. Decides and packs; publishes nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import assert_never

from google.protobuf.timestamp_pb2 import Timestamp

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryRequested, Outcome
from clarion.notification.v1.notification_pb2 import NotificationStatus
from delivery.attempt_result import expired
from delivery.disposition import Broken, Dead, Defer, Disposition, Done, Postpone, Retry, reason_of
from delivery.envelopes import ENVELOPE_BYTES, ENVELOPE_ITEMS, FAILED, REQUESTED, UNREADABLE, Unreadable, ids_header
from delivery.lanes import DATABASE, FAILED_QUEUE, Delay, Lane

# A handler's breakdowns over one delivery that it is given; it may be the delivery's fault or that of the moment.
MAX_CRASHES = 5

# Two clocks that differ must not make a loop of it.
_LEAST_POSTPONED_S = 5.0

# An urgent delivery waits for no other one's provider call.
_URGENT_ENVELOPE_SIZE = 1


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to publish."""

    route: str
    body: bytes
    headers: Mapping[str, str | int] = field(default_factory=dict)
    kind: str = REQUESTED


class DeliveryActions:
    """What is to be published before the envelope may be acknowledged: `onward`, and then `outcomes`.

    A delivery that is given up has no outcome of its own here: its dead letter carries it, so that both are recorded together. One that
    would come back after its expiry is not sent round first: it is EXPIRED at once.
    """

    def __init__(self, lane: Lane, *, urgent: bool, now: datetime) -> None:
        self._lane = lane
        self._size = _URGENT_ENVELOPE_SIZE if urgent else ENVELOPE_ITEMS
        self.now = now
        self.messages: list[OutgoingMessage] = []
        self.outcomes: list[Outcome] = []
        self._delayed: dict[str, list[Delivery]] = {}

    def split(self, deliveries: Iterable[Delivery]) -> None:
        """Each back to the work queue in an envelope of its own."""
        self.messages += [_envelope(self._lane.queue, [delivery]) for delivery in deliveries]

    def set_aside(self, unreadable: Iterable[Unreadable], source: str) -> None:
        """Each to the dead letters, under the id of its notification as far as that is known."""
        for item in unreadable:
            headers = {"reason": item.reason, "source": source, **ids_header([item.notification_id])}
            self.messages.append(OutgoingMessage(FAILED_QUEUE, item.body, headers, UNREADABLE))

    def settle_early(self, delivery: Delivery) -> bool:
        """True for a delivery that is not due yet: it is delayed again.

        One that is out of time is the handler's: only the ledger knows whether it was sent in time.
        """
        if _is_over(delivery, self.now):
            return False
        if delivery.HasField("not_before") and (wait_s := (_time(delivery.not_before) - self.now).total_seconds()) > 0:
            self._delay(delivery, self._lane.delay_for(wait_s))
            return True
        return False

    def settle(self, delivery: Delivery, disposition: Disposition) -> None:
        """Acts on the handler's decision."""
        match disposition:
            case Done(outcome):
                self._tell(delivery, outcome, outcome.status)
            case Retry(outcome, retry_after_s, changed):
                self._retry(delivery, outcome, retry_after_s or 0.0, changed or delivery)
            case Defer(reason, delay_s):
                self._defer(delivery, reason or "DEFERRED", delay_s)
            case Postpone(rule, wait_s):
                self._postpone(delivery, rule, wait_s)
            case Dead(outcome):
                self._give_up(delivery, outcome)
            case Broken():
                self.crashed([delivery])
            case unknown:
                assert_never(unknown)

    def crashed(self, deliveries: Iterable[Delivery]) -> None:
        """The handler failed over one or more of these: each is tried again alone after a pause, some times."""
        pause = self._lane.park[0]
        for delivery in deliveries:
            if _is_over(delivery, self.now + timedelta(seconds=pause.delay_s)):
                self._expire(delivery, "the worker broke down over it")
                continue
            next_delivery = _copy(delivery)
            next_delivery.crashes += 1
            if next_delivery.crashes > MAX_CRASHES:
                self._give_up(next_delivery, Outcome(reason="WORKER_FAILED", detail="the worker broke down over it several times"))
                continue
            self.messages.append(_envelope(pause.route, [next_delivery]))
            self._tell_planned(delivery, Outcome(reason="WORKER_FAILED"), NotificationStatus.NOTIFICATION_STATUS_QUEUED, pause.delay_s)

    def pack(self) -> None:
        """Turns what was delayed into envelopes. To be called once, after everything is settled."""
        for route, deliveries in self._delayed.items():
            self.messages += [_envelope(route, page) for page in _pages(deliveries, self._size)]
        self._delayed.clear()

    def _retry(self, delivery: Delivery, outcome: Outcome, wait_s: float, changed: Delivery) -> None:
        step = None if changed.refusals > delivery.refusals else delivery.attempt - 1 - delivery.refusals
        if step is not None and step >= len(self._lane.retry):
            self._give_up(changed, outcome)
            return
        next_delivery = _copy(changed)
        next_delivery.attempt = delivery.attempt + 1
        next_delivery.deferrals = next_delivery.crashes = 0
        delay = self._lane.delay_for(wait_s, step=step)
        # from the attempt's end on, which is the same when its message is redelivered: so is the answer
        ended = _time(outcome.time) if outcome.HasField("time") else self.now
        if _is_over(next_delivery, ended + timedelta(seconds=max(wait_s, delay.delay_s))):
            self._tell(delivery, outcome, NotificationStatus.NOTIFICATION_STATUS_RETRYING)
            self._expire(next_delivery, "the next try would have come too late", last=delivery)
            return
        if delay.route == DATABASE:
            next_delivery.ClearField("not_before")
            planned = Outcome(next=next_delivery)
            planned.MergeFrom(outcome)
            self._tell_planned(delivery, planned, NotificationStatus.NOTIFICATION_STATUS_RETRYING, max(wait_s, delay.delay_s))
            return
        wait_s = self._wait(next_delivery, wait_s, delay)
        self._tell_planned(delivery, outcome, NotificationStatus.NOTIFICATION_STATUS_RETRYING, wait_s)

    def _defer(self, delivery: Delivery, reason: str, delay_s: float) -> None:
        next_delivery = _copy(delivery)
        next_delivery.deferrals += 1
        delay = self._lane.delay_for(delay_s)
        if _is_over(delivery, self.now + timedelta(seconds=max(delay_s, delay.delay_s))):
            self._expire(delivery, f"it could not be tried in time: {reason}")
            return
        wait_s = self._wait(next_delivery, delay_s, delay)
        self._tell_planned(delivery, Outcome(reason=reason), NotificationStatus.NOTIFICATION_STATUS_QUEUED, wait_s)

    def _postpone(self, delivery: Delivery, rule: str, wait_s: float) -> None:
        """The same attempt waits in the database, however short the wait: the notification shows it, and can be cancelled there."""
        wait_s = max(wait_s, _LEAST_POSTPONED_S)
        if _is_over(delivery, self.now + timedelta(seconds=wait_s)):
            self._expire(delivery, f"its time ends before its person wants it: {rule}")
            return
        next_delivery = _copy(delivery)
        next_delivery.deferrals = next_delivery.crashes = 0
        next_delivery.ClearField("not_before")
        next_delivery.ClearField("decide_time")
        next_delivery.due_time.FromDatetime(self.now + timedelta(seconds=wait_s))
        planned = Outcome(reason=reason_of(rule), detail=rule, next=next_delivery)
        self._tell_planned(delivery, planned, NotificationStatus.NOTIFICATION_STATUS_SCHEDULED, wait_s)

    def _wait(self, delivery: Delivery, wait_s: float, delay: Delay) -> float:
        """Into the delay queue, with a note where that is only the first hop. Returns the seconds until the next try."""
        delivery.ClearField("not_before")
        if wait_s > delay.delay_s:
            delivery.not_before.FromDatetime(self.now + timedelta(seconds=wait_s))
        self._delay(delivery, delay)
        return max(wait_s, delay.delay_s)

    def _delay(self, delivery: Delivery, delay: Delay) -> None:
        self._delayed.setdefault(delay.route, []).append(delivery)

    def _expire(self, delivery: Delivery, detail: str, *, last: Delivery | None = None) -> None:
        """`last` is the delivery in the attempt before, to which it belongs when that one has reached a device."""
        outcome = expired(delivery, detail=detail).outcome
        outcome.time.FromDatetime(self.now)
        reached = outcome.status != NotificationStatus.NOTIFICATION_STATUS_EXPIRED
        self._tell(last if reached and last is not None else delivery, outcome, outcome.status)

    def _give_up(self, delivery: Delivery, outcome: Outcome) -> None:
        final = self._complete(delivery, outcome, NotificationStatus.NOTIFICATION_STATUS_FAILED)
        self.messages.append(
            OutgoingMessage(FAILED_QUEUE, DeliveryFailed(delivery=delivery, outcome=final).SerializeToString(), kind=FAILED)
        )

    def _tell(self, delivery: Delivery, outcome: Outcome, status: NotificationStatus.ValueType) -> None:
        self.outcomes.append(self._complete(delivery, outcome, status))

    def _tell_planned(self, delivery: Delivery, outcome: Outcome, status: NotificationStatus.ValueType, wait_s: float) -> None:
        complete = self._complete(delivery, outcome, status)
        complete.next_attempt_time.FromDatetime(self.now + timedelta(seconds=wait_s))
        self.outcomes.append(complete)

    def _complete(self, delivery: Delivery, outcome: Outcome, status: NotificationStatus.ValueType) -> Outcome:
        complete = Outcome()
        complete.CopyFrom(outcome)
        complete.notification_id = delivery.notification_id
        complete.run = delivery.run
        complete.attempt = delivery.attempt
        complete.status = status
        if not complete.HasField("time"):
            complete.time.FromDatetime(self.now)
        return complete


def _pages(deliveries: Sequence[Delivery], most: int) -> Iterator[list[Delivery]]:
    page: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        page.append(delivery)
        size += delivery.ByteSize()
        if len(page) == most or size >= ENVELOPE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


def _envelope(route: str, deliveries: Sequence[Delivery]) -> OutgoingMessage:
    named = ids_header(delivery.notification_id for delivery in deliveries)
    return OutgoingMessage(route, DeliveryRequested(deliveries=deliveries).SerializeToString(), named)


def _copy(delivery: Delivery) -> Delivery:
    copy = Delivery()
    copy.CopyFrom(delivery)
    return copy


def _is_over(delivery: Delivery, moment: datetime) -> bool:
    """Whether the delivery's time ends by then."""
    return delivery.HasField("expire_time") and _time(delivery.expire_time) <= moment


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
