"""Pure mapping between messages and models."""

import hashlib

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import dead_letter_pb2
from clarion.notification.v1 import dead_letter_service_pb2 as rpc
from gateway.dead_letters.bulk_models import BulkOperation
from gateway.dead_letters.bulk_use_cases import Order
from gateway.dead_letters.convert import filters_of
from gateway.dead_letters.models import Action, DeadLetterFilters, State
from mesh.rpc.timestamps import to_timestamp


def order_of(project: str, request: rpc.RequeueDeadLettersRequest | rpc.DiscardDeadLettersRequest, key: str) -> Order:
    """What is asked for, under an idempotency key or none. Raises InvalidArgument for an enum number or a time that does not exist."""
    return Order(
        decision=State.REQUEUED if isinstance(request, rpc.RequeueDeadLettersRequest) else State.DISCARDED,
        filters=filters_of(project, request.filter, "filter."),
        rate_per_s=request.rate_per_s,
        most=request.max,
        note=request.note,
        key=key,
        fingerprint=_fingerprint_of(request),
    )


def job_message(job: BulkOperation) -> dead_letter_pb2.DeadLetterJob:
    """A job for its reviewers."""
    action = Action.REQUEUED if job.decision is State.REQUEUED else Action.DISCARDED
    return dead_letter_pb2.DeadLetterJob(
        id=str(job.id),
        action=dead_letter_pb2.DeadLetterAction.ValueType(action),
        state=dead_letter_pb2.DeadLetterJobState.ValueType(job.state),
        filter=_filter_message(job.filters),
        rate_per_s=job.rate_per_s,
        note=job.note,
        created_by=job.created_by,
        create_time=to_timestamp(job.create_time),
        finish_time=to_timestamp(job.finish_time),
        total_count=job.total,
        done_count=job.done,
        skipped_count=job.skipped,
        skipped_reasons=job.skipped_reasons,
    )


def _filter_message(filters: DeadLetterFilters) -> dead_letter_pb2.DeadLetterFilter:
    return dead_letter_pb2.DeadLetterFilter(
        cause=dead_letter_pb2.DeadLetterCause.ValueType(filters.cause or 0),
        reason=filters.reason or "",
        channel=channel_pb2.Channel.ValueType(filters.channel or 0),
        template=filters.template or "",
        created_after=to_timestamp(filters.created_after),
        created_before=to_timestamp(filters.created_before),
    )


def _fingerprint_of(request: rpc.RequeueDeadLettersRequest | rpc.DiscardDeadLettersRequest) -> bytes:
    """SHA-256 of what is asked, whatever the transport: two requests with one idempotency key must agree in it."""
    canonical = type(request).FromString(request.SerializeToString())
    canonical.ClearField("request_id")
    return hashlib.sha256(canonical.SerializeToString(deterministic=True)).digest()
