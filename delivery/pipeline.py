"""What happens to a delivery between the bus and a provider, the same for every channel.

ledger -> expired? -> recipient and decision -> text -> a provider that can -> claim -> provider -> record -> disposition
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
from delivery.attempt_result import cancelled, decode, encode, expired, lost, outcome, reached_before, result_of
from delivery.disposition import Dead, Defer, Disposition, Done
from delivery.errors import DeliveryError, TransientDeliveryError
from delivery.models import Attempt, LedgerEntry, LedgerState, LedgerStore, OutcomeUnknown, ReadyDelivery, Recipients, Renderer, attempt_key
from delivery.routing import NoProviderAvailable, Route, Routing, SendPermit, may_try_another
from mesh.errors import Code, ServiceError
from mesh.process import telemetry
from mesh.resilience.breaker import BreakerOpen

log = logging.getLogger(__name__)

_HOPELESS = frozenset({Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE, Code.ALREADY_EXISTS})
_OUR_DEFECT = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.RESOURCE_EXHAUSTED})
# How long deliveries wait for a service that is down, by how often they have waited. Short at first, since most outages are restarts and
# a short one should stay short; longer later, since each wait costs the bus a round of everything that waits.
_PEER_WAITS_S = (2.0, 4.0, 4.0, 4.0, 8.0, 8.0, 8.0, 30.0)

_UNKNOWN = telemetry.meter().create_counter("clarion.ledger.unknown", "1", "Attempts whose earlier try ended without an answer.")

Observer = Callable[[str, str, float, bool], None]


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
    """Decides about envelopes of deliveries. One per lane; lanes share everything but `routing`, which knows the lane's part of each.

    `tokens_of` is what a job costs of a provider's rate. `now_s` is Unix time. `observe` is told the provider, the result ("sent" or a
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
    ) -> None:
        self._recipients = recipients
        self._renderer = renderer
        self._routing = routing
        self._ledger = ledger
        self._tokens_of = tokens_of
        self._observe = observe
        self._now_s = now_s
        self._under_way: dict[str, asyncio.Future[Disposition]] = {}

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Disposition]:
        """What is to become of each delivery, in order."""
        envelope = _Envelope(deliveries)
        # the ledger first: what was sent in time is not EXPIRED because its message came back late
        doubtful = await self._consult_ledger(envelope)
        self._drop_expired(envelope, doubtful)
        self._defer_while_open(envelope)
        await self._resolve(envelope)
        jobs = await self._render(envelope)
        results = await asyncio.gather(*(self._once(job) for job in jobs.values()))
        envelope.decided.update(zip(jobs, results, strict=True))
        return envelope.decisions()

    async def _consult_ledger(self, envelope: _Envelope) -> set[int]:
        """Decides what the ledger has an answer for; those whose earlier try has an unknown outcome and may be tried again."""
        waiting = list(envelope.open())
        entries = await self._ledger.look_up([_key(delivery) for _, delivery in waiting])
        doubtful: set[int] = set()
        for (index, delivery), entry in zip(waiting, entries, strict=True):
            if _key(delivery) in self._under_way:
                continue  # this process is at it, and `_once` waits for what comes of it
            known = _known(delivery, entry)
            if known is not None:
                envelope.decided[index] = known
            elif entry.state is LedgerState.CLAIMED:
                doubtful.add(index)
        return doubtful

    def _drop_expired(self, envelope: _Envelope, doubtful: set[int]) -> None:
        for index, delivery in envelope.open():
            if self._is_late(delivery) and _key(delivery) not in self._under_way:
                envelope.decided[index] = expired(delivery, doubtful=index in doubtful)

    def _is_late(self, delivery: Delivery) -> bool:
        return delivery.HasField("expire_time") and delivery.expire_time.ToNanoseconds() / 1e9 <= self._now_s()

    def _defer_while_open(self, envelope: _Envelope) -> None:
        wait_s = self._routing.held_s
        if wait_s > 0:
            envelope.decided.update({index: Defer(BreakerOpen.reason, wait_s) for index, _ in envelope.open()})

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

    async def _render(self, envelope: _Envelope) -> dict[int, ReadyDelivery]:
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
        jobs: dict[int, ReadyDelivery] = {}
        answers = await self._renderer.render(items) if items else []
        for (index, delivery), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, ServiceError):
                envelope.decided[index] = _after_failed_call(delivery, answer)
            else:
                jobs[index] = ReadyDelivery(delivery, envelope.recipients[index], answer.content, answer.locale)
        return jobs

    async def _once(self, job: ReadyDelivery) -> Disposition:
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

    async def _claim_and_try(self, key: str, job: ReadyDelivery) -> Disposition:
        # a place before the claim: a claim that is left behind by an open breaker would look like an unknown outcome
        try:
            permit = await self._routing.admit(self._tokens_of(job))
        except NoProviderAvailable as held:
            return Defer(held.reason, held.wait_s)
        try:
            if self._is_late(job.delivery):  # unclaimed, so nothing is left behind
                permit.abandon()
                return expired(job.delivery)
            entry = await self._ledger.claim(key)
        except BaseException:
            permit.abandon()
            raise
        previous_outcome_unknown = entry.state is LedgerState.CLAIMED
        settled = _known(job.delivery, entry)
        if settled is None and self._is_late(job.delivery):
            settled = expired(job.delivery, doubtful=previous_outcome_unknown)
            await self._ledger.record(key, encode(settled))
        if settled is not None:
            permit.abandon()
            return settled
        if previous_outcome_unknown:
            _note_unknown(job.delivery, "resend")
        return await self._attempt(key, job, permit, previous_outcome_unknown=previous_outcome_unknown)

    async def _attempt(self, key: str, job: ReadyDelivery, permit: SendPermit, *, previous_outcome_unknown: bool) -> Disposition:
        """The claimed attempt and its record. `again`: the outcome of an earlier try of it is unknown."""
        started_ns = time.time_ns()
        provider, attempt, refused = await self._try(job, permit)
        disposition = result_of(
            job.delivery,
            attempt,
            locale=job.locale,
            started_ns=started_ns,
            provider=provider,
            refused=refused,
            previous_outcome_unknown=previous_outcome_unknown,
        )
        await self._ledger.record(key, encode(disposition, doubtful=previous_outcome_unknown or isinstance(attempt.error, OutcomeUnknown)))
        return disposition

    async def _try(self, job: ReadyDelivery, permit: SendPermit) -> tuple[str, Attempt, list[str]]:
        """The provider that answered last and its answer, and those before it that were ill: they surely do not have it."""
        tried: list[Route] = []
        refused: list[str] = []
        while True:
            route = permit.route
            try:
                attempt = await self._call(job, permit)
            except BaseException:
                permit.abandon()
                raise
            permit.settle(attempt.error)
            if attempt.error is None or not may_try_another(attempt.error):
                return route.name, attempt, refused
            tried.append(route)
            try:
                permit = await self._routing.admit(self._tokens_of(job), tried=tried)
            except NoProviderAvailable:
                return route.name, attempt, refused
            if self._is_late(job.delivery):
                permit.abandon()
                return route.name, attempt, refused
            refused.append(f"{route.name}: {attempt.error.reason}")

    async def _call(self, job: ReadyDelivery, permit: SendPermit) -> Attempt:
        started_s = time.perf_counter()
        provider = permit.route.name
        carrier = {telemetry.TRACEPARENT: job.delivery.traceparent} if job.delivery.traceparent else None
        try:
            with telemetry.span(f"{provider} send", SpanKind.CLIENT, carrier, {"clarion.attempt": job.delivery.attempt}):
                attempt = await permit.send(job)
        except DeliveryError as error:
            attempt = Attempt(error)
        except Exception:
            log.exception("sending failed unexpectedly", extra=_identity(job.delivery))
            attempt = Attempt(TransientDeliveryError("INTERNAL", "an unexpected failure; see the log"))
        result = attempt.error.reason if attempt.error is not None else "sent"
        if self._observe is not None:
            self._observe(provider, result, time.perf_counter() - started_s, attempt.error is None)
        if attempt.error is not None:
            log.info("delivery not taken", extra={**_identity(job.delivery), "provider": provider, "reason": result})
        return attempt


def _key(delivery: Delivery) -> str:
    return attempt_key(delivery.notification_id, delivery.run, delivery.attempt)


def _known(delivery: Delivery, entry: LedgerEntry) -> Disposition | None:
    """What the ledger's entry decides; None where the attempt may be made."""
    if entry.state is LedgerState.DONE:
        return decode(entry.record)
    if entry.state is LedgerState.CANCELLED:
        return cancelled(delivery)
    if entry.state is LedgerState.CLAIMED and delivery.on_unknown == ON_UNKNOWN_HOLD:
        _note_unknown(delivery, "hold")
        return lost(delivery)
    return None


def _note_unknown(delivery: Delivery, policy: str) -> None:
    _UNKNOWN.add(1, {"policy": policy})
    log.warning("an earlier try of the attempt ended without an answer", extra={**_identity(delivery), "policy": policy})


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
    """A part that is down costs no attempt; a request that can't succeed is dead; what may be a defect of ours uses the ladder up."""
    if error.code in _HOPELESS:
        failed = outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, reason=error.reason, detail=error.message)
        return reached_before(delivery) or Dead(failed)
    if error.code in _OUR_DEFECT:
        return result_of(delivery, Attempt(TransientDeliveryError(error.reason, error.message)))
    wait_s = _PEER_WAITS_S[min(delivery.parked, len(_PEER_WAITS_S) - 1)]
    return Defer(error.reason, max(wait_s, error.retry_after_s or 0.0))
