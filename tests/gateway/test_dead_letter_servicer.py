"""The desk as its callers see it: gRPC over a real socket, with the real chain and a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.channel.v1.channel_pb2 import CHANNEL_EMAIL
from clarion.notification.v1 import dead_letter_pb2 as pb
from clarion.notification.v1 import dead_letter_service_pb2 as rpc
from clarion.notification.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from gateway.dead_letters.servicer import DeadLetterServicer
from mesh.errors import ServiceError
from mesh.rpc.channel import to_service_error
from mesh.stores.database import Database
from mesh.testing import operator_metadata, serving
from tests.gateway.dead_letter_desk import START, Desk

SERVICE = rpc.DESCRIPTOR.services_by_name["DeadLetterService"]
REVIEWER = operator_metadata()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def stub(desk: Desk) -> AsyncIterator[Any]:
    async with serving((SERVICE, DeadLetterServicer(desk.letters, desk.jobs))) as channel:
        yield DeadLetterServiceStub(channel)


async def refused(call: Any) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return to_service_error(error.value)


async def test_without_the_scope_nothing_is_told(stub: Any) -> None:
    error = await refused(stub.ListDeadLetters(rpc.ListDeadLettersRequest()))
    assert error.reason == "CREDENTIALS_MISSING"


async def test_a_letter_is_listed_read_noted_requeued_and_read_again(stub: Any, desk: Desk) -> None:
    row = await desk.failed()
    started = Timestamp()
    started.FromDatetime(START)
    wanted = rpc.ListDeadLettersRequest(
        cause=pb.DEAD_LETTER_CAUSE_PROVIDER_PERMANENT, channel=CHANNEL_EMAIL, reason="SMTP_550", template="welcome", created_after=started
    )
    [listed] = (await stub.ListDeadLetters(wanted, metadata=REVIEWER)).dead_letters
    assert (listed.notification_id, listed.cause, listed.run) == (str(row.id), pb.DEAD_LETTER_CAUSE_PROVIDER_PERMANENT, 0)
    assert not listed.HasField("preview")

    name: dict[str, Any] = {"notification_id": str(row.id)}
    read = (await stub.GetDeadLetter(rpc.GetDeadLetterRequest(**name), metadata=REVIEWER)).dead_letter
    assert (read.preview.redacted, read.preview.decision, read.preview.content.subject) == (True, "send", "welcome in en")
    await stub.AnnotateDeadLetter(rpc.AnnotateDeadLetterRequest(**name, note="asked"), metadata=REVIEWER)
    request = rpc.RequeueDeadLetterRequest(**name, note="fixed", email="eve@example.com")
    done = (await stub.RequeueDeadLetter(request, metadata=REVIEWER)).dead_letter
    assert (done.state, done.resolved_by) == (pb.DEAD_LETTER_STATE_REQUEUED, "api_key:operator")
    assert [(entry.action, entry.note, list(entry.changed)) for entry in done.audit] == [
        (pb.DEAD_LETTER_ACTION_NOTED, "asked", []),
        (pb.DEAD_LETTER_ACTION_REQUEUED, "fixed", ["email"]),
    ]
    discard = stub.DiscardDeadLetter(rpc.DiscardDeadLetterRequest(**name), metadata=REVIEWER)
    assert (await refused(discard)).reason == "ALREADY_RESOLVED"


async def test_a_key_in_the_header_makes_an_order_safe_to_repeat(stub: Any, desk: Desk) -> None:
    """It must agree with `request_id` where both are given."""
    await desk.failed_many(3)
    keyed = (*REVIEWER, ("idempotency-key", '"k-1"'))
    order = rpc.RequeueDeadLettersRequest(filter=pb.DeadLetterFilter(template="welcome"), rate_per_s=7, note="again")
    job = (await stub.RequeueDeadLetters(order, metadata=keyed)).job
    assert (job.total_count, job.rate_per_s, job.filter.template, job.created_by) == (3, 7, "welcome", "api_key:operator")
    assert (job.action, job.state) == (pb.DEAD_LETTER_ACTION_REQUEUED, pb.DEAD_LETTER_JOB_STATE_RUNNING)
    assert desk.woken == 1
    again = rpc.RequeueDeadLettersRequest()
    again.CopyFrom(order)
    again.request_id = "k-1"
    assert (await stub.RequeueDeadLetters(again, metadata=REVIEWER)).job.id == job.id
    again.rate_per_s = 8
    assert (await refused(stub.RequeueDeadLetters(again, metadata=REVIEWER))).reason == "IDEMPOTENCY_KEY_REUSED"
    again.request_id = "k-2"
    assert (await refused(stub.RequeueDeadLetters(again, metadata=keyed))).violations[0].field == "request_id"
    assert (await stub.GetDeadLetterJob(rpc.GetDeadLetterJobRequest(id=job.id), metadata=REVIEWER)).job == job
    [listed] = (await stub.ListDeadLetterJobs(rpc.ListDeadLetterJobsRequest(), metadata=REVIEWER)).jobs
    assert listed == job
    stopped = (await stub.CancelDeadLetterJob(rpc.CancelDeadLetterJobRequest(id=job.id), metadata=REVIEWER)).job
    assert (stopped.state, stopped.HasField("finish_time")) == (pb.DEAD_LETTER_JOB_STATE_CANCELLED, True)


@pytest.mark.parametrize(
    ("method", "request_message", "field"),
    [
        ("ListDeadLetters", rpc.ListDeadLettersRequest(cause=99), "cause"),  # type: ignore[arg-type]  # what no schema names
        ("ListDeadLetters", rpc.ListDeadLettersRequest(state=99), "state"),  # type: ignore[arg-type]  # as above
        ("ListDeadLetters", rpc.ListDeadLettersRequest(created_before=Timestamp(seconds=10**15)), "created_before"),
        ("GetDeadLetter", rpc.GetDeadLetterRequest(notification_id="x", view=99), "view"),  # type: ignore[arg-type]  # as above
        ("RequeueDeadLetters", rpc.RequeueDeadLettersRequest(filter=pb.DeadLetterFilter(channel=99)), "filter.channel"),  # type: ignore[arg-type]  # as above
        ("RequeueDeadLetters", rpc.RequeueDeadLettersRequest(rate_per_s=1001), "rate_per_s"),
        ("RequeueDeadLetters", rpc.RequeueDeadLettersRequest(max=-1), "max"),
        ("DiscardDeadLetters", rpc.DiscardDeadLettersRequest(note="all"), "filter"),
        ("AnnotateDeadLetter", rpc.AnnotateDeadLetterRequest(notification_id="x"), "note"),
    ],
)
async def test_what_can_not_be_meant_is_refused_by_its_name(stub: Any, method: str, request_message: Any, field: str) -> None:
    error = await refused(getattr(stub, method)(request_message, metadata=REVIEWER))
    assert [violation.field for violation in error.violations] == [field]
