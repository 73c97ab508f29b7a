"""Facts about suppressions: the rules, and one contract on the fake and on PostgreSQL."""

import pytest

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import START, Clock
from user_svc.suppressions.errors import SuppressionNotFound
from user_svc.suppressions.use_cases import Suppressions


@pytest.fixture
def suppressions(stores: Stores, clock: Clock) -> Suppressions:
    """The rules over either store."""
    return Suppressions(stores.suppressions, now=clock)


async def test_an_address_is_kept_in_lower_case_with_a_reason(suppressions: Suppressions) -> None:
    """Without one it is "manual"."""
    entry = await suppressions.create_suppression(FIRST_PROJECT, "Ada@Example.com", "")
    assert (entry.address, entry.reason, entry.create_time) == ("ada@example.com", "manual", START)


async def test_the_first_entry_of_an_address_stays(suppressions: Suppressions, clock: Clock) -> None:
    """A bounce is not forgotten because somebody adds the address by hand."""
    first = await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "bounce")
    clock.advance(days=1)
    assert await suppressions.create_suppression(FIRST_PROJECT, "ADA@example.com", "manual") == first


async def test_pages_run_in_the_order_of_the_address(suppressions: Suppressions) -> None:
    """By code point, on every machine."""
    for name in ("b", "a-1", "a.1", "a1", "_a"):
        await suppressions.create_suppression(FIRST_PROJECT, f"{name}@example.com", "bounce")
    seen, token = [], ""
    for _ in range(3):
        page = await suppressions.list_suppressions(FIRST_PROJECT, 2, token)
        seen += [entry.address for entry in page.items]
        token = page.next_token
    assert seen == sorted(seen)
    assert (len(seen), token) == (5, "")


async def test_one_address_is_looked_up(suppressions: Suppressions) -> None:
    """In any case; one that is not suppressed is an empty page."""
    entry = await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "bounce")
    assert (await suppressions.list_suppressions(FIRST_PROJECT, 0, "", "Ada@Example.com")).items == (entry,)
    assert (await suppressions.list_suppressions(FIRST_PROJECT, 0, "", "bob@example.com")).items == ()
    assert (await suppressions.list_suppressions("other", 0, "", "ada@example.com")).items == ()


async def test_a_deleted_address_is_gone(suppressions: Suppressions) -> None:
    """In any case; deleting it again is told."""
    await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "bounce")
    await suppressions.delete_suppression(FIRST_PROJECT, "ADA@EXAMPLE.COM")
    assert (await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items == ()
    with pytest.raises(SuppressionNotFound):
        await suppressions.delete_suppression(FIRST_PROJECT, "ada@example.com")


async def test_what_is_no_address_or_reason_is_refused(suppressions: Suppressions) -> None:
    """By the field's name."""
    with pytest.raises(InvalidArgument, match="address"):
        await suppressions.create_suppression(FIRST_PROJECT, "ada\r\n@example.com", "")
    with pytest.raises(InvalidArgument, match="address"):
        await suppressions.delete_suppression(FIRST_PROJECT, "nul\0@example.com")
    with pytest.raises(InvalidArgument, match="reason"):
        await suppressions.create_suppression(FIRST_PROJECT, "ada@example.com", "Hard Bounce")


async def test_a_bounce_is_kept_with_its_evidence(suppressions: Suppressions) -> None:
    """The mail server's reply says why the address gets no mail."""
    await suppressions.create_suppression(FIRST_PROJECT, "gone@example.com", "bounce", "SMTP_550 5.1.1 No such user")
    (entry,) = (await suppressions.list_suppressions(FIRST_PROJECT, 0, "")).items
    assert (entry.reason, entry.evidence) == ("bounce", "SMTP_550 5.1.1 No such user")
