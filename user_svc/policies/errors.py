"""Errors about policies and categories."""

from mesh.errors import AlreadyExists, NotFound


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
