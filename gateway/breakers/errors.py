"""What can go wrong with breakers, as callers see it."""

from mesh.errors import NotFound, Unavailable


class BreakerNotFound(NotFound):
    """No worker has asked for a breaker of that name."""

    reason = "BREAKER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no breaker of that name")


class BreakersUnavailable(Unavailable):
    """Redis is down, so each worker's breakers are its own and out of reach."""

    reason = "BREAKERS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the shared breakers can't be reached now", retry_after_s=1)
