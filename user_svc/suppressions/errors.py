"""Errors about suppressions."""

from mesh.errors import FailedPrecondition, NotFound
from user_svc.suppressions.models import MAX_CATEGORIES


class SuppressionNotFound(NotFound):
    """The address may get e-mail already."""

    reason = "SUPPRESSION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("this address is not on the suppression list")


class TooManyCategories(FailedPrecondition):
    """One must go before another can come."""

    reason = "TOO_MANY_CATEGORIES"

    def __init__(self) -> None:
        super().__init__(f"an address may be suppressed for at most {MAX_CATEGORIES} categories; suppress it for all e-mail instead")
