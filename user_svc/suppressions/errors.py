"""Errors about suppressions."""

from mesh.errors import NotFound


class SuppressionNotFound(NotFound):
    """The address may get e-mail already."""

    reason = "SUPPRESSION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("this address is not on the suppression list")
