"""A provider that refuses nearly everything for now: that is its state, so it is asked slowly and no delivery loses an attempt.

The breaker is for providers that fail. One that answers each mail with 451, or each push with 429, works and wants less.
"""

import logging
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

REASON = "PROVIDER_DEFERS"

_LOOKS_BACK = 20
_ENOUGH = 10
_SHARE = 0.8
# Where so little is sent that a ladder (14 s) ends before ten results are there: this many deliveries, and none was taken for so long.
_SEVERAL = 3
_NONE_FOR_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Pushback:
    """Active once nearly everything is refused for now. Then one job at a time finds out.

    That is four fifths of the last results (at least 10, of 20), or, where little is sent, each for 5 s; of several deliveries, since one
    that climbs a long ladder says nothing of others. The pause between two jobs that find out doubles from 1 s up to 30 s. The first that
    is not refused ends it.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._refused: deque[str] = deque(maxlen=_LOOKS_BACK)  # the deliveries that were refused; empty for one that was not
        self._run: set[str] = set()  # some of the deliveries that were refused since one was taken
        self._run_began = 0.0
        self._pause_s = 0.0
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Whether the provider refuses nearly everything."""
        return self._pause_s > 0

    @property
    def hold_s(self) -> float:
        """Seconds until the next job may find out; 0 when it may go now."""
        return max(0.0, self._until - self._clock()) if self.active else 0.0

    def enter(self) -> bool:
        """A job goes to the provider; whether it is the one that finds out. The next one of these goes after the pause."""
        if self.active:
            self._until = self._clock() + self._pause_s
        return self.active

    def note(self, delivery: str, *, refused: bool, found_out: bool) -> None:
        """What came of a delivery; `found_out` is what `enter` said of it."""
        self._refused.append(delivery if refused else "")
        self._note_run(delivery, refused=refused)
        if self.active:
            if not refused:
                log.info("the provider takes deliveries again", extra={"provider": self._name})
                self._pause_s = 0.0
                self._refused.clear()
            elif found_out:
                self._slow_down(min(2 * self._pause_s, _LONGEST_PAUSE_S))
        elif refused and (self._refuses_most() or self._takes_none()):
            log.warning("the provider refuses nearly everything for now: asking it slowly", extra={"provider": self._name})
            self._slow_down(_FIRST_PAUSE_S)

    def _note_run(self, delivery: str, *, refused: bool) -> None:
        if not refused:
            self._run.clear()
        elif not self._run:
            self._run, self._run_began = {delivery}, self._clock()
        elif len(self._run) < _SEVERAL:
            self._run.add(delivery)

    def _refuses_most(self) -> bool:
        refused = [delivery for delivery in self._refused if delivery]
        return len(self._refused) >= _ENOUGH and len(refused) >= _SHARE * len(self._refused) and len(set(refused)) >= _SEVERAL

    def _takes_none(self) -> bool:
        return len(self._run) >= _SEVERAL and self._clock() - self._run_began >= _NONE_FOR_S

    def _slow_down(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._until = self._clock() + pause_s
