"""Errors about projects."""

from mesh.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound


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


class ProjectNotArchived(FailedPrecondition):
    """What is in use is not erased: archiving ends its keys first, and can be taken back."""

    reason = "PROJECT_NOT_ARCHIVED"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"the project {identifier} is in use; POST /v1/projects/{identifier}:archive comes first")


class ProjectClosed(FailedPrecondition):
    """It is being erased."""

    reason = "PROJECT_CLOSED"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"the project {identifier} is being erased; there is no way back")


class ErasedByGateway(FailedPrecondition):
    """A project is more than what is kept here."""

    reason = "ERASED_BY_GATEWAY"

    def __init__(self) -> None:
        super().__init__("a project is erased by calling DeleteProject at the gateway, which also erases what other services hold of it")


class PeopleLeft(Aborted):
    """Someone is still there."""

    reason = "PEOPLE_LEFT"

    def __init__(self) -> None:
        super().__init__("the project still has people; they are erased first")
