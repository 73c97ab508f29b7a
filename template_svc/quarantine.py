"""Keeps a template that is stopped again and again from using up the time of its batch, in which other people's messages wait."""

from collections.abc import Callable

from template_svc.errors import RenderTooSlow
from template_svc.models import VersionKey

STRIKES = 3
HOLD_S = 60.0
MAX_PLACES = 1000


class Quarantine:
    """After three stops in a row of one content, its renderings are refused at once for a minute. `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # strikes, and until when the last of them counts
        self._strikes: dict[tuple[VersionKey, str], tuple[int, float]] = {}

    def check(self, key: VersionKey, locale: str) -> None:
        """Raises RenderTooSlow while the content is held."""
        if not self._strikes:
            return
        strikes, until = self._strikes.get((key, locale), (0, 0.0))
        if strikes >= STRIKES and self._clock() < until:
            raise RenderTooSlow.at(f"contents.{locale}", None, "was stopped several times and is held for a minute")

    def strike(self, key: VersionKey, locale: str) -> None:
        """The content was stopped. After its minute one more stop holds it again."""
        strikes, _ = self._strikes.pop((key, locale), (0, 0.0))
        if len(self._strikes) >= MAX_PLACES:
            self._strikes.pop(next(iter(self._strikes)))
        self._strikes[key, locale] = (strikes + 1, self._clock() + HOLD_S)

    def clear(self, key: VersionKey, locale: str) -> None:
        """The content was rendered."""
        if self._strikes:
            self._strikes.pop((key, locale), None)
