"""Unsubscribe links: a POST to one refuses e-mail of its category for its person (RFC 8058). They open the person's page of choices too.

A token is sealed, so that it shows neither person nor category, and names no address, so that it stays good when that changes. It does not
expire: a link in a mail of last year still has to work.
"""

import base64
import binascii
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from mesh.errors import NotFound
from mesh.sealing import SealBroken, Sealer
from user_svc.preferences.models import Channel, Choice, PreferenceChanges, PreferenceRule, most_specific
from user_svc.preferences.use_cases import MandatoryCategories, PreferenceStore

SEALED_FOR = "clarion unsubscribe links v1"
_NAME = "unsubscribe"
_PAGE = "preferences"
_ID_BYTES = 16


class LinkInvalid(NotFound):
    """The link is not ours, was changed, or its person is gone."""

    reason = "UNSUBSCRIBE_LINK_INVALID"

    def __init__(self) -> None:
        super().__init__("this link is not valid, or not any more")


class Subscription(NamedTuple):
    """What a link is about. What is `mandatory` by now is sent all the same; a refusal of it holds once that ends."""

    category: str
    locale: str
    refused: bool
    mandatory: bool


class Person(NamedTuple):
    """What is needed of the person whom a link is about."""

    project: str
    locale: str


class PersonStore(Protocol):
    """Where people are found."""

    async def people(self, user_ids: Collection[str]) -> Mapping[str, Person]:
        """Those of the ids that are people."""


class Link(NamedTuple):
    """Whom a link is for, and what it refuses. Links of the first release name no template."""

    user_id: str
    category: str
    template: str


class UnsubscribeLinks:
    """Makes and reads tokens."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def token(self, user_id: str, category: str, template: str = "") -> str:
        """The token of a person (canonical id), a category, and the template of the mail that it stands in."""
        about = f"{category}\0{template}" if template else category
        return _text(self._sealer.seal(UUID(user_id).bytes + about.encode(), _NAME))

    def page_token(self, user_id: str) -> str:
        """The token of the page on which a person (canonical id) chooses what they get. It unsubscribes from nothing."""
        return _text(self._sealer.seal(UUID(user_id).bytes, _PAGE))

    def read(self, token: str) -> Link:
        """What an unsubscribe link is about. Raises LinkInvalid."""
        link = self._opened(token, _NAME)
        if link is None:
            raise LinkInvalid
        return link

    def read_page(self, token: str) -> tuple[str, str]:
        """Whose page a link opens, and the category of the mail that it stands in: that of an unsubscribe link. Raises LinkInvalid."""
        link = self._opened(token, _PAGE) or self.read(token)
        return link.user_id, link.category

    def _opened(self, token: str, name: str) -> Link | None:
        try:
            sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            content = self._sealer.open(sealed, name)
        except (SealBroken, ValueError, binascii.Error):
            return None
        category, _, template = content[_ID_BYTES:].decode().partition("\0")
        return Link(str(UUID(bytes=content[:_ID_BYTES])), category, template)


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


class Unsubscribing:
    """What a link does."""

    def __init__(
        self,
        links: UnsubscribeLinks,
        people: PersonStore,
        preferences: PreferenceStore,
        categories: MandatoryCategories,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._links = links
        self._people = people
        self._preferences = preferences
        self._categories = categories
        self._now = now

    async def describe(self, token: str) -> Subscription:
        """What the link would refuse. Raises LinkInvalid."""
        link = self._links.read(token)
        person = await self._person(link.user_id)
        preferences = await self._preferences.find(person.project, link.user_id)
        if preferences is None:
            raise LinkInvalid
        rule = most_specific(preferences.rules, Channel.EMAIL, link.category, link.template)
        return await self._subscription(link, person, refused=rule is not None and rule.choice is Choice.DENY)

    async def unsubscribe(self, token: str) -> Subscription:
        """Refuses e-mail of the category, and of the template where a rule of its own has allowed that. Raises LinkInvalid."""
        link = self._links.read(token)
        person = await self._person(link.user_id)
        preferences = await self._preferences.find(person.project, link.user_id)
        if preferences is None:
            raise LinkInvalid
        rules = [PreferenceRule(Channel.EMAIL, link.category, Choice.DENY)]
        present = most_specific(preferences.rules, Channel.EMAIL, link.category, link.template)
        if present is not None and present.template and present.choice is Choice.ALLOW:
            rules.append(PreferenceRule(Channel.EMAIL, "", Choice.DENY, link.template))
        # a person with as many rules as there may be can still refuse one thing more
        changes = PreferenceChanges(rules, beyond_limit=True)
        if await self._preferences.update(person.project, link.user_id, changes, self._now()) is None:
            raise LinkInvalid
        return await self._subscription(link, person, refused=True)

    async def _subscription(self, link: Link, person: Person, *, refused: bool) -> Subscription:
        mandatory = link.category in await self._categories.mandatory(person.project)
        return Subscription(link.category, person.locale, refused, mandatory)

    async def _person(self, user_id: str) -> Person:
        person = (await self._people.people([user_id])).get(user_id)
        if person is None:
            raise LinkInvalid
        return person
