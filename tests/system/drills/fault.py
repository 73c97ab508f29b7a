"""What a fault is: something that is done to a part under load, and undone."""

from tests.system.drills.rig import PROVIDER_CALLS, Link, Rig

# Mails and pushes that are at a provider when a worker or a connection ends: their outcome is unknown, so they are sent once more.
AT_THE_PROVIDERS = 2 * PROVIDER_CALLS


class Fault:
    """One fault.

    It lasts a random time from `lasts_s`. The recovery is over when every notification of the round is settled, at most `recovers_s` after
    the fault's end; `recovered` is for what the next round needs beside that. `doubles` is the number of messages in flight that it may
    have sent twice, per round: 0 unless a process or a link ends that carries messages to a provider. At most as many may be held as
    unknown though their provider has them. What is held on doubt must never be doubled, unless the fault `forgets` the claims.
    """

    lasts_s = (0.2, 1.5)
    recovers_s = 90.0
    doubles = AT_THE_PROVIDERS
    links: tuple[Link, ...] = ()
    small_disk = False
    forgets = False

    def __init__(self, name: str) -> None:
        self.name = name

    def is_possible(self) -> bool:
        """Whether this machine has what it takes."""
        return True

    async def inject(self, rig: Rig) -> None:
        """Lets it happen."""
        raise NotImplementedError

    async def heal(self, rig: Rig) -> None:
        """Takes it away. For a fault that is over by itself there is nothing to do."""

    async def recovered(self, rig: Rig) -> None:
        """Returns when the part works again."""
