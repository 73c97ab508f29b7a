"""The rules about preferences."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from mesh.context import Caller
from user_svc.access import check_reach
from user_svc.preferences.errors import CategoryMandatory
from user_svc.preferences.models import Choice, PreferenceChanges, PreferenceRule, Preferences, refuse_repeated
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id


class PreferenceStore(Protocol):
    """Where preferences are kept. People of another project are as if they did not exist."""

    async def find(self, project: str, user_id: str) -> Preferences | None:
        """None when there is no such person."""

    async def update(self, project: str, user_id: str, changes: PreferenceChanges, now: datetime, *, etag: str = "") -> Preferences | None:
        """Sets the rules, removes those with INHERIT, leaves the others; all or none. None when there is no such person.

        Raises TooManyRules, or EtagMismatch when `etag` is given and not theirs.
        """


class MandatoryCategories(Protocol):
    """What a project sends in any case."""

    async def mandatory(self, project: str) -> Collection[str]:
        """The ids of the mandatory categories."""


class PreferenceBook:
    """Reads and changes what a person wants to receive."""

    def __init__(self, store: PreferenceStore, categories: MandatoryCategories, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._categories = categories
        self._now = now

    async def get_preferences(self, caller: Caller, user_id: str) -> Preferences:
        """Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:read")
        preferences = await self._store.find(caller.project, existing_id(user_id))
        if preferences is None:
            raise UserNotFound
        return preferences

    async def update_preferences(self, caller: Caller, user_id: str, changes: PreferenceChanges, *, etag: str = "") -> Preferences:
        """Raises UserNotFound, NotOwner, TooManyRules, CategoryMandatory, EtagMismatch, or InvalidArgument for two rules about the same."""
        check_reach(caller, user_id, "users:write")
        refuse_repeated(changes.rules)
        await self._check_refusals(
            caller.project, user_id, [rule for rule in changes.rules if rule.choice is Choice.DENY and rule.category]
        )
        preferences = await self._store.update(caller.project, existing_id(user_id), changes, self._now(), etag=etag)
        if preferences is None:
            raise UserNotFound
        return preferences

    async def _check_refusals(self, project: str, user_id: str, rules: Sequence[PreferenceRule]) -> None:
        """What was refused before it became mandatory stays refused: who writes back what was read changes nothing."""
        mandatory = await self._categories.mandatory(project) if rules else ()
        refused = [rule for rule in rules if rule.category in mandatory]
        present = await self._store.find(project, existing_id(user_id)) if refused else None
        new = {rule.category for rule in refused if present is not None and rule not in present.rules}
        if new:
            raise CategoryMandatory(min(new))
