"""Attachments on a real PostgreSQL: each content once, for as long as it is needed, of one project and of one person."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from mesh.errors import InvalidArgument
from mesh.stores.database import Database
from template_svc.attachments.errors import AttachmentGone, AttachmentUnknown, TooManyUnused
from template_svc.attachments.models import MAX_TOGETHER, MAX_UNUSED, Use
from template_svc.attachments.repository import AttachmentRepository
from template_svc.attachments.use_cases import Attachments
from tests.waiting import until_answered

ADA, BOB = uuid4(), uuid4()
A_MONTH_S = 30 * 86_400.0


@pytest.fixture
def attachments(database: Database) -> Attachments:
    return Attachments(AttachmentRepository(database))


def use(person: UUID = ADA, project: str = "default", keep_for_s: float = A_MONTH_S) -> Use:
    return Use(project, uuid4(), person, keep_for_s)


async def count(database: Database) -> tuple[int, int]:
    rows = await database.fetch("SELECT (SELECT count(*) FROM attachments) AS files, (SELECT count(*) FROM attachment_uses) AS uses")
    return rows[0]["files"], rows[0]["uses"]


async def test_the_same_content_is_kept_once(attachments: Attachments, database: Database) -> None:
    first = await attachments.create("default", b"terms")
    assert (await attachments.create("default", b"terms"))[:2] == first[:2]
    kept = await attachments.use(use(), [b"terms", first.id, b"terms", b"invoice"])
    assert [each.id for each in kept[:3]] == [first.id] * 3
    assert (kept[3].size_bytes, kept[0].keep_until > first.keep_until) == (7, True)
    assert await count(database) == (2, 2)
    assert await attachments.content("default", first.id) == b"terms"


async def test_a_project_has_its_own(attachments: Attachments) -> None:
    made = await attachments.create("default", b"secret terms")
    with pytest.raises(AttachmentGone):
        await attachments.content("other", made.id)
    with pytest.raises(AttachmentUnknown, match=r"attachments\[1\]\.attachment_id"):
        await attachments.use(use(project="other"), [b"x", made.id])


@pytest.mark.parametrize("given", [["0" * 64], ["zz"], [b"x", ""], ["é" * 64]])
async def test_what_is_not_kept_is_refused_and_nothing_is_done(
    attachments: Attachments, database: Database, given: Sequence[bytes | str]
) -> None:
    with pytest.raises(AttachmentUnknown):
        await attachments.use(use(), given)
    assert await count(database) == (0, 0)


async def test_together_they_have_a_greatest_size(attachments: Attachments, database: Database) -> None:
    part = MAX_TOGETHER // 4
    made = await attachments.create("default", b"a" * part)
    assert len(await attachments.use(use(), [made.id] * 4)) == 4
    with pytest.raises(InvalidArgument, match="10 MiB"):
        await attachments.use(use(), [made.id, made.id, made.id, made.id, b"x"])
    assert (await count(database))[0] == 1


async def test_what_no_one_needs_any_more_goes(attachments: Attachments, database: Database) -> None:
    await attachments.use(use(keep_for_s=-1.0), [b"over"])
    await attachments.use(use(), [b"needed"])
    both = (await attachments.use(use(keep_for_s=-1.0), [b"both"]))[0]
    await attachments.use(use(), [both.id])
    await attachments.clean()
    assert await count(database) == (2, 2)


async def test_of_an_erased_person_goes_what_only_they_have_got(attachments: Attachments, database: Database) -> None:
    terms = await attachments.create("default", b"terms")
    await attachments.use(use(ADA), [terms.id, b"invoice of Ada"])
    await attachments.use(use(BOB), [terms.id, b"invoice of Bob"])
    await attachments.forget(ADA)
    await attachments.forget(ADA)
    assert await count(database) == (2, 2)
    assert await attachments.content("default", terms.id) == b"terms"
    await attachments.forget(BOB)
    assert await count(database) == (0, 0)


async def test_an_erasure_that_waits_for_a_send_to_another_leaves_that_one_its_file(attachments: Attachments, database: Database) -> None:
    terms = await attachments.create("default", b"terms")
    await attachments.use(use(ADA), [terms.id])
    sent = use(BOB)
    async with database.begin() as connection:
        # what `use` does, held open
        await connection.execute(text("UPDATE attachments SET used = true"))
        bobs = text("INSERT INTO attachment_uses SELECT project, id, :notification, :person, now() + interval '1 day' FROM attachments")
        await connection.execute(bobs, {"notification": sent.notification_id, "person": BOB})
        erasing = asyncio.create_task(attachments.forget(ADA))

        async def waits() -> bool:
            return bool(await database.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"))

        await until_answered(waits)
    await erasing
    assert await attachments.content("default", terms.id) == b"terms"
    assert await count(database) == (1, 1)


async def test_so_many_wait_to_be_sent_and_no_more(attachments: Attachments, database: Database) -> None:
    """Who may send could fill the disk of all projects otherwise."""
    rows = "SELECT 'default', sha256(n::text::bytea), 1, 'x', now() + interval '1 hour' FROM generate_series(1, $1) AS n"
    await database.fetch(f"INSERT INTO attachments {rows}", MAX_UNUSED - 1)
    last = await attachments.create("default", b"last")
    with pytest.raises(TooManyUnused):
        await attachments.create("default", b"one more")
    # what is there is kept on, another project has its own, and sends carry theirs
    await attachments.create("default", b"last")
    await attachments.create("other", b"one more")
    await attachments.use(use(), [b"one more", last.id])
    await attachments.create("default", b"another")


async def test_uses_and_erasures_at_the_same_time_leave_no_use_without_its_file(attachments: Attachments, database: Database) -> None:
    """One that loses its file in between is refused, and the sender asks again."""
    contents = [b"a", b"b", b"c"]
    people = [uuid4() for _ in range(8)]

    async def send(person: UUID, order: list[bytes]) -> None:
        await attachments.use(use(person), order)

    await asyncio.gather(
        *(send(person, contents[at % 3 :] + contents[: at % 3]) for at, person in enumerate(people)),
        *(attachments.forget(person) for person in people),
    )
    orphans = await database.fetch(
        "SELECT 1 FROM attachment_uses u WHERE NOT EXISTS (SELECT 1 FROM attachments a WHERE a.project = u.project AND a.id = u.attachment)"
    )
    assert orphans == []
