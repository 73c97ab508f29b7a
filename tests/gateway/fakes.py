"""In-memory stand-ins of the gateway's ports."""

from collections.abc import Sequence

from gateway.notifications.models import Unsent


class Budget:
    """A recipient budget that remembers what was given back."""

    def __init__(self) -> None:
        self.unsent: list[Unsent] = []

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """See RecipientBudget."""
        self.unsent += unsent
