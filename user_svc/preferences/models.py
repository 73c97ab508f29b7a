"""What a preference is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mesh.errors import InvalidArgument
from mesh.etag import etag_of
from user_svc.preferences.quiet_hours import QuietHours

MAX_RULES = 200
_TEMPLATE = "template:"


class Channel(StrEnum):
    """A way to reach a person; ANY stands for each of them in a rule."""

    ANY = "*"
    EMAIL = "email"
    PUSH = "push"


class Choice(StrEnum):
    """What a person decided; INHERIT removes the rule, so that the next wider one decides."""

    ALLOW = "allow"
    DENY = "deny"
    INHERIT = "inherit"


@dataclass(frozen=True, slots=True)
class PreferenceRule:
    """One choice. An empty category stands for every category; where there is a template, it is about that and the category is empty."""

    channel: Channel
    category: str
    choice: Choice
    template: str = ""

    @property
    def about(self) -> str:
        """What it is about, such as "email:billing", "*:*" or "push:template:welcome"."""
        return f"{self.channel}:{self.subject or '*'}"

    @property
    def subject(self) -> str:
        """The category, or "template:welcome", which no category can be called; empty for everything."""
        return f"{_TEMPLATE}{self.template}" if self.template else self.category

    @classmethod
    def of(cls, channel: str, subject: str, choice: str) -> "PreferenceRule":
        """What was stored."""
        if subject.startswith(_TEMPLATE):
            return cls(Channel(channel), "", Choice(choice), subject.removeprefix(_TEMPLATE))
        return cls(Channel(channel), subject, Choice(choice))


@dataclass(frozen=True, slots=True)
class Preferences:
    """A person's choices, the rules in the order of channel, category and template. `update_time` is None for a person who never chose."""

    user_id: str
    rules: tuple[PreferenceRule, ...]
    update_time: datetime | None
    quiet_hours: QuietHours | None = None

    @property
    def etag(self) -> str:
        """Stands for this state."""
        rules = [(rule.channel.value, rule.category, rule.template, rule.choice.value) for rule in self.rules]
        return etag_of(self.user_id, rules, str(self.quiet_hours), self.update_time and self.update_time.timestamp())


@dataclass(frozen=True, slots=True)
class PreferenceChanges:
    """What to change of a person's choices; None leaves the quiet hours as they are. `beyond_limit` lets there be more than MAX_RULES."""

    rules: Sequence[PreferenceRule] = ()
    quiet_hours: QuietHours | None = None
    inherit_quiet_hours: bool = False
    beyond_limit: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not (self.rules or self.quiet_hours or self.inherit_quiet_hours)

    def are_made_on(self, present: Preferences) -> bool:
        """Whether the choices are as they want them, and there is something that they want."""
        chosen = {rule.about: rule.choice for rule in present.rules}
        hours = present.quiet_hours if self.quiet_hours is None and not self.inherit_quiet_hours else self.quiet_hours
        rules = all(chosen.get(rule.about, Choice.INHERIT) == rule.choice for rule in self.rules)
        return not self.is_empty and rules and hours == present.quiet_hours

    def keep_limit(self, before: int, after: int) -> bool:
        """Whether a person may have so many rules after it; one who went beyond the limit may have as many as before."""
        return self.beyond_limit or after <= max(MAX_RULES, before)


def most_specific(rules: Sequence[PreferenceRule], channel: Channel, category: str, template: str = "") -> PreferenceRule | None:
    """The rule that decides: about the template, then the category, then everything; of two about the same the one for this channel."""
    if not rules:
        return None
    by_key = {(rule.channel, rule.category, rule.template): rule for rule in rules}
    for about in [("", template)] * bool(template) + [(category, ""), ("", "")]:
        for way in (channel, Channel.ANY):
            if (way, *about) in by_key:
                return by_key[way, *about]
    return None


def refuse_repeated(rules: Sequence[PreferenceRule], field: str = "rules") -> None:
    """Raises InvalidArgument when two rules are about the same."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        first = seen.setdefault(rule.about, index)
        if first != index:
            raise InvalidArgument.of(f"{field}[{index}]", f"is about the same as {field}[{first}]")
