"""Sending one push to all of a person's devices."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from delivery.errors import DeliveryError, Fault, PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable, SenderRefused, SenderRefusedInPart
from mesh.errors import ServiceError
from mesh.process import telemetry
from push_worker.errors import UNREGISTERED, DeviceGone
from push_worker.models import DeviceOutcome, Push, PushReport, Target

log = logging.getLogger(__name__)

_STOPPED = telemetry.meter().create_counter("clarion.push.pruning_stopped", "1", "Devices that were not removed because too many would be.")


class PushProvider(Protocol):
    """Hands messages on."""

    async def send(self, push: Push, token: str) -> None:
        """Returns when the message was taken for this device. Raises DeliveryError."""
        ...


class DeviceRegistry(Protocol):
    """Knows people's devices."""

    async def remove_devices(self, device_ids: Sequence[str], reason: str) -> None:
        """Marks devices as removed. Raises ServiceError."""
        ...


class Pruning(Protocol):
    """Whether removals are few enough to be believed."""

    def count(self, template: str, messages: int) -> None:
        """Messages that got an answer."""
        ...

    def allows(self, template: str, devices: int) -> bool:
        """Whether so many devices may be removed now."""
        ...


class SendPush:
    """Sends to every target at once and has those devices removed whose tokens FCM no longer knows."""

    def __init__(self, *, provider: PushProvider, devices: DeviceRegistry, pruning: Pruning) -> None:
        self._provider = provider
        self._devices = devices
        self._pruning = pruning

    async def __call__(self, push: Push, targets: Sequence[Target]) -> PushReport:
        """What happened to each device. Raises nothing but PermanentDeliveryError when there is no device."""
        if not targets:
            raise PermanentDeliveryError("NO_DEVICE", "the person has no device that is still to be reached", fault=Fault.RECIPIENT)
        outcomes = await asyncio.gather(*(self._reach(push, target) for target in targets))
        self._pruning.count(push.template, len(outcomes))
        for reason, device_ids in gone_by_reason(outcomes).items():
            await self._remove(push.template, device_ids, reason)
        return sum_up(outcomes)

    async def _reach(self, push: Push, target: Target) -> DeviceOutcome:
        try:
            await self._provider.send(push, target.token)
        except DeliveryError as error:
            return DeviceOutcome(target.device_id, error)
        return DeviceOutcome(target.device_id)

    async def _remove(self, template: str, device_ids: Sequence[str], reason: str) -> None:
        if not self._pruning.allows(template, len(device_ids)):
            _STOPPED.add(len(device_ids), {"reason": reason})
            log.error("too many devices would be removed: none is", extra={"template": template, "reason": reason})
            return
        try:
            await self._devices.remove_devices(device_ids, reason)
        except ServiceError as error:
            # the next push to them finds out again
            log.warning("devices not removed", extra={"devices": len(device_ids), "reason": error.reason})


def gone_by_reason(outcomes: Sequence[DeviceOutcome]) -> dict[str, list[str]]:
    """The devices whose tokens are proved to be gone, by FCM's reason.

    That a token has an invalid form is not believed where another device took the same payload: FCM's INVALID_ARGUMENT may be about what
    the payload is made into for one platform.
    """
    taken = any(outcome.error is None for outcome in outcomes)
    gone: dict[str, list[str]] = {}
    for outcome in outcomes:
        if isinstance(outcome.error, DeviceGone) and (outcome.error.reason == UNREGISTERED or not taken):
            gone.setdefault(outcome.error.reason, []).append(outcome.device_id)
    return gone


def sum_up(outcomes: Sequence[DeviceOutcome]) -> PushReport:
    """One report of many outcomes.

    While a device may still be reached the error is transient, with the longest Retry-After of all. It counts against the provider only
    when no device got any other answer from it.
    """
    pending = [(outcome, outcome.error) for outcome in outcomes if outcome.error is not None and outcome.error.retryable]
    settled = tuple(outcome for outcome in outcomes if outcome.error is None or not outcome.error.retryable)
    if pending:
        return PushReport(settled, tuple(outcome.device_id for outcome, _ in pending), _worst([error for _, error in pending], settled))
    refusals = [outcome.error for outcome in settled if outcome.error is not None]
    return PushReport(settled, error=refusals[0] if len(refusals) == len(settled) else None)


def _worst(errors: Sequence[DeliveryError], settled: Sequence[DeviceOutcome]) -> DeliveryError:
    waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    wait_s = max(waits) if waits else None
    unknown = next((error for error in errors if isinstance(error, OutcomeUnknown)), None)
    first = unknown or errors[0]
    kind: type[DeliveryError] = TransientDeliveryError
    refused = all(not error.uses_attempt for error in errors)
    if unknown is not None:
        kind = OutcomeUnknown
    elif not settled and all(isinstance(error, ProviderUnavailable) for error in errors):
        kind = SenderRefused if refused else ProviderUnavailable
    elif refused:
        kind = SenderRefusedInPart
    return kind(first.reason, first.detail, retry_after_s=wait_s, fault=first.fault)
