"""What happens to a delivery between the bus and a provider, the same for every channel.

ledger -> expired? -> recipient and decision -> text -> attempt (`delivery/attempts.py`) -> disposition
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1 import notification_pb2 as notification
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD
from clarion.user.v1.recipient_service_pb2 import DECISION_DEFER, DECISION_NOT_FOUND, DECISION_SEND, Recipient
from delivery.attempt_result import ATTEMPTS, expired, outcome, reached_before, result_of
from delivery.attempts import BEING_SENT, Attempts, Observer, identity, is_late, key_of, known
from delivery.disposition import Broken, Dead, Defer, Disposition, Done, Postpone, Settled, reason_of
from delivery.errors import TransientDeliveryError
from delivery.models import Attempt, LedgerEntry, LedgerState, LedgerStore, ReadyDelivery, Recipients, Renderer, query_of, render_item
from delivery.routing import Routing
from mesh.errors import Code, ServiceError

log = logging.getLogger(__name__)

_HOPELESS = frozenset({Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE, Code.ALREADY_EXISTS})
_OUR_DEFECT = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.RESOURCE_EXHAUSTED})
# How long deliveries wait for a service that is down, by how often they have waited. Short for most of a minute, since most outages are
# restarts and a short one should stay short; longer later, since each wait costs the bus a round of everything that waits.
_PEER_WAITS_S = (*[2.0] * 15, *[4.0] * 6, *[8.0] * 4, 30.0)


# An envelope's decided deliveries wait so long for the others before they are handed over.
_PATIENCE_S = 1.0


class _Envelope:
    """The deliveries in hand and what was decided about each. Those that another handler has in hand are `taken`."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries = deliveries
        self.decided: dict[int, Disposition] = {}
        self.taken: set[int] = set()
        self.doubtful: set[int] = set()
        self.recipients: dict[int, Recipient] = {}

    def open(self) -> Iterator[tuple[int, Delivery]]:
        """Those without a decision."""
        for index, delivery in enumerate(self.deliveries):
            if index not in self.decided and index not in self.taken:
                yield index, delivery

    def decisions(self) -> list[Disposition]:
        """One per delivery, in order."""
        return [self.decided[index] for index in range(len(self.deliveries))]


class DeliveryPipeline:
    """Decides about envelopes of deliveries. One per lane; lanes share everything but `routing`, which knows the lane's part of each.

    `tokens_of` is what a job costs of a provider's rate. `now_s` is Unix time. `observe` gets the provider, the result ("sent" or a
    reason), the seconds and the success of each call to a provider.
    """

    def __init__(
        self,
        *,
        recipients: Recipients,
        renderer: Renderer,
        routing: Routing,
        ledger: LedgerStore,
        tokens_of: Callable[[ReadyDelivery], int] = lambda job: 1,
        observe: Observer | None = None,
        now_s: Callable[[], float] = time.time,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._most = attempts
        self._recipients = recipients
        self._renderer = renderer
        self._routing = routing
        self._ledger = ledger
        self._now_s = now_s
        self._attempts = Attempts(routing=routing, ledger=ledger, tokens_of=tokens_of, observe=observe, now_s=now_s, attempts=attempts)
        self._under_way: dict[str, asyncio.Future[Disposition]] = {}

    async def handle(self, deliveries: Sequence[Delivery], settled: Settled | None = None) -> list[Disposition]:
        """What is to become of each delivery, in order. While some take long, `settled` gets the others every second."""
        envelope = _Envelope(deliveries)
        # the ledger first: what was sent in time is not EXPIRED because its message came back late
        await self._consult_ledger(envelope)
        tasks = {asyncio.create_task(self._after_other(deliveries[index])): index for index in sorted(envelope.taken)}
        try:
            answered = frozenset(envelope.decided)
            self._drop_expired(envelope)
            self._defer_while_open(envelope)
            await self._resolve(envelope)
            tasks |= {asyncio.create_task(self._once(job)): index for index, job in (await self._render(envelope)).items()}
            for index in [
                index for index, made in envelope.decided.items() if index not in answered and not isinstance(made, Defer | Postpone)
            ]:
                tasks[asyncio.create_task(self._conclude(deliveries[index], envelope.decided.pop(index)))] = index
            await self._collect(envelope, tasks, settled)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return envelope.decisions()

    async def _collect(self, envelope: _Envelope, tasks: "Mapping[asyncio.Task[Disposition], int]", settled: Settled | None) -> None:
        """The results of all. An exception over one delivery is that one's affair, and so is the time that one takes."""
        pending, reported = set(tasks), set[int]()
        while pending:
            done, pending = await asyncio.wait(pending, timeout=_PATIENCE_S)
            for task in done:
                envelope.decided[tasks[task]] = _result(task, envelope.deliveries[tasks[task]])
            if pending and settled is not None and len(envelope.decided) > len(reported):
                await settled({index: made for index, made in envelope.decided.items() if index not in reported})
                reported.update(envelope.decided)

    async def _consult_ledger(self, envelope: _Envelope) -> None:
        """Decides what the ledger has an answer for, and finds those that are being sent or whose earlier try has an unknown outcome."""
        entries = await self._ledger.look_up([key_of(delivery) for delivery in envelope.deliveries])
        for index, (delivery, entry) in enumerate(zip(envelope.deliveries, entries, strict=True)):
            unknown = entry.state is LedgerState.UNKNOWN
            held = unknown and delivery.on_unknown == ON_UNKNOWN_HOLD
            if held or entry.state is LedgerState.CLAIMED or key_of(delivery) in self._under_way:
                envelope.taken.add(index)
            elif (settled := _recorded(delivery, entry)) is not None:
                envelope.decided[index] = settled
            elif unknown:
                envelope.doubtful.add(index)

    async def _after_other(self, delivery: Delivery) -> Disposition:
        """Waits for what comes of a delivery that this process or another worker is sending; tries it where that worker is gone."""
        key = key_of(delivery)
        if key in self._under_way:
            return await asyncio.shield(self._under_way[key])
        entry = await self._ledger.wait(key)
        if entry.state is LedgerState.CLAIMED:
            return BEING_SENT
        if entry.state is LedgerState.UNKNOWN and delivery.on_unknown == ON_UNKNOWN_HOLD:
            return await self._attempts.give_up(delivery)
        return (await self.handle([delivery]))[0]

    async def _conclude(self, delivery: Delivery, made: Disposition) -> Disposition:
        """Makes a decision without an attempt the attempt's only one, as a claim does for those that are sent."""
        return made if isinstance(made, Defer | Postpone | Broken) else await self._attempts.conclude(delivery, made)

    def _drop_expired(self, envelope: _Envelope) -> None:
        for index, delivery in envelope.open():
            if is_late(delivery, self._now_s()):
                envelope.decided[index] = expired(delivery, doubtful=index in envelope.doubtful)

    def _defer_while_open(self, envelope: _Envelope) -> None:
        if self._routing.held_s > 0:
            reason, wait_s = self._routing.held_reason, self._routing.defer_s
            envelope.decided.update({index: Defer(reason, wait_s) for index, _ in envelope.open()})

    async def _resolve(self, envelope: _Envelope) -> None:
        waiting = list(envelope.open())
        queries = [query_of(item) for _, item in waiting]
        answers = await self._recipients.resolve(queries) if queries else []
        for (index, delivery), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, ServiceError):
                envelope.decided[index] = _after_failed_call(delivery, answer, self._most)
            elif answer.decision == DECISION_SEND:
                envelope.recipients[index] = answer
            elif answer.decision == DECISION_DEFER:
                envelope.decided[index] = reached_before(delivery) or Postpone(answer.rule, answer.defer_for.ToTimedelta().total_seconds())
            else:
                envelope.decided[index] = reached_before(delivery) or _refused(delivery, answer)

    async def _render(self, envelope: _Envelope) -> dict[int, ReadyDelivery]:
        waiting = list(envelope.open())
        items = [render_item(item, envelope.recipients[index]) for index, item in waiting]
        jobs: dict[int, ReadyDelivery] = {}
        answers = await self._renderer.render(items) if items else []
        for (index, delivery), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, ServiceError):
                envelope.decided[index] = _after_failed_call(delivery, answer, self._most)
            else:
                recipient = envelope.recipients[index]
                sender = answer.sender if answer.HasField("sender") else None
                jobs[index] = ReadyDelivery(delivery, recipient, answer.content, answer.locale, answer.locale_chain, sender)
        return jobs

    async def _once(self, job: ReadyDelivery) -> Disposition:
        """Tries the job. A message that comes back meanwhile waits for what comes of it."""
        key = key_of(job.delivery)
        if key in self._under_way:
            return await asyncio.shield(self._under_way[key])
        future = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            disposition = await self._attempts.make(job)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # there may be no one to take it; the error goes on from here
            raise
        else:
            future.set_result(disposition)
            return disposition
        finally:
            del self._under_way[key]


def _recorded(delivery: Delivery, entry: LedgerEntry) -> Disposition | None:
    try:
        return known(delivery, entry)
    except Exception:
        log.exception("the ledger's record can't be read", extra=identity(delivery))
        return Broken()


def _result(task: "asyncio.Task[Disposition]", delivery: Delivery) -> Disposition:
    error = task.exception()
    if error is None:
        return task.result()
    log.error("the worker failed over a delivery", exc_info=error, extra=identity(delivery))
    return Broken()


def _refused(delivery: Delivery, recipient: Recipient) -> Disposition:
    if recipient.decision == DECISION_NOT_FOUND:
        return Dead(outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, reason="USER_NOT_FOUND", detail="there is no such person"))
    reason = reason_of(recipient.rule) or "SKIPPED"
    return Done(outcome(delivery, notification.NOTIFICATION_STATUS_SKIPPED, reason=reason, detail=recipient.rule))


def _after_failed_call(delivery: Delivery, error: ServiceError, attempts: int) -> Disposition:
    """A part that is down costs no attempt; a request that can't succeed is dead; what may be a defect of ours uses the ladder up."""
    if error.code in _HOPELESS:
        failed = outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, reason=error.reason, detail=error.message)
        return reached_before(delivery) or Dead(failed)
    if error.code in _OUR_DEFECT:
        return result_of(delivery, Attempt(TransientDeliveryError(error.reason, error.message)), attempts=attempts)
    wait_s = _PEER_WAITS_S[min(delivery.deferrals, len(_PEER_WAITS_S) - 1)]
    return Defer(error.reason, max(wait_s, error.retry_after_s or 0.0))
