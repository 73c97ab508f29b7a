"""The transition table: whatever the order and however often outcomes arrive, the end is the same."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import notification_pb2
from gateway.accepting.models import Acceptance
from gateway.notifications.models import CANCELLABLE, TERMINAL, TRANSITIONS, Channel, Entry, Priority, Progress, Status, expand
from mesh.ids import new_uuid

START = datetime(2026, 11, 23, tzinfo=UTC)
EARLIEST, LATEST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001  hypothesis wants naive bounds


@st.composite
def histories(draw: st.DrawFn, run: int = 0) -> list[Entry]:
    """What one run of a notification can tell: attempts that were parked, begun, retried, and at most one end."""
    entries: list[Entry] = []
    clock = START + timedelta(days=run)

    def tell(status: Status, attempt: int, *, called: bool = False) -> None:
        nonlocal clock
        begun, clock = clock, clock + timedelta(seconds=1)
        entries.append(Entry(clock, status, run, attempt, start_time=begun if called else None))

    last = draw(st.integers(1, 4))
    for attempt in range(1, last + 1):
        for _ in range(draw(st.integers(0, 2))):
            tell(Status.QUEUED, attempt)
        if draw(st.booleans()):
            tell(Status.SENDING, attempt)
        if attempt < last:
            tell(Status.RETRYING, attempt, called=True)
    end = draw(st.sampled_from([Status.SENT, Status.FAILED, Status.SKIPPED, Status.CANCELLED, Status.EXPIRED]))
    tell(end, last, called=end in {Status.SENT, Status.FAILED})
    return entries


def settle(progress: Progress, outcomes: list[Entry]) -> tuple[Progress, dict[object, Entry]]:
    timeline: dict[object, Entry] = {}
    for outcome in outcomes:
        progress = progress.after(outcome)
        timeline.setdefault(outcome.key, outcome)
    return progress, timeline


@given(st.data(), histories(), st.sampled_from([Status.PENDING, Status.QUEUED]))
def test_any_order_and_repetition_ends_alike(data: st.DataObject, history: list[Entry], begin: Status) -> None:
    """Terminal state, attempts and timeline depend on what happened, not on how it was told."""
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=6))
    told = data.draw(st.permutations(history + repeated))
    expected = settle(Progress(begin), history)
    assert settle(Progress(begin), list(told)) == expected
    assert expected[0].status is history[-1].status
    keys = [(entry.run, entry.attempt, entry.status, entry.time) for entry in expand(expected[1].values())]
    assert len(keys) == len(set(keys))
    assert [key[3] for key in keys] == sorted(key[3] for key in keys)


@given(st.data(), histories(0), histories(1))
def test_outcomes_of_an_earlier_run_do_not_touch_a_requeued_notification(data: st.DataObject, old: list[Entry], new: list[Entry]) -> None:
    requeued = Progress(Status.FAILED, 0, 3).requeued()
    told = data.draw(st.permutations(old + new))
    assert settle(requeued, list(told))[0] == settle(requeued, new)[0]


@given(st.lists(histories().flatmap(st.sampled_from), max_size=30), st.sampled_from(sorted(Status)))
def test_every_step_is_one_of_the_table_and_terminal_is_final(outcomes: list[Entry], begin: Status) -> None:
    """Even outcomes that contradict each other never leave the table's paths."""
    progress = Progress(begin)
    for outcome in outcomes:
        onward = progress.after(outcome)
        assert onward == progress or onward.status in TRANSITIONS[progress.status]
        if progress.is_terminal:
            assert onward == progress
        progress = onward


def test_an_attempt_counts_once_the_provider_was_tried() -> None:
    assert Progress(Status.PENDING).attempts == 0
    assert Progress(Status.QUEUED, 0, 2).attempts == 1
    assert Progress(Status.RETRYING, 0, 2).attempts == 2
    assert Progress(Status.SKIPPED, 0, 1).attempts == 0
    assert Progress(Status.FAILED, 0, 4).attempts == 4


def test_only_failed_can_be_requeued() -> None:
    assert Progress(Status.FAILED, 1, 4).requeued() == Progress(Status.PENDING, 2, 0)
    for status in set(Status) - {Status.FAILED}:
        with pytest.raises(ValueError, match="can't be requeued"):
            Progress(status).requeued()


def test_what_can_be_cancelled_and_what_is_over_follow_from_the_table() -> None:
    assert set(Status) - TERMINAL == CANCELLABLE
    assert all(TRANSITIONS[status] <= {Status.PENDING} for status in TERMINAL)
    assert set(TRANSITIONS) == set(Status)


def test_numbers_are_those_of_the_schema() -> None:
    assert {f"NOTIFICATION_STATUS_{s.name}": s.value for s in Status} | {"NOTIFICATION_STATUS_UNSPECIFIED": 0} == dict(
        notification_pb2.NotificationStatus.items()
    )
    assert {f"CHANNEL_{c.name}": c.value for c in Channel} | {"CHANNEL_UNSPECIFIED": 0} == dict(channel_pb2.Channel.items())
    assert {f"PRIORITY_{p.name}": p.value for p in Priority} | {"PRIORITY_UNSPECIFIED": 0} == dict(notification_pb2.Priority.items())


@given(st.datetimes(min_value=EARLIEST, max_value=LATEST, timezones=st.just(UTC)), st.sampled_from(sorted(Status)))
def test_an_acceptance_survives_packing(moment: datetime, status: Status) -> None:
    accepted = Acceptance(new_uuid(), status, moment)
    assert Acceptance.unpack(accepted.pack()) == accepted
    assert len(accepted.pack()) == 25


def test_a_provider_call_shows_as_sending() -> None:
    sent = Entry(START + timedelta(seconds=1), Status.SENT, 0, 1, start_time=START)
    assert [(e.status, e.time) for e in expand([sent])] == [(Status.SENDING, START), (Status.SENT, sent.time)]
