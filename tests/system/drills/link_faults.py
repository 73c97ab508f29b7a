"""Connections between two parts that are slow, cut, reset, silent or forgotten."""

from tests.system.drills.fault import Fault
from tests.system.drills.proxy import Mode
from tests.system.drills.rig import LINKS, Link, Rig

_LATENCY_S = 0.5


class LinkFault(Fault):
    """One link, one way of failing."""

    lasts_s = (2.0, 5.0)
    # what is known of a silent connection to RabbitMQ only after two heartbeats
    recovers_s = 15.0

    def __init__(self, link: Link, mode: Mode) -> None:
        super().__init__(f"{mode}: {link}")
        self.links = (link,)
        self._mode = mode

    async def inject(self, rig: Rig) -> None:
        await rig.proxies[self.links[0]].misbehave(self._mode, delay_s=_LATENCY_S)

    async def heal(self, rig: Rig) -> None:
        await rig.proxies[self.links[0]].heal()


_MODES = (Mode.LATENCY, Mode.CUT, Mode.RESET, Mode.BLACK_HOLE, Mode.HALF_OPEN)
LINK_FAULTS = tuple(LinkFault(link, mode) for link in LINKS for mode in _MODES)
