"""Errors about policies and categories."""

from mesh.errors import AlreadyExists, FailedPrecondition, NotFound
from user_svc.policies.models import MOST_CATEGORIES


class CategoryNotFound(NotFound):
    """The project has no such category."""

    reason = "CATEGORY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such category; GET /v1/categories lists them")


class CategoryExists(AlreadyExists):
    """The id is taken."""

    reason = "CATEGORY_EXISTS"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"category.id: there is a category {identifier} already; change it with PATCH /v1/categories/{identifier}")


class CategoriesFull(FailedPrecondition):
    """One must go before another can come."""

    reason = "CATEGORIES_FULL"

    def __init__(self) -> None:
        super().__init__(f"a project has at most {MOST_CATEGORIES} categories; delete one that nothing is sent of any more")
