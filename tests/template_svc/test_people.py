"""Previews as a certain person would get them."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from clarion.user.v1.recipient_service_pb2 import Recipient
from delivery.models import variables_for
from mesh.context import FIRST_PROJECT, Caller
from mesh.errors import InvalidArgument, ScopeMissing
from mesh.testing import caller
from template_svc.errors import MissingVariable, UserNotFound
from template_svc.library import Library
from template_svc.messages import variables_from_bytes, variables_from_struct
from template_svc.models import Content, Person, TemplateKey
from template_svc.people.use_cases import PreviewRequest, Previews
from template_svc.scheduling import Scheduler, Standing
from template_svc.senders.book import SenderBook
from template_svc.use_cases import Authoring, Rendering
from tests.template_svc.factories import Clock, content_of, make_template, struct_bytes
from tests.template_svc.fakes import InlineProcesses, MemoryPartials, MemoryPeople, MemoryTemplates
from tests.template_svc.memory_senders import MemorySenders

KEY = TemplateKey(FIRST_PROJECT, "welcome")
AUTHOR = caller("templates:read", "users:read")
TEXT = "{{ user.name }} {{ user.plan }} {{ order }} {{ at|time(format='short') }}"
CONTENTS = {"en": Content(subject="Hello", text=TEXT), "pt": Content(subject="Olá", text=TEXT)}
GIVEN = {"order": "A-1", "at": "2030-07-31T15:04:05Z"}


@pytest.fixture
async def previews(processes: InlineProcesses, clock: Clock) -> Previews:
    """A template that reads the person, with examples of all other variables."""
    store = MemoryTemplates()
    library, scheduler = Library(store), Scheduler(processes, Standing(lambda: 0))
    authoring = Authoring(store, MemoryPartials(), library, scheduler, clock, senders=MemorySenders())
    await authoring.create_template(make_template())
    properties = {name: {"type": "string", "examples": [value]} for name, value in GIVEN.items()}
    await authoring.create_version(KEY, CONTENTS, True, variables_schema={"type": "object", "properties": properties})
    return Previews(Rendering(store, library, scheduler, SenderBook(MemorySenders())), MemoryPeople())


async def shown(previews: Previews, user_id: str, asked: Caller = AUTHOR, **changes: Any) -> tuple[str, Content]:
    """The locale and the text of a preview."""
    request = PreviewRequest(KEY, 0, "", struct_bytes(GIVEN), "", user_id)._replace(**changes)
    rendered = await previews.preview(asked, request)
    return rendered.locale, content_of(rendered)


@pytest.mark.parametrize("user_id", ["01890000-0000-7000-8000-000000000001", "crm-17"])
async def test_a_preview_reads_the_person_as_a_send_does(previews: Previews, user_id: str) -> None:
    """Their language, zone, name and attributes; the name is theirs and not an attribute of that name."""
    assert await shown(previews, user_id) == ("pt", Content(subject="Olá", text="Ada gold A-1 16:04"))


async def test_what_is_asked_for_comes_before_what_is_known(previews: Previews) -> None:
    """A locale, a zone, and a variable `user` of the sender's own."""
    assert (await shown(previews, "crm-17", locale="en", timezone="Asia/Tokyo"))[0] == "en"
    own = struct_bytes({**GIVEN, "user": {"name": "Bob", "plan": "none"}})
    assert (await shown(previews, "crm-17", variables=own))[1].text == "Bob none A-1 16:04"


async def test_examples_fill_what_the_person_does_not(previews: Previews) -> None:
    assert (await shown(previews, "crm-17", variables=b""))[1].text == "Ada gold A-1 16:04"


async def test_without_a_person_nothing_is_known_of_one(previews: Previews) -> None:
    with pytest.raises(MissingVariable, match=r"variables\.user"):
        await shown(previews, "")


async def test_who_may_not_read_people_previews_for_none(previews: Previews) -> None:
    """Nor learns whether there is one."""
    for user_id in ("crm-17", "no one"):
        with pytest.raises(ScopeMissing, match="users:read"):
            await shown(previews, user_id, caller("templates:read"))
    assert (await shown(previews, "", caller("templates:read"), variables=struct_bytes({**GIVEN, "user": {"name": "B", "plan": ""}})))[
        0
    ] == "en"


async def test_a_person_of_another_project_is_unknown(previews: Previews) -> None:
    for user_id, asked in (("crm-17", replace(AUTHOR, project="another")), ("crm-18", AUTHOR)):
        with pytest.raises(UserNotFound):
            await shown(previews, user_id, asked)
    with pytest.raises(InvalidArgument) as refused:
        await shown(previews, "crm\0")
    assert refused.value.violations[0].field == "user_id"


@pytest.mark.parametrize("given", [{}, {"user": None}, {"user": {"plan": "own"}}, {"n": 3}])
def test_the_person_is_put_where_a_worker_puts_them(given: dict[str, Any]) -> None:
    person = Person("pt-BR", "Europe/Lisbon", "Ada", {"plan": "gold", "age": 36, "name": "x"})
    variables, recipient = Struct(), Recipient(locale=person.locale, timezone=person.timezone, name=person.name)
    variables.update(given)
    recipient.attributes.update(person.attributes)
    added = person.added_to(variables_from_struct(variables))
    assert added == variables_from_bytes(variables_for(variables, recipient).SerializeToString())
