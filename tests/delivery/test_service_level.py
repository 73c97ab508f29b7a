"""What the service level is about: from when a notification was due until a provider took it."""

from datetime import UTC, datetime, timedelta

import pytest

from delivery.attempts import handover_s
from tests.delivery.fakes import make_delivery

NOW = datetime.now(UTC)


@pytest.mark.parametrize(("ago_s", "seconds"), [(1.5, 1.5), (0.0, 0.0), (-0.2, 0.0)])
def test_the_time_counts_from_when_it_was_due(ago_s: float, seconds: float) -> None:
    """Two clocks that differ make no negative time of it."""
    delivery = make_delivery()
    delivery.due_time.FromDatetime(NOW - timedelta(seconds=ago_s))
    assert handover_s(delivery, NOW.timestamp()) == pytest.approx(seconds, abs=1e-3)


def test_a_test_and_what_a_reviewer_has_requeued_do_not_count() -> None:
    assert handover_s(make_delivery(), NOW.timestamp()) is None
    delivery = make_delivery()
    delivery.due_time.FromDatetime(NOW)
    delivery.test = True
    assert handover_s(delivery, NOW.timestamp()) is None
