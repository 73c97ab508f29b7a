"""Times on the wall, in zones whose clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from naming.local_times import local_time_of

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns"]
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants them naive
CLOCKS = st.times().map(lambda clock: f"{clock:%H:%M}")


@given(st.sampled_from(ZONES), MOMENTS, CLOCKS)
def test_a_time_of_day_is_the_next_moment_at_which_the_clock_shows_it(zone: str, now: datetime, clock: str) -> None:
    moment = local_time_of("at", clock).moment(zone, now)
    assert now < moment <= now + timedelta(hours=49)
    here = moment.astimezone(ZoneInfo(zone))
    before = (moment - timedelta(hours=2)).astimezone(ZoneInfo(zone))
    # or the clocks skip that time on that day, by half an hour or an hour
    assert f"{here:%H:%M}" == clock or here.utcoffset() != before.utcoffset()


@given(st.sampled_from(ZONES), MOMENTS)
def test_a_local_time_is_the_moment_at_which_the_clock_shows_it(zone: str, moment: datetime) -> None:
    moment = moment.replace(second=0, microsecond=0)
    here = moment.astimezone(ZoneInfo(zone))
    found = local_time_of("at", f"{here:%Y-%m-%dT%H:%M}").moment(zone, moment)
    assert found == (moment if not here.fold else moment - (found.astimezone(ZoneInfo(zone)).utcoffset() - here.utcoffset()))  # type: ignore[operator]  # both have one


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:30:00Z"),  # skipped: 03:30 there
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),  # twice: the first
        ("America/New_York", "2026-03-08T02:30:15", "2026-03-08T07:30:15Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45:00Z"),  # skipped by half an hour
        ("Asia/Kathmandu", "2026-01-01T09:00", "2026-01-01T03:15:00Z"),
    ],
)
def test_both_changes_of_the_clocks(zone: str, text: str, expected: str) -> None:
    assert f"{local_time_of('at', text).moment(zone, datetime.now(UTC)):%Y-%m-%dT%H:%M:%SZ}" == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "9:00", "24:00", "09:60", "09:00Z", "2026-02-30T09:00", "2026-01-01", "2026-01-01 09:00", "2026-01-01T09:00Z",
        "2026-01-01T09:00+01:00", "0001-01-01T00:00", "9999-12-31T23:59", "\u0660\u0669:\u0660\u0660", "09:00\n", "tomorrow",
    ],
)  # fmt: skip
def test_what_is_no_local_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="at: "):
        local_time_of("at", text)
