"""The text of an error, whoever wrote it."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import FieldViolation, InvalidArgument, showable
from mesh.rpc.status import to_status
from transcoding.codec import Codec
from transcoding.errors import ErrorRenderer

ANY_TEXT = st.text(st.characters(categories=None, exclude_categories=()), max_size=2000)


@given(ANY_TEXT)
def test_no_text_breaks_the_error_path(text: str) -> None:
    """As a protobuf status, as JSON in both forms, and in a log line."""
    error = InvalidArgument(text, violations=[FieldViolation(text, text)], metadata={text: text})
    assert to_status(error).SerializeToString()
    renderer = ErrorRenderer(Codec(), domain="clarion")
    for accept in ("application/json", "application/problem+json"):
        assert renderer.render(error, accept=accept, authenticated=False, correlation_id="c").body.decode()


def test_what_would_mislead_a_reader_is_escaped() -> None:
    assert showable("a\ud800b\x1b[2Jc\u202ed\x00") == r"a\ud800b\x1b[2Jc\u202ed\x00"
    assert showable("Grüße, 世界 👍🏽\n\tend") == "Grüße, 世界 👍🏽\n\tend"


def test_what_is_not_seen_is_escaped() -> None:
    """As a key that was copied from a page: it would read like the right one. Words and emoji keep their joiners."""
    for code in ("00ad", "061c", "200b", "200d", "200e", "2060", "3164", "feff"):
        assert showable(f"user{chr(int(code, 16))}_id") == ascii(f"user{chr(int(code, 16))}_id")[1:-1]
    assert showable("\ufeffuser_id") == r"\ufeffuser_id"
    for text in ("می\u200cخواهم", "👩\u200d👩\u200d👧", "❤\ufe0f", "Empf\ufffdnger", "क्\u200dष"):
        assert showable(text) == text


def test_an_error_fits_into_trailers() -> None:
    error = InvalidArgument("x" * 100_000, violations=[FieldViolation("y" * 100_000, "z")] * 1000)
    assert len(to_status(error).SerializeToString()) < 8 * 1024
