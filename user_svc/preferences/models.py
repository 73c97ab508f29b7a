"""What a preference is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mesh.etag import etag_of

MAX_RULES = 200


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
    """One choice. An empty category stands for every category."""

    channel: Channel
    category: str
    choice: Choice

    @property
    def name(self) -> str:
        """How the rule is named to others, such as "preference:email:billing"."""
        return f"preference:{self.channel}:{self.category or '*'}"


@dataclass(frozen=True, slots=True)
class Preferences:
    """A person's choices, in the order of channel and category. `update_time` is None for a person who never chose."""

    user_id: str
    rules: tuple[PreferenceRule, ...]
    update_time: datetime | None

    @property
    def etag(self) -> str:
        """Stands for this state."""
        rules = [(rule.channel.value, rule.category, rule.choice.value) for rule in self.rules]
        return etag_of(self.user_id, rules, self.update_time and self.update_time.timestamp())


def most_specific(rules: Iterable[PreferenceRule], channel: Channel, category: str) -> PreferenceRule | None:
    """The rule that decides: channel and category, then category alone, then channel alone, then the one for everything."""
    by_key = {(rule.channel, rule.category): rule for rule in rules}
    for key in ((channel, category), (Channel.ANY, category), (channel, ""), (Channel.ANY, "")):
        if key in by_key:
            return by_key[key]
    return None
