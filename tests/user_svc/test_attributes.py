"""Free data about people, in memory and in PostgreSQL."""

import json
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.testing import caller
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import Clock
from user_svc.users.attributes import RESERVED, check_attributes, normal
from user_svc.users.convert import plain, struct_of
from user_svc.users.models import UserChanges
from user_svc.users.use_cases import Users

OPERATOR = caller("users:read", "users:write")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15).map(lambda number: number / 1024) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(st.text("pqr_", min_size=1, max_size=5), JSON, max_size=4)


async def _no_hash(field: str, password: str, words: Collection[str]) -> str:
    raise AssertionError("no password is given")


@pytest.fixture
def people(stores: Stores, clock: Clock) -> Users:
    return Users(stores.users, hash_password=_no_hash, now=clock)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attributes=ATTRIBUTES)
async def test_what_is_written_is_read_and_reaches_the_workers(people: Users, stores: Stores, attributes: dict[str, Any]) -> None:
    sent = plain(struct_of(attributes)) if attributes else {}  # type: ignore[arg-type]  # it is one where there are any
    user = await people.create_user(FIRST_PROJECT, UserChanges(name="Ada", attributes=sent), "")
    read = await people.get_user(OPERATOR, user.id)
    assert (read.attributes, read.etag) == (sent, user.etag)
    contacts = await stores.contacts.contacts({user.id: False})
    assert normal(json.loads(contacts[user.id].attributes or "{}")) == sent


async def test_a_change_replaces_all_of_them_and_an_upsert_leaves_what_it_does_not_name(people: Users) -> None:
    def change(**attributes: Any) -> UserChanges:
        return UserChanges(name="Ada", attributes=attributes, external_id="crm-1")

    [user_id] = await people.upsert_users(OPERATOR, [change(plan="free", seats=1.0)])
    first = await people.get_user(OPERATOR, str(user_id))
    assert first.attributes == {"plan": "free", "seats": 1.0}
    await people.upsert_users(OPERATOR, [UserChanges(name="Ada L.", external_id="crm-1")])
    assert (await people.get_user(OPERATOR, first.id)).attributes == first.attributes
    await people.upsert_users(OPERATOR, [change(plan="pro")])
    changed = await people.get_user(OPERATOR, first.id)
    assert changed.attributes == {"plan": "pro"}
    assert changed.etag != first.etag
    assert (await people.update_user(OPERATOR, first.id, UserChanges(attributes={}))).attributes == {}


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_a_user_has_anyway_is_no_attribute(name: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"attributes\.{name}"):
        check_attributes("attributes", {name: "x"})


@pytest.mark.parametrize("value", ["\0", ["\0"], {"\0": 1}, {"deep": [{"x": "a\0"}]}])
def test_a_nul_is_found_wherever_it_is(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="NUL"):
        check_attributes("attributes", {"plan": value})


@pytest.mark.parametrize("number", [1e308, 1e51, 1.5e-300, 5e-324])
def test_a_number_that_the_database_would_write_out_at_length_is_refused(number: float) -> None:
    """16 kB of such would be 700 kB in each answer about the person, and a list of 200 people more than a message holds."""
    with pytest.raises(InvalidArgument, match="50 digits"):
        check_attributes("attributes", {"a": [1.0, number]})


async def test_numbers_up_to_the_bound_are_kept_as_they_are(people: Users) -> None:
    numbers = [1e16, 1e49, -1.5e20, 0.1, 1e-20, 1 / 3, 0.0]
    user = await people.create_user(FIRST_PROJECT, UserChanges(name="Ada", attributes={"a": numbers}), "")
    assert (await people.get_user(OPERATOR, user.id)).attributes == {"a": numbers}


@pytest.mark.parametrize("value", [[[]] * 1000, [1.0] * 999, {str(number): "" for number in range(500)}])
def test_very_many_small_values_are_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="1000 names and values"):
        check_attributes("attributes", {"a": value})
