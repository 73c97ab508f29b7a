"""Errors about preferences."""

from mesh.errors import FailedPrecondition
from user_svc.preferences.models import MAX_RULES


class TooManyRules(FailedPrecondition):
    """Some must be removed before others can come."""

    reason = "TOO_MANY_RULES"

    def __init__(self) -> None:
        super().__init__(f"a user may have at most {MAX_RULES} preference rules; remove some with the choice inherit")


class CategoryMandatory(FailedPrecondition):
    """The project sends it in any case."""

    reason = "CATEGORY_MANDATORY"

    def __init__(self, category: str) -> None:
        super().__init__(f"the category {category} is mandatory: it can't be refused")
