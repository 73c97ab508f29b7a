"""Facts about quiet hours, over whole years and both changes of the clocks."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from user_svc.preferences.quiet_hours import OFF, QuietHours, parse_quiet_hours, quiet_hours_of

# Clocks that change by an hour in spring and autumn, by half an hour, and in the other half of the year.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"]
MINUTE = timedelta(minutes=1)
TIMES = st.times(max_value=time(23, 59)).map(lambda moment: moment.replace(second=0, microsecond=0))
HOURS = st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: QuietHours(*pair))
MOMENTS = st.integers(0, 6 * 366 * 24 * 60).map(lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + minutes * MINUTE)
# The hours around each change of 2027 in these zones.
CHANGES = ["2027-03-28T01:00", "2027-10-31T01:00", "2027-03-14T07:00", "2027-11-07T06:00", "2027-04-03T15:00", "2027-10-02T15:30"]
AROUND_A_CHANGE = st.builds(
    lambda text, minutes: datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-300, 300),
)


def quiet(hours: QuietHours, moment: datetime, zone: str) -> bool:
    """By the clock on the wall, minute by minute: `start` counts, `end` does not."""
    shown = moment.astimezone(ZoneInfo(zone)).time().replace(second=0, microsecond=0)
    if hours.start < hours.end:
        return hours.start <= shown < hours.end
    return shown >= hours.start or shown < hours.end


@given(HOURS, MOMENTS | AROUND_A_CHANGE, st.sampled_from(ZONES))
def test_it_is_quiet_for_as_long_as_the_clock_says(hours: QuietHours, moment: datetime, zone: str) -> None:
    """No wait when it is not quiet; otherwise the wait ends when it is not, within a day and the hour that a change may add."""
    wait = hours.wait(moment, zone)
    assert bool(wait) == quiet(hours, moment, zone)
    assert not quiet(hours, moment + wait, zone)
    assert timedelta() <= wait <= timedelta(hours=25)


@given(HOURS, MOMENTS, st.sampled_from(ZONES))
def test_the_wait_ends_as_soon_as_it_is_quiet_no_more(hours: QuietHours, moment: datetime, zone: str) -> None:
    """Every minute of it is quiet, but for those that a clock put back shows from before the quiet hours."""
    wait = hours.wait(moment, zone)
    minutes = [moment + number * MINUTE for number in range(int(wait / MINUTE))]
    put_back = any(
        (minute + MINUTE).astimezone(ZoneInfo(zone)).utcoffset() < minute.astimezone(ZoneInfo(zone)).utcoffset()  # type: ignore[operator]  # aware
        for minute in minutes
    )
    assert put_back or all(quiet(hours, minute, zone) for minute in minutes)


@pytest.mark.parametrize(
    ("zone", "moment", "hours", "until"),
    [
        ("Europe/Berlin", "2026-03-28T23:00+01:00", ("22:00", "02:30"), "2026-03-29T03:00+02:00"),
        ("Europe/Berlin", "2026-10-24T23:00+02:00", ("22:00", "02:30"), "2026-10-25T02:30+02:00"),
        ("Europe/Berlin", "2026-10-25T02:10+01:00", ("22:00", "02:30"), "2026-10-25T02:30+01:00"),
        ("America/New_York", "2026-03-08T01:59-05:00", ("22:00", "07:00"), "2026-03-08T07:00-04:00"),
        ("America/New_York", "2026-11-01T00:30-04:00", ("22:00", "07:00"), "2026-11-01T07:00-05:00"),
        ("Australia/Lord_Howe", "2026-10-04T01:00+10:30", ("00:00", "02:15"), "2026-10-04T02:30+11:00"),
        ("Asia/Kathmandu", "2026-07-01T12:00+05:45", ("11:00", "13:00"), "2026-07-01T13:00+05:45"),
    ],
)
def test_the_end_is_that_of_the_wall_clock_over_a_change(zone: str, moment: str, hours: tuple[str, str], until: str) -> None:
    now = datetime.fromisoformat(moment)
    start, end = hours
    assert now + quiet_hours_of("quiet_hours", start=start, end=end, off=False).wait(now, zone) == datetime.fromisoformat(until)


@given(HOURS | st.just(OFF))
def test_what_is_stored_is_read_again(hours: QuietHours) -> None:
    assert parse_quiet_hours(str(hours)) == hours


@given(MOMENTS)
def test_off_is_never_quiet(moment: datetime) -> None:
    assert not OFF.wait(moment, "UTC")


@pytest.mark.parametrize(
    ("start", "end", "off"),
    [("22:00", "", False), ("", "07:00", False), ("", "", False), ("07:00", "07:00", False), ("22:00", "07:00", True)],
)
def test_half_a_choice_is_refused(start: str, end: str, off: bool) -> None:
    with pytest.raises(InvalidArgument, match="quiet_hours"):
        quiet_hours_of("quiet_hours", start=start, end=end, off=off)
