"""Errors about projects."""

from mesh.errors import AlreadyExists, NotFound


class ProjectNotFound(NotFound):
    """There is no such project."""

    reason = "PROJECT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such project; GET /v1/projects lists them")


class ProjectExists(AlreadyExists):
    """The id is taken."""

    reason = "PROJECT_EXISTS"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"project.id: there is a project {identifier} already")
