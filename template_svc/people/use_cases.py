"""Previews as a certain person would get them."""

from typing import NamedTuple, Protocol

from mesh.context import Caller
from mesh.errors import InvalidArgument, ScopeMissing
from template_svc.errors import UserNotFound
from template_svc.models import Person, Rendered, StoredVersion, TemplateKey
from template_svc.use_cases import Rendering

PEOPLE_SCOPE = "users:read"


class People(Protocol):
    """Who there is."""

    async def find(self, project: str, reference: str) -> Person | None:
        """The project's person who has this id, ours or the project's own. Raises Unavailable when that can't be found out."""
        ...


class PreviewRequest(NamedTuple):
    """What an author asks to see. `variables` is a serialized google.protobuf.Struct; `user_id` whatever was given as one, or empty."""

    key: TemplateKey
    version: int
    locale: str
    variables: bytes
    timezone: str
    user_id: str
    # what is to be shown in the place of a version
    draft: StoredVersion | None = None


class Previews:
    """Shows texts to authors."""

    def __init__(self, rendering: Rendering, people: People) -> None:
        self._rendering = rendering
        self._people = people

    async def preview(self, caller: Caller, request: PreviewRequest) -> Rendered:
        """Raises ScopeMissing for a person that the caller may not read, UserNotFound, and what `Rendering.preview` raises."""
        person = await self._person(caller, request.user_id) if request.user_id else None
        if request.draft is not None:
            return await self._rendering.preview_draft(
                caller.project, request.draft, request.locale, request.variables, request.timezone, person=person
            )
        return await self._rendering.preview(
            request.key, request.version, request.locale, request.variables, request.timezone, person=person
        )

    async def _person(self, caller: Caller, reference: str) -> Person:
        if not caller.has(PEOPLE_SCOPE):
            raise ScopeMissing(PEOPLE_SCOPE)
        if "\0" in reference:
            raise InvalidArgument.of("user_id", "must not contain NUL characters")
        person = await self._people.find(caller.project, reference)
        if person is None:
            raise UserNotFound
        return person
