"""Metadata follows the rules of the REST edge's headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from mesh.rpc.metadata import parse_idempotency_key, read_metadata

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255).filter(lambda key: key == key.strip())


@given(PRINTABLE)
def test_a_quoted_key_is_the_key_without_its_quotes(key: str) -> None:
    """Whatever is in it (RFC 8941, section 3.3.3), so that one key is one over both doors."""
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert read_metadata([("idempotency-key", quoted)])["idempotency-key"] == key


def test_a_bare_token_is_a_key_too() -> None:
    assert parse_idempotency_key("order-1") == parse_idempotency_key('"order-1"') == "order-1"


@pytest.mark.parametrize("text", ["", '""', '"', '"a', 'a"', 'a"b', "a b", '" a"', '"a "', '"\\x"', "é", "a" * 256, f'"{"a" * 256}"'])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="idempotency-key"):
        read_metadata([("idempotency-key", text)])
