"""Identifiers."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mesh import ids


def test_ids_of_a_process_are_unique_and_sorted() -> None:
    """Also many within one millisecond."""
    made = [ids.new_uuid() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_an_id_is_a_uuid_of_version_7_with_its_time() -> None:
    """RFC 9562: version, variant, milliseconds since the epoch."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    made = ids.new_uuid()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before < ids.time_of(made) < datetime.now(UTC) + timedelta(seconds=1)


def test_the_least_id_of_a_moment_bounds_the_ids_of_that_moment() -> None:
    """What ranges and partitions rely on."""
    made = ids.new_uuid()
    moment = ids.time_of(made)
    assert ids.least_at(moment) <= made < ids.least_at(moment + timedelta(milliseconds=1))


@given(st.datetimes(timezones=st.just(UTC)), st.floats(-60, 60))
def test_every_moment_has_a_least_id(moment: datetime, slack_s: float) -> None:
    """Those that a UUIDv7 can't carry, such as the zero time of Go, are the nearest that it can."""
    least = ids.least_at(moment, slack_s=slack_s)
    assert least.version == 7
    assert ids.least_at(datetime.min.replace(tzinfo=UTC), slack_s=-5) <= least <= ids.least_at(datetime.max.replace(tzinfo=UTC), slack_s=5)


@given(st.text(max_size=40))
def test_text_that_is_no_id_is_none(text: str) -> None:
    """Braces, URNs and missing hyphens are not accepted either."""
    parsed = ids.parse(text)
    assert parsed is None or str(parsed) == text.lower()


def test_forms_other_than_the_plain_one_are_none() -> None:
    """One spelling per id."""
    text = ids.new_id()
    assert ids.parse(text) is not None
    assert ids.parse(text.replace("-", "")) is None
    assert ids.parse("{" + text[1:-1] + "}") is None
