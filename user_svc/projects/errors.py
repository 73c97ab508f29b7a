"""Errors about projects."""

from mesh.errors import AlreadyExists, FailedPrecondition, NotFound


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


class ProjectArchived(FailedPrecondition):
    """The project is out of use."""

    reason = "PROJECT_ARCHIVED"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"the project {identifier} is archived; POST /v1/projects/{identifier}:restore takes it into use again")


class FirstProjectStays(FailedPrecondition):
    """Without it no one could restore any."""

    reason = "FIRST_PROJECT_STAYS"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"the project {identifier} can't be archived: its credentials look after all others")
