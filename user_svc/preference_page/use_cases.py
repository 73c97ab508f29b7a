"""The rules about the page and the brand."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from mesh.context import Caller
from naming.locales import choose
from user_svc.access import check_reach
from user_svc.policies.models import Category, CategoryText, ProjectRules
from user_svc.preference_page.models import CHANNELS, Brand, PageCategory, PageChoices, PagePerson, PreferencePage
from user_svc.preferences.models import Channel, Choice, PreferenceChanges, PreferenceRule, Preferences
from user_svc.preferences.quiet_hours import OFF
from user_svc.preferences.unsubscribing import LinkInvalid, UnsubscribeLinks
from user_svc.preferences.use_cases import PreferenceStore
from user_svc.recipients.models import choice_of
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id

_MOST_CATEGORIES = 200
_FALLBACK = "en"


class PageStore(Protocol):
    """Where people and brands are kept."""

    async def person(self, user_id: str) -> PagePerson | None:
        """None when there is no such person (any more). A brand without a name has the project's here."""

    async def brand(self, project: str) -> Brand:
        """An empty one where none was ever set."""

    async def set_brand(self, project: str, change: Callable[[Brand], Brand], *, etag: str = "") -> Brand:
        """Makes a change of the present brand, of which no other one comes in between. Raises EtagMismatch."""


class CategoryStore(Protocol):
    """Where categories are kept."""

    async def list_by_id(self, project: str, after: str, limit: int) -> Sequence[Category]: ...


class Rules(Protocol):
    """What projects have decided."""

    async def rules_of(self, projects: Collection[str]) -> Mapping[str, ProjectRules]: ...


class Brands:
    """Reads and changes how a project's pages look."""

    def __init__(self, store: PageStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def get_brand(self, caller: Caller) -> Brand:
        return await self._store.brand(caller.project)

    async def update_brand(self, caller: Caller, change: Callable[[Brand], Brand], *, etag: str = "") -> Brand:
        """Raises EtagMismatch."""
        return await self._store.set_brand(caller.project, lambda present: replace(change(present), update_time=self._now()), etag=etag)


class PreferencePages:
    """What holders of links see and change."""

    def __init__(
        self,
        links: UnsubscribeLinks,
        store: PageStore,
        preferences: PreferenceStore,
        categories: CategoryStore,
        rules: Rules,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._links = links
        self._store = store
        self._preferences = preferences
        self._categories = categories
        self._rules = rules
        self._now = now

    async def create_link(self, caller: Caller, user_id: str) -> str:
        """The token of a person's page. Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:write")
        person = await self._store.person(existing_id(user_id))
        if person is None or person.project != caller.project:
            raise UserNotFound
        return self._links.page_token(existing_id(user_id))

    async def describe(self, token: str) -> PreferencePage:
        """The page of a link. Raises LinkInvalid."""
        user_id, category = self._links.read_page(token)
        person, present = await self._found(user_id)
        return await self._page(person, present, category)

    async def save(self, token: str, choices: PageChoices) -> PreferencePage:
        """Changes what differs from what holds, and answers the page after that. Raises LinkInvalid."""
        user_id, category = self._links.read_page(token)
        person, present = await self._found(user_id)
        page = await self._page(person, present, category)
        rules = list(_refuse_mail(page, present) if choices.refuse_mail else _changed(page, choices.wanted))
        hours = choices.quiet_hours
        if hours is not None and hours == (page.quiet_hours or OFF):
            hours = None
        if not rules and hours is None:
            return page
        # what is on the page bounds the number of rules, so that a person with as many as there may be can choose on
        changes = PreferenceChanges(rules, hours, beyond_limit=True)
        changed = await self._preferences.update(person.project, user_id, changes, self._now())
        if changed is None:
            raise LinkInvalid
        return await self._page(person, changed, category)

    async def _found(self, user_id: str) -> tuple[PagePerson, Preferences]:
        person = await self._store.person(user_id)
        present = person and await self._preferences.find(person.project, user_id)
        if person is None or present is None:
            raise LinkInvalid
        return person, present

    async def _page(self, person: PagePerson, present: Preferences, linked: str) -> PreferencePage:
        project = (await self._rules.rules_of([person.project]))[person.project]
        described = {one.id: one for one in await self._categories.list_by_id(person.project, "", _MOST_CATEGORIES)}
        # also what the person has decided about, or has got a mail of, without anyone's having described it
        shown = described.keys() | {rule.category for rule in present.rules if rule.category} | ({linked} - {""})
        categories = [_category(identifier, described.get(identifier), person.locale, present, project) for identifier in shown]
        hours = present.quiet_hours or project.quiet_hours
        return PreferencePage(
            person.locale,
            person.timezone,
            person.brand,
            tuple(sorted(categories, key=lambda category: (category.mandatory, category.name.casefold(), category.id))),
            None if hours == OFF else hours,
        )


def _category(identifier: str, category: Category | None, locale: str, present: Preferences, project: ProjectRules) -> PageCategory:
    words = _words(category, locale) if category is not None and category.texts else CategoryText(identifier, "")
    let_through = (
        channel for channel in CHANNELS if choice_of(channel, identifier, "", present.rules, project.rules)[0] is not Choice.DENY
    )
    return PageCategory(identifier, words.name, words.description, identifier in project.mandatory, frozenset(let_through))


def _words(category: Category, locale: str) -> CategoryText:
    default = _FALLBACK if _FALLBACK in category.texts else min(category.texts)
    return category.texts[choose(locale, category.texts, default)]


def _changed(page: PreferencePage, wanted: Mapping[tuple[str, Channel], bool]) -> Iterator[PreferenceRule]:
    """A rule for each choice that is not what holds already; what is not on the page can't be chosen there."""
    for category in page.categories:
        for channel in CHANNELS:
            want = wanted.get((category.id, channel))
            if want is not None and not category.mandatory and want != (channel in category.channels):
                yield PreferenceRule(channel, category.id, Choice.ALLOW if want else Choice.DENY)


def _refuse_mail(page: PreferencePage, present: Preferences) -> Iterator[PreferenceRule]:
    """All mail is refused, and so is what a rule of its own, which would go before that one, has allowed."""
    yield PreferenceRule(Channel.EMAIL, "", Choice.DENY)
    mandatory = {category.id for category in page.categories if category.mandatory}
    allowed = {(rule.category, rule.template) for rule in present.rules if rule.choice is Choice.ALLOW and rule.channel is not Channel.PUSH}
    for category, template in sorted(allowed - {("", "")}):
        if category not in mandatory:
            yield PreferenceRule(Channel.EMAIL, category, Choice.DENY, template)
