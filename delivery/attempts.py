"""One attempt: a provider that can -> claim -> still ours? -> provider -> record.

The claim makes it the only one: another worker with the same message waits for what comes of it. Where a claim's owner is gone without
a record the outcome is unknown, and the template says whether the attempt is repeated or held for review.
"""

import logging
import time
from collections.abc import Callable

from opentelemetry.trace import SpanKind

from clarion.channel.v1.channel_pb2 import Channel
from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_SENT, PRIORITY_HIGH
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD
from delivery.attempt_result import ATTEMPTS, cancelled, decode, encode, expired, lost, result_of
from delivery.disposition import Dead, Defer, Disposition, Done, Retry
from delivery.errors import DeliveryError, Fault, TransientDeliveryError
from delivery.models import Attempt, Claim, LedgerEntry, LedgerState, LedgerStore, OutcomeUnknown, ReadyDelivery, attempt_key
from delivery.routing import OUR_DEFECT, NoProviderAvailable, Route, Routing, SendPermit, may_try_another
from mesh.context import FIRST_PROJECT
from mesh.process import telemetry

log = logging.getLogger(__name__)

# Another worker is still at the attempt: its message comes back after the shortest pause.
BEING_SENT = Defer("BEING_SENT", 0.0)

_UNKNOWN = telemetry.meter().create_counter("clarion.ledger.unknown", "1", "Attempts whose earlier try ended without an answer.")

_REFUSED = telemetry.meter().create_counter("clarion.delivery.sender_refused", "1", "Attempts that a provider refused because of us.")

# What the service level is about: 99 % within 2 s, so its buckets have a bound there.
_HANDOVER = telemetry.meter().create_histogram(
    "clarion.delivery.handover", "s", "Time from when a notification was due until a provider took it."
)

Observer = Callable[[str, str, float, bool], None]


class Attempts:
    """Makes attempts through one lane's `routing`. `tokens_of` is what a job costs of a provider's rate, `now_s` is Unix time.
    `attempts` are those that the retry ladder allows.

    `observe` gets the provider, the result ("sent" or a reason), the seconds and the success of each call to a provider.
    """

    def __init__(
        self,
        *,
        routing: Routing,
        ledger: LedgerStore,
        tokens_of: Callable[[ReadyDelivery], int],
        observe: Observer | None,
        now_s: Callable[[], float],
        attempts: int = ATTEMPTS,
    ) -> None:
        self._most = attempts
        self._routing = routing
        self._ledger = ledger
        self._tokens_of = tokens_of
        self._observe = observe
        self._now_s = now_s

    async def make(self, job: ReadyDelivery) -> Disposition:
        """The attempt's result, or that of the worker that is faster."""
        delivery, key = job.delivery, key_of(job.delivery)
        while True:
            # a place before the claim: a claim that is left behind by an open breaker would look like an unknown outcome
            try:
                permit = await self._routing.admit(self._tokens_of(job))
            except NoProviderAvailable as held:
                return Defer(held.reason, held.wait_s)
            try:
                if is_late(delivery, self._now_s()):  # unclaimed, so nothing is left behind
                    permit.abandon()
                    return expired(delivery)
                claim = await self._ledger.claim(key)
            except BaseException:
                permit.abandon()
                raise
            if claim.held:
                return await self._claimed(job, permit, claim)
            permit.abandon()
            if (settled := await self.outcome_of_other(delivery, claim.entry)) is not None:
                return settled

    async def give_up(self, delivery: Delivery) -> Disposition:
        """For a delivery that is to be held: it is unknown what came of this attempt's earlier try, and its worker is gone."""
        claim = await self._ledger.claim(key_of(delivery))
        if not claim.held:
            return known(delivery, claim.entry) or BEING_SENT
        note_unknown(delivery, "hold")
        return await self._record(delivery, claim, lost(delivery))

    async def conclude(self, delivery: Delivery, made: Done | Dead | Retry) -> Disposition:
        """What was decided without calling a provider, unless another worker has begun the attempt."""
        claim = await self._ledger.claim(key_of(delivery))
        if not claim.held:
            return await self.outcome_of_other(delivery, claim.entry) or BEING_SENT
        return await self._record(delivery, claim, made)

    async def outcome_of_other(self, delivery: Delivery, entry: LedgerEntry) -> Disposition | None:
        """What becomes of an attempt that another worker has, which is waited for; None where the attempt is free (again)."""
        if entry.state is LedgerState.CLAIMED:
            entry = await self._ledger.wait(key_of(delivery))
        return BEING_SENT if entry.state is LedgerState.CLAIMED else known(delivery, entry)

    async def _claimed(self, job: ReadyDelivery, permit: SendPermit, claim: Claim) -> Disposition:
        delivery, unknown = job.delivery, claim.entry.state is LedgerState.UNKNOWN
        decided: Done | Dead | None = None
        if unknown and delivery.on_unknown == ON_UNKNOWN_HOLD:
            note_unknown(delivery, "hold")
            decided = lost(delivery)
        elif is_late(delivery, self._now_s()):
            decided = expired(delivery, doubtful=unknown)
        elif not await self._ledger.is_held(claim):
            permit.abandon()
            await self._ledger.abandon(claim, tried=False)
            return BEING_SENT
        if decided is not None:
            permit.abandon()
            return await self._record(delivery, claim, decided)
        if unknown:
            note_unknown(delivery, "resend")
        return await self._attempt(job, permit, claim, previous_outcome_unknown=unknown)

    async def _attempt(self, job: ReadyDelivery, permit: SendPermit, claim: Claim, *, previous_outcome_unknown: bool) -> Disposition:
        """The claimed attempt and its record."""
        started_ns = round(self._now_s() * 1e9)
        try:
            provider, attempt, refused, unspent = await self._try(job, permit, claim)
        except BaseException:
            await self._ledger.abandon(claim)
            raise
        if unspent is not None and not previous_outcome_unknown:
            await self._ledger.abandon(claim, tried=False)
            return Defer(unspent.reason, unspent.wait_s)
        if attempt.error is None:
            note_handover(job.delivery, self._now_s())
        disposition = result_of(
            job.delivery,
            attempt,
            locale=job.locale,
            locale_chain=job.locale_chain,
            started_ns=started_ns,
            provider=provider,
            refused=refused,
            previous_outcome_unknown=previous_outcome_unknown,
            attempts=self._most,
        )
        doubtful = previous_outcome_unknown or isinstance(attempt.error, OutcomeUnknown)
        return await self._record(job.delivery, claim, disposition, doubtful=doubtful)

    async def _record(self, delivery: Delivery, claim: Claim, made: Done | Dead | Retry, *, doubtful: bool = False) -> Disposition:
        """What is to be done: what was decided here, unless the lease ran out and another worker's word counts."""
        made.outcome.time.FromNanoseconds(round(self._now_s() * 1e9))
        sent = made.outcome.status == NOTIFICATION_STATUS_SENT
        standing = await self._ledger.record(claim, encode(made, doubtful=doubtful), sent=sent)
        if standing.state is LedgerState.NONE:
            return made
        log.warning("the lease of an attempt ran out before its result was recorded", extra={**identity(delivery), "state": standing.state})
        return known(delivery, standing) or BEING_SENT

    async def _try(
        self, job: ReadyDelivery, permit: SendPermit, claim: Claim
    ) -> tuple[str, Attempt, list[str], NoProviderAvailable | None]:
        """The provider that answered last and its answer, those before it that were ill (they surely do not have it), and what to wait
        for where the attempt only found out about the provider.
        """
        tried: list[Route] = []
        refused: list[str] = []
        while True:
            route, permit_of_last = permit.route, permit
            try:
                attempt = await self._call(job, permit)
            except BaseException:
                permit.abandon()
                raise
            permit.settle(attempt.error)
            if attempt.error is None or not may_try_another(attempt.error):
                return route.name, attempt, refused, permit_of_last.unspent(attempt)
            tried.append(route)
            try:
                permit = await self._routing.admit(self._tokens_of(job), tried=tried)
            except NoProviderAvailable:
                return route.name, attempt, refused, permit_of_last.unspent(attempt)
            if is_late(job.delivery, self._now_s()) or not await self._ledger.is_held(claim):
                permit.abandon()
                return route.name, attempt, refused, permit_of_last.unspent(attempt)
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
            log.exception("sending failed unexpectedly", extra=identity(job.delivery))
            attempt = Attempt(TransientDeliveryError(OUR_DEFECT, "an unexpected failure; see the log"))
        result = attempt.error.reason if attempt.error is not None else "sent"
        if attempt.error is not None and attempt.error.fault is Fault.SENDER:
            _REFUSED.add(1, {"provider": provider, "reason": result})
            log.error("the provider refuses this sender: an operator is needed", extra={"provider": provider, "reason": result})
        if self._observe is not None:
            self._observe(provider, result, time.perf_counter() - started_s, attempt.error is None)
        if attempt.error is not None:
            log.info("delivery not taken", extra={**identity(job.delivery), "provider": provider, "reason": result})
        return attempt


def key_of(delivery: Delivery) -> str:
    """The ledger's name of the delivery's attempt."""
    return attempt_key(delivery.notification_id, delivery.run, delivery.attempt)


def is_late(delivery: Delivery, now_s: float) -> bool:
    """Whether the delivery is out of time."""
    return delivery.HasField("expire_time") and delivery.expire_time.ToNanoseconds() / 1e9 <= now_s


def note_handover(delivery: Delivery, now_s: float) -> None:
    """Counts a notification that a provider took for the service level."""
    if (seconds := handover_s(delivery, now_s)) is not None:
        lane = "urgent" if delivery.priority == PRIORITY_HIGH else "normal"
        channel = Channel.Name(delivery.channel).removeprefix("CHANNEL_").lower()
        _HANDOVER.record(seconds, {"channel": channel, "lane": lane, **telemetry.project_label(delivery.project or FIRST_PROJECT)})


def handover_s(delivery: Delivery, now_s: float) -> float | None:
    """Seconds since it was due; None for tests and for what a reviewer has requeued, which the service level is not about."""
    if delivery.test or not delivery.HasField("due_time"):
        return None
    return max(0.0, now_s - delivery.due_time.ToNanoseconds() / 1e9)


def known(delivery: Delivery, entry: LedgerEntry) -> Disposition | None:
    """What the ledger's entry decides; None where the attempt has no outcome."""
    if entry.state is LedgerState.DONE:
        return decode(entry.record)
    return cancelled(delivery) if entry.state is LedgerState.CANCELLED else None


def note_unknown(delivery: Delivery, policy: str) -> None:
    """Counts and logs an attempt whose earlier try ended without an answer."""
    _UNKNOWN.add(1, {"policy": policy})
    log.warning("an earlier try of the attempt ended without an answer", extra={**identity(delivery), "policy": policy})


def identity(delivery: Delivery) -> dict[str, str | int]:
    """What a log line says of a delivery."""
    return {
        "notification_id": delivery.notification_id,
        "attempt": delivery.attempt,
        "correlation_id": delivery.correlation_id,
    }
