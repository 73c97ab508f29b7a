"""What a fault is: something that is done to a part under load, and undone."""

from tests.system.drills.rig import PROVIDER_CALLS, Link, Rig

# Mails and pushes that are at a provider when a worker or a connection ends: their outcome is unknown, so they are sent once more.
AT_THE_PROVIDERS = 2 * PROVIDER_CALLS


class Fault:
    """One fault.

    It lasts a random time from `lasts_s`. The recovery is over when every notification of the round is settled; `recovered` is for what
    the next round needs beside that. `doubles` is the number of messages in flight that it may have sent twice, per round.
    """

    lasts_s = (0.2, 1.5)
    doubles = AT_THE_PROVIDERS
    links: tuple[Link, ...] = ()
    small_disk = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def inject(self, rig: Rig) -> None:
        """Lets it happen."""
        raise NotImplementedError

    async def heal(self, rig: Rig) -> None:
        """Takes it away. For a fault that is over by itself there is nothing to do."""

    async def recovered(self, rig: Rig) -> None:
        """Returns when the part works again."""
