"""When the removal of devices stops: a surge of them means that a template or the project is at fault, not that everyone uninstalled."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_S = 600.0
# So many removals in a window need no share: a person's old phones, a template that is rarely used.
_ALWAYS = 10
_MOST_TEMPLATES = 1000


@dataclass(slots=True)
class _Window:
    began_s: float
    sent: int = 0
    removed: int = 0


class PruningGuard:
    """Counts, per template and ten minutes, the messages sent and the devices that they would remove. `share` is the most of them."""

    def __init__(self, *, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def count(self, template: str, messages: int) -> None:
        """Messages that got an answer."""
        self._window(template).sent += messages

    def allows(self, template: str, devices: int) -> bool:
        """Whether the devices may be removed; counts them when they may."""
        window = self._window(template)
        if window.removed + devices > max(_ALWAYS, self._share * window.sent):
            return False
        window.removed += devices
        return True

    def _window(self, template: str) -> _Window:
        now_s = self._clock()
        window = self._windows.get(template)
        if window is None or now_s - window.began_s > _WINDOW_S:
            window = self._windows[template] = _Window(now_s)
        self._windows.move_to_end(template)
        if len(self._windows) > _MOST_TEMPLATES:
            self._windows.popitem(last=False)
        return window
