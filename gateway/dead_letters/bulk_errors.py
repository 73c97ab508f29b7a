"""What can go wrong with jobs, as callers see it."""

from mesh.errors import NotFound


class BulkOperationNotFound(NotFound):
    """There is no such job, or it is past its retention."""

    reason = "DEAD_LETTER_JOB_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such job")
