"""Facts about page tokens."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from mesh.rpc.paging import Cursor, page_size

ROWS = [((number,), f"entry {number}") for number in range(3)]


@given(st.datetimes(timezones=st.just(UTC)), st.uuids(), st.integers(-(2**63) + 1, 2**63 - 1), st.text("aé😀 /", min_size=1))
def test_a_position_survives_its_token(moment: datetime, identity: UUID, number: int, text: str) -> None:
    """What went into a token comes out of it, types included."""
    cursor = Cursor("things", datetime, UUID, int, str)
    token = cursor.token((moment, identity, number, text), {"status": "sent"})
    assert cursor.position(token, {"status": "sent"}) == (moment, identity, number, text)


def test_the_first_page_has_the_empty_token() -> None:
    """No token means no position."""
    assert Cursor("things", int).position("") is None


@pytest.mark.parametrize("filters", [None, {"status": "failed"}, {"state": "sent"}, {"status": "sent", "user": "1"}])
def test_a_token_is_refused_with_other_filters(filters: dict[str, object] | None) -> None:
    """A page is never continued under another question."""
    cursor = Cursor("things", int)
    with pytest.raises(InvalidArgument, match="page_token: was made by another list or with other filters"):
        cursor.position(cursor.token((1,), {"status": "sent"}), filters)


def test_a_token_of_another_list_is_refused() -> None:
    """Two lists with the same kind of position do not share tokens."""
    with pytest.raises(InvalidArgument, match="page_token"):
        Cursor("keys", int).position(Cursor("things", int).token((1,)))


@given(st.text(max_size=80))
def test_any_invented_token_is_refused_by_name(token: str) -> None:
    """Whatever text arrives as a token, the answer is one clear refusal."""
    if token:
        with pytest.raises(InvalidArgument, match="page_token"):
            Cursor("things", datetime, UUID).position(token)


@given(st.binary(max_size=60))
def test_a_forged_payload_is_refused_by_name(payload: bytes) -> None:
    """A right fingerprint does not help a payload of the wrong shape."""
    cursor = Cursor("things", datetime, UUID)
    made = base64.urlsafe_b64decode(cursor.token((datetime.now(UTC), UUID(int=1))) + "==")
    forged = base64.urlsafe_b64encode(made[:8] + payload).decode().rstrip("=")
    with pytest.raises(InvalidArgument, match="page_token"):
        cursor.position(forged)


@pytest.mark.parametrize("value", ['"a\\u0000b"', '"\\ud800"', "7", "null", '[""]'])
def test_text_that_a_database_refuses_is_refused_first(value: str) -> None:
    """NUL and broken surrogates never reach SQL."""
    cursor = Cursor("things", str)
    made = base64.urlsafe_b64decode(cursor.token(("abc",)) + "==")
    forged = base64.urlsafe_b64encode(made[:8] + f"[{value}]".encode()).decode().rstrip("=")
    with pytest.raises(InvalidArgument, match="page_token"):
        cursor.position(forged)


def test_one_row_more_than_the_page_makes_a_next_token() -> None:
    """The extra row is not shown; the token continues after the last shown one."""
    cursor = Cursor("things", int)
    page = cursor.page(ROWS, 2)
    assert page.items == ("entry 0", "entry 1")
    assert cursor.position(page.next_token) == (1,)


def test_the_last_page_has_no_token() -> None:
    """An exactly full last page, and an empty one, end the list."""
    assert Cursor("things", int).page(ROWS, 3).next_token == ""
    assert Cursor("things", int).page([], 3).items == ()


@pytest.mark.parametrize(("requested", "answered"), [(0, 50), (1, 1), (200, 200)])
def test_page_size_default_and_bounds(requested: int, answered: int) -> None:
    """0 means 50, and 200 is the most."""
    assert page_size(requested) == answered


@pytest.mark.parametrize("requested", [-1, 201])
def test_page_size_beyond_the_bounds_is_refused(requested: int) -> None:
    """A bad size is told, not corrected."""
    with pytest.raises(InvalidArgument, match="page_size: must be between 0 and 200"):
        page_size(requested)


def test_a_position_of_wrong_types_is_a_programming_error() -> None:
    """Mixed-up columns are found where the token is made, not where it is read."""
    with pytest.raises(TypeError, match="things"):
        Cursor("things", datetime).token((datetime.now(UTC) + timedelta(seconds=1), "x"))
