"""The rules of retry, park and dead letter, without any broker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryRequested, Outcome
from clarion.notification.v1.notification_pb2 import NotificationStatus
from delivery.actions import MAX_CRASHES, DeliveryActions
from delivery.disposition import Dead, Defer, Disposition, Done, Postpone, Retry
from delivery.lanes import FAILED_QUEUE, build_topology, lane_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOPOLOGY = build_topology()
LANE = lane_of(TOPOLOGY, "email", urgent=False)
DELAYS_S = {delay.route: delay.delay_s for delay in (*LANE.retry, *LANE.park)}


def make_delivery(identifier: str = "n1", *, expires_s: float | None = None, **fields: Any) -> Delivery:
    delivery = Delivery(notification_id=identifier, **{"attempt": 1, **fields})
    if expires_s is not None:
        delivery.expire_time.FromDatetime(NOW + timedelta(seconds=expires_s))
    return delivery


def settled(delivery: Delivery, disposition: Disposition) -> DeliveryActions:
    actions = DeliveryActions(LANE, urgent=False, now=NOW)
    actions.settle(delivery, disposition)
    actions.pack()
    return actions


def only_onward(actions: DeliveryActions) -> tuple[str, Delivery]:
    (onward,) = actions.messages
    (delivery,) = DeliveryRequested.FromString(onward.body).deliveries
    return onward.route, delivery


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 4), (3, 8)])
def test_a_retry_takes_the_ladders_step_of_its_attempt(attempt: int, seconds: int) -> None:
    actions = settled(make_delivery(attempt=attempt, deferrals=3, crashes=1), Retry(Outcome(reason="SMTP_451")))
    route, delivery = only_onward(actions)
    assert route == f"email.retry.{seconds}s"
    assert (delivery.attempt, delivery.deferrals, delivery.crashes) == (attempt + 1, 0, 0)
    assert not delivery.HasField("not_before")
    (outcome,) = actions.outcomes
    assert outcome.status == NotificationStatus.NOTIFICATION_STATUS_RETRYING
    assert (outcome.notification_id, outcome.attempt, outcome.reason) == ("n1", attempt, "SMTP_451")
    assert outcome.next_attempt_time.ToDatetime(UTC) == NOW + timedelta(seconds=seconds)
    assert outcome.time.ToDatetime(UTC) == NOW


def test_a_retry_after_the_last_attempt_is_a_dead_letter_with_its_reason() -> None:
    actions = settled(make_delivery(attempt=4, run=2), Retry(Outcome(reason="SMTP_451", detail="try later")))
    (letter,) = actions.messages
    failed = DeliveryFailed.FromString(letter.body)
    assert letter.route == FAILED_QUEUE
    assert failed.outcome.status == NotificationStatus.NOTIFICATION_STATUS_FAILED
    assert (failed.outcome.attempt, failed.outcome.run, failed.outcome.reason) == (4, 2, "SMTP_451")
    assert failed.delivery.attempt == 4
    assert actions.outcomes == []


def test_a_dead_delivery_is_a_dead_letter_at_once() -> None:
    actions = settled(make_delivery(), Dead(Outcome(reason="SMTP_550")))
    (letter,) = actions.messages
    assert DeliveryFailed.FromString(letter.body).outcome.reason == "SMTP_550"


def test_a_delivery_that_is_done_has_an_outcome_and_nothing_else() -> None:
    outcome = Outcome(status=NotificationStatus.NOTIFICATION_STATUS_SENT, locale="pt")
    actions = settled(make_delivery(run=1), Done(outcome))
    assert actions.messages == []
    (told,) = actions.outcomes
    assert (told.notification_id, told.run, told.attempt, told.locale) == ("n1", 1, 1, "pt")
    assert told.status == NotificationStatus.NOTIFICATION_STATUS_SENT
    assert not outcome.notification_id, "the handler's own object stays as it was"


def test_a_parked_delivery_keeps_its_attempt() -> None:
    actions = settled(make_delivery(attempt=2), Defer("BREAKER_OPEN", 30))
    route, delivery = only_onward(actions)
    assert (route, delivery.attempt, delivery.deferrals) == ("email.park.30s", 2, 1)
    (outcome,) = actions.outcomes
    assert (outcome.status, outcome.reason) == (NotificationStatus.NOTIFICATION_STATUS_QUEUED, "BREAKER_OPEN")
    assert outcome.next_attempt_time.ToDatetime(UTC) == NOW + timedelta(seconds=30)


def test_a_changed_delivery_takes_the_place_of_the_one_that_came() -> None:
    changed = make_delivery(device_ids=["d2"])
    _, delivery = only_onward(settled(make_delivery(), Retry(Outcome(), delivery=changed)))
    assert (list(delivery.device_ids), delivery.attempt) == (["d2"], 2)


def test_a_retry_after_within_the_step_changes_nothing() -> None:
    route, delivery = only_onward(settled(make_delivery(), Retry(Outcome(), retry_after_s=1.5)))
    assert route == "email.retry.2s"
    assert not delivery.HasField("not_before")


@pytest.mark.parametrize(
    ("attempt", "wait_s", "route"),
    [(1, 2.5, "retry.4s"), (1, 8, "retry.8s"), (3, 5, "retry.8s"), (1, 8.1, "retry.8s"), (1, 21, "park.30s")],
)
def test_a_short_retry_after_takes_a_later_step_instead_of_a_long_park(attempt: int, wait_s: float, route: str) -> None:
    actions = settled(make_delivery(attempt=attempt), Retry(Outcome(), retry_after_s=wait_s))
    assert only_onward(actions)[0] == f"email.{route}"


@given(wait_s=st.floats(min_value=0.1, max_value=2000), attempt=st.integers(1, 3), late_s=st.floats(min_value=0, max_value=5))
def test_a_retry_after_is_never_undercut_and_hardly_exceeded(wait_s: float, attempt: int, late_s: float) -> None:
    actions = settled(make_delivery(attempt=attempt), Retry(Outcome(), retry_after_s=wait_s))
    route, delivery = only_onward(actions)
    passed_s = DELAYS_S[route]
    hops = 1
    while True:
        actions = DeliveryActions(LANE, urgent=False, now=NOW + timedelta(seconds=passed_s))
        if not actions.settle_early(delivery):
            break
        actions.pack()
        assert actions.outcomes == [], "a hop is not news"
        route, delivery = only_onward(actions)
        passed_s += DELAYS_S[route] + late_s
        hops += 1
    step_s = LANE.retry[attempt - 1].delay_s
    assert passed_s >= wait_s - 1e-6
    assert passed_s <= max(wait_s + 30, step_s) + late_s * hops
    assert delivery.attempt == attempt + 1


@pytest.mark.parametrize("not_before_s", [None, 600])
def test_a_delivery_that_is_out_of_time_waits_for_nothing(not_before_s: float | None) -> None:
    """It is the handler's, since only the ledger knows whether it was sent in time."""
    delivery = make_delivery(expires_s=0)
    if not_before_s is not None:
        delivery.not_before.FromDatetime(NOW + timedelta(seconds=not_before_s))
    actions = DeliveryActions(LANE, urgent=False, now=NOW)
    assert not actions.settle_early(delivery)
    assert (actions.outcomes, actions.messages) == ([], [])


@pytest.mark.parametrize(
    ("disposition", "wait_s"),
    [(Retry(Outcome(reason="SMTP_451")), 2), (Retry(Outcome(), retry_after_s=70), 70), (Defer("DOWN", 3), 4), (Defer("DOWN", 60), 60)],
)
def test_who_would_come_back_too_late_expires_at_once(disposition: Disposition, wait_s: float) -> None:
    """Up to the moment of the expiry, and not after it."""
    in_time = settled(make_delivery(expires_s=wait_s + 0.001), disposition)
    assert len(in_time.messages) == 1
    late = settled(make_delivery(expires_s=wait_s), disposition)
    assert late.messages == []
    assert late.outcomes[-1].status == NotificationStatus.NOTIFICATION_STATUS_EXPIRED
    assert late.outcomes[-1].reason == "EXPIRED"


def test_the_attempt_before_an_expiry_is_told_too() -> None:
    failed, expired = settled(make_delivery(expires_s=3, attempt=2), Retry(Outcome(reason="SMTP_451"))).outcomes
    assert (failed.status, failed.attempt, failed.reason) == (NotificationStatus.NOTIFICATION_STATUS_RETRYING, 2, "SMTP_451")
    assert not failed.HasField("next_attempt_time")
    assert (expired.status, expired.attempt) == (NotificationStatus.NOTIFICATION_STATUS_EXPIRED, 3)


def test_whether_a_retry_comes_too_late_is_decided_alike_when_its_message_comes_again() -> None:
    """Else one that is on the ladder already could be told EXPIRED."""
    outcome = Outcome(reason="SMTP_451")
    outcome.time.FromDatetime(NOW - timedelta(seconds=1.5))
    delivery = make_delivery(expires_s=1)
    assert len(settled(delivery, Retry(outcome)).messages) == 1


def test_a_late_retry_for_the_rest_of_the_devices_leaves_it_sent() -> None:
    """The person has it on one of them."""
    rest = make_delivery(expires_s=1, device_ids=["tablet"])
    rest.device_results.add(device_id="phone", accepted=True)
    actions = settled(make_delivery(expires_s=1), Retry(Outcome(reason="UNAVAILABLE"), delivery=rest))
    assert actions.messages == []
    assert (actions.outcomes[-1].status, actions.outcomes[-1].attempt) == (NotificationStatus.NOTIFICATION_STATUS_SENT, 1)
    assert [device.device_id for device in actions.outcomes[-1].devices] == ["phone"]


def test_what_a_handler_broke_down_over_expires_when_the_pause_is_too_long() -> None:
    actions = DeliveryActions(LANE, urgent=False, now=NOW)
    actions.crashed([make_delivery(expires_s=30)])
    assert actions.messages == []
    assert actions.outcomes[0].status == NotificationStatus.NOTIFICATION_STATUS_EXPIRED


def test_deliveries_of_one_delay_travel_together_up_to_fifty() -> None:
    actions = DeliveryActions(LANE, urgent=False, now=NOW)
    for number in range(60):
        actions.settle(make_delivery(str(number)), Retry(Outcome()))
    actions.settle(make_delivery("other", attempt=2), Retry(Outcome()))
    actions.pack()
    sizes = [(onward.route, len(DeliveryRequested.FromString(onward.body).deliveries)) for onward in actions.messages]
    assert sizes == [("email.retry.2s", 50), ("email.retry.2s", 10), ("email.retry.4s", 1)]


def test_urgent_deliveries_travel_alone_and_come_back_to_their_lane() -> None:
    actions = DeliveryActions(lane_of(TOPOLOGY, "email", urgent=True), urgent=True, now=NOW)
    for number in range(2):
        actions.settle(make_delivery(str(number)), Retry(Outcome()))
    actions.pack()
    assert [onward.route for onward in actions.messages] == ["email.urgent.retry.2s"] * 2


def test_what_a_handler_broke_down_over_comes_back_alone_and_is_given_up_in_the_end() -> None:
    actions = DeliveryActions(LANE, urgent=False, now=NOW)
    actions.crashed([make_delivery("a"), make_delivery("b", crashes=MAX_CRASHES)])
    back, letter = actions.messages
    (again,) = DeliveryRequested.FromString(back.body).deliveries
    assert (back.route, again.crashes, again.attempt) == ("email.park.30s", 1, 1)
    failed = DeliveryFailed.FromString(letter.body)
    assert (letter.route, failed.outcome.notification_id, failed.outcome.reason) == (FAILED_QUEUE, "b", "WORKER_FAILED")
    (outcome,) = actions.outcomes
    assert (outcome.notification_id, outcome.status) == ("a", NotificationStatus.NOTIFICATION_STATUS_QUEUED)


LONG = lane_of(TOPOLOGY, "email", urgent=False, retries_s=(2, 5, 100, 300, 7200))


@pytest.mark.parametrize(("attempt", "route"), [(1, "email.retry.2s"), (2, "email.retry.8s"), (3, "email.park.120s")])
def test_a_step_that_a_queue_can_hold_waits_on_the_bus(attempt: int, route: str) -> None:
    actions = DeliveryActions(LONG, urgent=False, now=NOW)
    actions.settle(make_delivery(attempt=attempt), Retry(Outcome(reason="SMTP_451")))
    actions.pack()
    assert only_onward(actions)[0] == route


@pytest.mark.parametrize(("attempt", "wait_s", "retry_after_s"), [(4, 300, None), (5, 7200, None), (4, 900, 900.0)])
def test_a_longer_step_waits_in_the_database(attempt: int, wait_s: int, retry_after_s: float | None) -> None:
    actions = DeliveryActions(LONG, urgent=False, now=NOW)
    actions.settle(make_delivery(attempt=attempt, deferrals=3), Retry(Outcome(reason="SMTP_451", detail="later"), retry_after_s))
    actions.pack()
    assert actions.messages == []
    (outcome,) = actions.outcomes
    assert (outcome.status, outcome.attempt, outcome.reason) == (NotificationStatus.NOTIFICATION_STATUS_RETRYING, attempt, "SMTP_451")
    assert outcome.next_attempt_time.ToDatetime(UTC) == NOW + timedelta(seconds=wait_s)
    assert (outcome.next.notification_id, outcome.next.attempt, outcome.next.deferrals) == ("n1", attempt + 1, 0)


def test_after_the_last_step_it_is_a_dead_letter_and_a_refusal_of_the_sender_takes_no_step() -> None:
    actions = DeliveryActions(LONG, urgent=False, now=NOW)
    actions.settle(make_delivery(attempt=6), Retry(Outcome(reason="SMTP_451")))
    actions.settle(make_delivery("n2", attempt=8, refusals=2), Retry(Outcome(reason="SMTP_451")))
    actions.settle(make_delivery("n3", attempt=6), Retry(Outcome(reason="SMTP_AUTH"), 30.0, make_delivery("n3", attempt=6, refusals=1)))
    actions.pack()
    assert [message.route for message in actions.messages] == [FAILED_QUEUE, FAILED_QUEUE, "email.park.30s"]


def test_large_deliveries_share_no_message_that_the_broker_may_refuse() -> None:
    """RabbitMQ 4 takes 16 MiB; fifty of the largest that are accepted come close to that."""
    actions = DeliveryActions(LANE, urgent=False, now=NOW)
    for number in range(50):
        delivery = make_delivery(f"n{number}")
        delivery.variables.fields["text"].string_value = "x" * 250_000
        actions.settle(delivery, Defer("BREAKER_OPEN", 30.0))
    actions.pack()
    sizes = [len(message.body) for message in actions.messages]
    assert max(sizes) < 1024 * 1024
    assert [
        delivery.notification_id for message in actions.messages for delivery in DeliveryRequested.FromString(message.body).deliveries
    ] == [f"n{number}" for number in range(50)]


@pytest.mark.parametrize(("wait_s", "waits_s"), [(25_200.0, 25_200), (60.0, 60), (0.2, 5)])
def test_what_is_postponed_waits_in_the_database_in_the_same_attempt(wait_s: float, waits_s: int) -> None:
    """However short the wait; never so short that two clocks which differ make a loop of it."""
    actions = settled(make_delivery(attempt=2, deferrals=3), Postpone("quiet_hours:22:00-07:00", wait_s))
    assert actions.messages == []
    (outcome,) = actions.outcomes
    assert (outcome.status, outcome.attempt) == (NotificationStatus.NOTIFICATION_STATUS_SCHEDULED, 2)
    assert (outcome.reason, outcome.detail) == ("QUIET_HOURS", "quiet_hours:22:00-07:00")
    assert outcome.next_attempt_time.ToDatetime(UTC) == NOW + timedelta(seconds=waits_s)
    assert (outcome.next.attempt, outcome.next.deferrals) == (2, 0)
    assert outcome.next.due_time == outcome.next_attempt_time, "the wait that its person asked for does not count against the service level"


def test_what_its_person_wants_too_late_is_expired_at_once() -> None:
    actions = settled(make_delivery(expires_s=3600), Postpone("quiet_hours:22:00-07:00", 7200.0))
    (outcome,) = actions.outcomes
    assert outcome.status == NotificationStatus.NOTIFICATION_STATUS_EXPIRED
    assert "quiet_hours:22:00-07:00" in outcome.detail
