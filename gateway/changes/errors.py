"""What can go wrong with the feed, as readers see it."""

from mesh.errors import FailedPrecondition


class CursorExpired(FailedPrecondition):
    """What follows the cursor is kept no longer."""

    reason = "CURSOR_EXPIRED"

    def __init__(self) -> None:
        super().__init__(
            "changes behind this cursor are kept no longer: read the notifications that matter, then go on without a cursor",
        )
