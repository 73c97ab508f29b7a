"""What can go wrong with sagas and with erasing a person, as callers see it."""

from mesh.errors import Aborted, NotFound, Unavailable
from mesh.sagas.orchestrator import StepGoesOn


class SagaNotFound(NotFound):
    """There is no such saga."""

    reason = "SAGA_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such saga")


class UserNotFound(NotFound):
    """There is no one to erase; user_svc says it with the same words."""

    reason = "USER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no user with this id; it is the `id` that CreateUser answered, and ListUsers finds it by e-mail address")


class ErasureTurnedBack(Aborted):
    """A step was refused before anything that can't be undone; what had been done is undone."""

    reason = "ERASURE_TURNED_BACK"

    def __init__(self, saga_id: str) -> None:
        super().__init__("the user was not deleted: a step was refused, and what had been done is undone", metadata={"saga_id": saga_id})


class StillPublishing(Unavailable):
    """Notifications are on their way to the bus: in a moment they are there, or are still here to be cancelled."""

    reason = "STILL_PUBLISHING"

    def __init__(self) -> None:
        super().__init__("some notifications are just being published")


class StillErasing(Unavailable):
    """A project has people who are not erased yet, and none of them can be just now."""

    reason = "STILL_ERASING"

    def __init__(self) -> None:
        super().__init__("people of the project are still being erased", retry_after_s=1.0)


class MoreToErase(StepGoesOn, StillErasing):
    """A turn has erased some of a project's people: the next one goes on."""

    reason = StillErasing.reason
