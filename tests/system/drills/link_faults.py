"""Connections between two parts that are slow, cut, reset, silent or forgotten."""

from tests.system.drills.fault import Fault
from tests.system.drills.proxy import Mode
from tests.system.drills.rig import LINKS, Link, Rig

_LATENCY_S = 0.5
# CLARION_SMTP_TIMEOUT_S: so long an SMTP server may take for its answer to a command, of which RFC 5321 would grant it minutes
_SMTP_ANSWERS_S = 60.0


class LinkFault(Fault):
    """One link, one way of failing."""

    lasts_s = (2.0, 5.0)

    def __init__(self, link: Link, mode: Mode) -> None:
        super().__init__(f"{mode}: {link}")
        self.links = (link,)
        self._mode = mode
        # of a silent connection to RabbitMQ one knows only after two heartbeats; to a provider it takes the breaker or the ladder
        self.recovers_s = 15.0 if link.callee in {"RabbitMQ", "SMTP", "FCM"} else 5.0
        if mode is Mode.HALF_OPEN and link.callee == "SMTP":
            self.recovers_s += _SMTP_ANSWERS_S

    async def inject(self, rig: Rig) -> None:
        await rig.proxies[self.links[0]].misbehave(self._mode, delay_s=_LATENCY_S)

    async def heal(self, rig: Rig) -> None:
        await rig.proxies[self.links[0]].heal()


_MODES = (Mode.LATENCY, Mode.CUT, Mode.RESET, Mode.BLACK_HOLE, Mode.HALF_OPEN)
LINK_FAULTS = tuple(LinkFault(link, mode) for link in LINKS for mode in _MODES)
