"""What happens to a delivery between the bus and a provider, the same for every channel.

expired? -> ledger -> recipient and decision -> text -> breaker -> claim -> provider -> record -> disposition
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from opentelemetry.trace import SpanKind

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1 import notification_pb2 as notification
from clarion.template.v1.render_service_pb2 import RenderItem
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD
from clarion.user.v1.recipient_service_pb2 import DECISION_NOT_FOUND, DECISION_SEND, Recipient, RecipientQuery
from mesh import telemetry
from mesh.breaker import Breaker, BreakerOpen
from mesh.delivery import Attempt, Job, LedgerState, LedgerStore, ProviderUnavailable, Recipients, Renderer, Sender
from mesh.disposition import Dead, Disposition, Done, Park
from mesh.errors import Code, DeliveryError, ServiceError, TransientDeliveryError
from mesh.verdict import decode, encode, lost, outcome, reached_before, verdict

log = logging.getLogger(__name__)

_HOPELESS = frozenset({Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE, Code.ALREADY_EXISTS})
_OUR_DEFECT = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.RESOURCE_EXHAUSTED})

Observer = Callable[[str, float, bool], None]


class _Envelope:
    """The deliveries in hand and what was decided about each."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries = deliveries
        self.decided: dict[int, Disposition] = {}
        self.recipients: dict[int, Recipient] = {}

    def open(self) -> Iterator[tuple[int, Delivery]]:
        """Those without a decision."""
        return ((index, delivery) for index, delivery in enumerate(self.deliveries) if index not in self.decided)

    def decisions(self) -> list[Disposition]:
        """One per delivery, in order."""
        return [self.decided[index] for index in range(len(self.deliveries))]


class DeliveryPipeline:
    """Decides about envelopes of deliveries. One per lane; lanes share everything but `concurrency`, the jobs at the provider at a time.

    `now_s` is Unix time. `observe` is told the result ("sent" or a reason), the seconds and the success of each call to the provider.
    """

    def __init__(
        self,
        *,
        name: str,
        recipients: Recipients,
        renderer: Renderer,
        sender: Sender,
        ledger: LedgerStore,
        breaker: Breaker,
        concurrency: int,
        observe: Observer | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._recipients = recipients
        self._renderer = renderer
        self._sender = sender
        self._ledger = ledger
        self._breaker = breaker
        self._slots = asyncio.Semaphore(concurrency)
        self._observe = observe
        self._now_s = now_s
        self._under_way: dict[str, asyncio.Future[Disposition]] = {}

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Disposition]:
        """What is to become of each delivery, in order."""
        envelope = _Envelope(deliveries)
        self._drop_expired(envelope)
        await self._consult_ledger(envelope)
        self._park_while_open(envelope)
        await self._resolve(envelope)
        jobs = await self._render(envelope)
        results = await asyncio.gather(*(self._once(job) for job in jobs.values()))
        envelope.decided.update(zip(jobs, results, strict=True))
        return envelope.decisions()

    def _drop_expired(self, envelope: _Envelope) -> None:
        now_s = self._now_s()
        for index, delivery in envelope.open():
            if delivery.HasField("expire_time") and delivery.expire_time.seconds + delivery.expire_time.nanos / 1e9 <= now_s:
                expired = outcome(delivery, notification.NOTIFICATION_STATUS_EXPIRED, reason="EXPIRED")
                envelope.decided[index] = reached_before(delivery) or Done(expired)

    async def _consult_ledger(self, envelope: _Envelope) -> None:
        waiting = list(envelope.open())
        entries = await self._ledger.look_up([_key(delivery) for _, delivery in waiting])
        for (index, delivery), entry in zip(waiting, entries, strict=True):
            if entry.state is LedgerState.DONE:
                envelope.decided[index] = decode(entry.record)
            elif entry.state is LedgerState.CLAIMED and delivery.on_unknown == ON_UNKNOWN_HOLD and _key(delivery) not in self._under_way:
                envelope.decided[index] = lost(delivery)

    def _park_while_open(self, envelope: _Envelope) -> None:
        wait_s = self._breaker.retry_after_s
        if wait_s > 0:
            envelope.decided.update({index: Park(BreakerOpen.reason, wait_s) for index, _ in envelope.open()})

    async def _resolve(self, envelope: _Envelope) -> None:
        waiting = list(envelope.open())
        queries = [
            RecipientQuery(user_id=item.user_id, channel=item.channel, category=item.category, mandatory=item.mandatory, email=item.email)
            for _, item in waiting
        ]
        answers = await self._recipients.resolve(queries) if queries else []
        for (index, delivery), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, ServiceError):
                envelope.decided[index] = _after_failed_call(delivery, answer)
            elif answer.decision == DECISION_SEND:
                envelope.recipients[index] = answer
            else:
                envelope.decided[index] = reached_before(delivery) or _refused(delivery, answer)

    async def _render(self, envelope: _Envelope) -> dict[int, Job]:
        waiting = list(envelope.open())
        items = [
            RenderItem(
                template=item.template,
                version=item.template_version,
                locale=item.locale or envelope.recipients[index].locale,
                variables=item.variables,
            )
            for index, item in waiting
        ]
        jobs: dict[int, Job] = {}
        answers = await self._renderer.render(items) if items else []
        for (index, delivery), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, ServiceError):
                envelope.decided[index] = _after_failed_call(delivery, answer)
            else:
                jobs[index] = Job(delivery, envelope.recipients[index], answer.content, answer.locale)
        return jobs

    async def _once(self, job: Job) -> Disposition:
        """Tries the job, unless this process is at it: a lost connection to the broker brings a message back while it is being sent."""
        key = _key(job.delivery)
        if key in self._under_way:
            return await asyncio.shield(self._under_way[key])
        future = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            disposition = await self._claim_and_try(key, job)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # nobody may be waiting for it; the error goes on from here
            raise
        else:
            future.set_result(disposition)
            return disposition
        finally:
            del self._under_way[key]

    async def _claim_and_try(self, key: str, job: Job) -> Disposition:
        async with self._slots:
            # checked before the claim: a claim that is left behind by a breaker would look like an unknown outcome
            try:
                permit = self._breaker.check()
            except BreakerOpen as error:
                return Park(error.reason, error.retry_after_s or 0.0)
            try:
                entry = await self._ledger.claim(key)
                if entry.state is LedgerState.DONE:
                    self._breaker.release_probe(permit)
                    return decode(entry.record)
                started_ns = time.time_ns()
                attempt = await self._try(job)
            except BaseException:
                self._breaker.release_probe(permit)
                raise
            if isinstance(attempt.error, ProviderUnavailable):
                self._breaker.record_failure(permit)
            else:
                self._breaker.record_success(permit)
        disposition = verdict(job.delivery, attempt, locale=job.locale, started_ns=started_ns)
        await self._ledger.record(key, encode(disposition))
        return disposition

    async def _try(self, job: Job) -> Attempt:
        started_s = time.perf_counter()
        carrier = {telemetry.TRACEPARENT: job.delivery.traceparent} if job.delivery.traceparent else None
        try:
            with telemetry.span(f"{self._name} send", SpanKind.CLIENT, carrier, {"clarion.attempt": job.delivery.attempt}):
                attempt = await self._sender.send(job)
        except DeliveryError as error:
            attempt = Attempt(error)
        except Exception:
            log.exception("sending failed unexpectedly", extra=_identity(job.delivery))
            attempt = Attempt(TransientDeliveryError("INTERNAL", "an unexpected failure; see the log"))
        result = attempt.error.reason if attempt.error is not None else "sent"
        if self._observe is not None:
            self._observe(result, time.perf_counter() - started_s, attempt.error is None)
        if attempt.error is not None:
            log.info("delivery not taken", extra={**_identity(job.delivery), "reason": result})
        return attempt


def _key(delivery: Delivery) -> str:
    return f"{delivery.notification_id}:{delivery.run}:{delivery.attempt}"


def _identity(delivery: Delivery) -> dict[str, str | int]:
    return {
        "notification_id": delivery.notification_id,
        "attempt": delivery.attempt,
        "correlation_id": delivery.correlation_id,
    }


def _refused(delivery: Delivery, recipient: Recipient) -> Disposition:
    if recipient.decision == DECISION_NOT_FOUND:
        return Dead(outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, reason="USER_NOT_FOUND", detail="there is no such person"))
    reason = recipient.rule.partition(":")[0].upper() or "SKIPPED"
    return Done(outcome(delivery, notification.NOTIFICATION_STATUS_SKIPPED, reason=reason, detail=recipient.rule))


def _after_failed_call(delivery: Delivery, error: ServiceError) -> Disposition:
    """A part that is down costs no attempt; a request that can't succeed is dead; what may be a defect of ours uses the ladder up.

    The shortest park (30 s) is what the loop makes of a wait that is shorter.
    """
    if error.code in _HOPELESS:
        failed = outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, reason=error.reason, detail=error.message)
        return reached_before(delivery) or Dead(failed)
    if error.code in _OUR_DEFECT:
        return verdict(delivery, Attempt(TransientDeliveryError(error.reason, error.message)))
    return Park(error.reason, error.retry_after_s or 0.0)
