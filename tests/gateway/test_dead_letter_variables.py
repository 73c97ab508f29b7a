"""Other variables for a dead letter that is requeued; on a real PostgreSQL."""

import pytest

from gateway.accepting.notification_writer import NotificationWriter
from gateway.dead_letters.errors import AlreadyResolved
from gateway.dead_letters.models import State, View
from gateway.dead_letters.use_cases import Requeue
from mesh.errors import InvalidArgument, Unavailable
from mesh.stores.database import Database
from tests.gateway.dead_letter_desk import REVIEWER, Desk, struct
from tests.gateway.factories import make_row

AGAIN = Requeue()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_a_reviewer_may_put_other_values_into_it(desk: Desk) -> None:
    """Those that are not named stay, also over further failures. The trail says that, and holds no value."""
    row = make_row()
    await NotificationWriter(desk.database, lambda _: None).store(row)
    await desk.fail(row, variables=struct(order="B-1", total=5, lines=["x"]))
    letter = await desk.letters.requeue(REVIEWER, str(row.id), Requeue("wrong order", variables=struct(order="A-1", lines=["y", "z"])))
    assert desk.delivery().variables == struct(order="A-1", total=5, lines=["y", "z"])
    assert (letter.audit[-1].changed, "A-1" in repr(letter)) == (("variables",), False)
    [[item]] = desk.renderer.asked
    assert (item.variables["order"], item.variables["total"], item.check_variables) == ("A-1", 5, True)
    await desk.fail(row, run=1, at=120, variables=desk.delivery().variables)
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert desk.delivery().variables == struct(order="A-1", total=5, lines=["y", "z"])


async def test_values_of_which_no_text_can_be_made_send_nothing(desk: Desk) -> None:
    row = await desk.failed()
    desk.renderer.errors["welcome"] = InvalidArgument.of("variables.order", "must match ^A-", reason="INVALID_VARIABLES")
    with pytest.raises(InvalidArgument) as caught:
        await desk.letters.requeue(REVIEWER, str(row.id), Requeue(variables=struct(order="B-1")))
    assert (caught.value.reason, caught.value.violations[0].field) == ("INVALID_VARIABLES", "variables.order")
    assert (desk.published, (await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).state) == ([], State.OPEN)
    desk.renderer.errors["welcome"] = Unavailable("template_svc is away")
    await desk.letters.requeue(REVIEWER, str(row.id), Requeue(variables=struct(order="A-1")))
    assert desk.delivery().variables == struct(order="A-1")


async def test_values_do_not_grow_beyond_what_a_send_may_have_by_being_given_in_parts(desk: Desk) -> None:
    row = make_row()
    await NotificationWriter(desk.database, lambda _: None).store(row)
    await desk.fail(row, variables=struct(first="x" * 150_000))
    with pytest.raises(InvalidArgument) as caught:
        await desk.letters.requeue(REVIEWER, str(row.id), Requeue(variables=struct(second="y" * 150_000)))
    assert [violation.field for violation in caught.value.violations] == ["variables"]
    assert desk.published == []
    await desk.letters.requeue(REVIEWER, str(row.id), Requeue(variables=struct(first="y" * 150_000)))
    assert desk.delivery().variables == struct(first="y" * 150_000)


async def test_the_same_values_again_are_done_and_others_come_too_late(desk: Desk) -> None:
    row = await desk.failed()
    for _ in range(2):
        await desk.letters.requeue(REVIEWER, str(row.id), Requeue(variables=struct(order="A-1")))
    assert len(desk.published) == 1
    with pytest.raises(AlreadyResolved):
        await desk.letters.requeue(REVIEWER, str(row.id), Requeue(variables=struct(order="A-2")))
