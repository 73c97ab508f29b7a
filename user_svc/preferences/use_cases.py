"""The rules about preferences."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from mesh.context import Caller
from mesh.errors import InvalidArgument
from user_svc.access import check_reach
from user_svc.preferences.models import Channel, PreferenceRule, Preferences
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id


class PreferenceStore(Protocol):
    """Where preferences are kept. People of another project are as if they did not exist."""

    async def find(self, project: str, user_id: str) -> Preferences | None:
        """None when there is no such person."""

    async def update(
        self, project: str, user_id: str, rules: Sequence[PreferenceRule], now: datetime, *, etag: str = ""
    ) -> Preferences | None:
        """Sets the rules, removes those with INHERIT, leaves the others; all or none. None when there is no such person.

        Raises TooManyRules, or EtagMismatch when `etag` is given and not theirs.
        """


class PreferenceBook:
    """Reads and changes what a person wants to receive."""

    def __init__(self, store: PreferenceStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def get_preferences(self, caller: Caller, user_id: str) -> Preferences:
        """Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:read")
        preferences = await self._store.find(caller.project, existing_id(user_id))
        if preferences is None:
            raise UserNotFound
        return preferences

    async def update_preferences(self, caller: Caller, user_id: str, rules: Sequence[PreferenceRule], *, etag: str = "") -> Preferences:
        """Raises UserNotFound, NotOwner, TooManyRules, EtagMismatch, or InvalidArgument when two rules are about the same."""
        check_reach(caller, user_id, "users:write")
        _refuse_repeated(rules)
        preferences = await self._store.update(caller.project, existing_id(user_id), rules, self._now(), etag=etag)
        if preferences is None:
            raise UserNotFound
        return preferences


def _refuse_repeated(rules: Sequence[PreferenceRule]) -> None:
    seen: dict[tuple[Channel, str], int] = {}
    for index, rule in enumerate(rules):
        first = seen.setdefault((rule.channel, rule.category), index)
        if first != index:
            raise InvalidArgument.of(f"rules[{index}]", f"is about the same channel and category as rules[{first}]")
