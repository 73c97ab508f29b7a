"""The rules about policies and categories."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from mesh.context import Caller
from mesh.errors import InvalidArgument
from mesh.rpc.paging import Cursor, Page, page_size
from user_svc.policies.errors import CategoryExists, CategoryNotFound
from user_svc.policies.models import NO_RULES, Category, DeliveryPolicy, ProjectRules
from user_svc.preferences.models import Choice, refuse_repeated

log = logging.getLogger(__name__)

_PAGES = Cursor("categories", str)
_FRESH_S = 1.0


class PolicyStore(Protocol):
    """Where policies and categories are kept."""

    async def policy(self, project: str) -> DeliveryPolicy:
        """An empty one where none was ever set."""

    async def set_policy(self, project: str, change: Callable[[DeliveryPolicy], DeliveryPolicy], *, etag: str = "") -> DeliveryPolicy:
        """Makes a change of the present policy, of which no other one comes in between. Raises EtagMismatch."""

    async def add(self, project: str, category: Category) -> bool:
        """False when the id is taken. Raises CategoriesFull."""

    async def find(self, project: str, identifier: str) -> Category | None: ...

    async def change(self, project: str, identifier: str, change: Callable[[Category], Category], *, etag: str = "") -> Category | None:
        """Makes a change of a category, of which no other one comes in between; None when there is none. Raises EtagMismatch."""

    async def delete(self, project: str, identifier: str) -> None: ...

    async def list_by_id(self, project: str, after: str, limit: int) -> Sequence[Category]: ...

    async def rules_of(self, projects: Collection[str]) -> Mapping[str, ProjectRules]:
        """What decisions need of these projects, of those that have decided anything."""


class RuleBook:
    """What projects have decided, remembered for a second: each batch of deliveries asks for it."""

    def __init__(self, store: PolicyStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[float, ProjectRules]] = {}

    async def rules_of(self, projects: Collection[str]) -> Mapping[str, ProjectRules]:
        """The rules of each of the projects."""
        now = self._clock()
        wanted = {one for one in projects if one not in self._known or now - self._known[one][0] > _FRESH_S}
        if wanted:
            found = await self._store.rules_of(wanted)
            # counted from before the question: what was decided meanwhile is not held back for longer
            self._known.update({project: (now, found.get(project, NO_RULES)) for project in wanted})
        return {project: self._known[project][1] for project in projects}

    async def mandatory(self, project: str) -> Collection[str]:
        """The project's mandatory categories."""
        return (await self.rules_of([project]))[project].mandatory

    def forget(self, project: str) -> None:
        """It has just decided something."""
        self._known.pop(project, None)


class Policies:
    """Reads and changes what a project decides."""

    def __init__(self, store: PolicyStore, book: RuleBook, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._book = book
        self._now = now

    async def get_policy(self, caller: Caller) -> DeliveryPolicy:
        return await self._store.policy(caller.project)

    async def update_policy(self, caller: Caller, change: Callable[[DeliveryPolicy], DeliveryPolicy], *, etag: str = "") -> DeliveryPolicy:
        """Raises EtagMismatch, or InvalidArgument for rules that contradict each other."""

        def checked(policy: DeliveryPolicy) -> DeliveryPolicy:
            changed = change(policy)
            refuse_repeated(changed.rules, "policy.rules")
            for index, rule in enumerate(changed.rules):
                if rule.choice is Choice.INHERIT:
                    raise InvalidArgument.of(f"policy.rules[{index}].choice", "must be allow or deny; leave the rule out for neither")
            return replace(changed, update_time=self._now())

        changed = await self._store.set_policy(caller.project, checked, etag=etag)
        self._book.forget(caller.project)
        return changed

    async def create_category(self, caller: Caller, category: Category) -> Category:
        """Raises CategoryExists or CategoriesFull."""
        now = self._now()
        made = replace(category, create_time=now, update_time=now)
        if not await self._store.add(caller.project, made):
            raise CategoryExists(made.id)
        self._changed(caller, made, mandatory_before=False)
        return made

    async def get_category(self, caller: Caller, identifier: str) -> Category:
        """Raises CategoryNotFound."""
        category = None if "\0" in identifier else await self._store.find(caller.project, identifier)
        if category is None:
            raise CategoryNotFound
        return category

    async def list_categories(self, caller: Caller, requested_size: int, token: str) -> Page[Category]:
        """A page in the order of the ids. Raises InvalidArgument for a size or token that does not fit."""
        size, filters = page_size(requested_size), {"project": caller.project}
        position = _PAGES.position(token, filters)
        found = await self._store.list_by_id(caller.project, str(position[0]) if position else "", size + 1)
        return _PAGES.page([((category.id,), category) for category in found], size, filters)

    async def update_category(self, caller: Caller, identifier: str, change: Callable[[Category], Category], *, etag: str = "") -> Category:
        """Raises CategoryNotFound or EtagMismatch."""
        before: list[Category] = []

        def changed(category: Category) -> Category:
            before.append(category)
            return replace(change(category), update_time=self._now())

        category = None if "\0" in identifier else await self._store.change(caller.project, identifier, changed, etag=etag)
        if category is None:
            raise CategoryNotFound
        self._changed(caller, category, mandatory_before=before[-1].mandatory)
        return category

    async def delete_category(self, caller: Caller, identifier: str) -> None:
        """What does not exist is no error."""
        if "\0" not in identifier:
            await self._store.delete(caller.project, identifier)
        self._book.forget(caller.project)

    def _changed(self, caller: Caller, category: Category, *, mandatory_before: bool) -> None:
        self._book.forget(caller.project)
        if category.mandatory != mandatory_before:
            # who takes a choice from people, or gives it back, is on record
            what = "a category is mandatory now" if category.mandatory else "a category is mandatory no longer"
            log.info(what, extra={"project": caller.project, "category": category.id, "caller": caller.label})
