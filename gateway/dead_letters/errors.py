"""What can go wrong with dead letters, as callers see it."""

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound


class DeadLetterNotFound(NotFound):
    """The notification has no dead letter, or does not exist."""

    reason = "DEAD_LETTER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no dead letter of this notification")


class AlreadyResolved(FailedPrecondition):
    """Another reviewer has decided otherwise."""

    reason = "ALREADY_RESOLVED"

    def __init__(self, state: str) -> None:
        super().__init__(f"the dead letter is {state} already", metadata={"state": state})


class NotRequeuable(FailedPrecondition):
    """There is nothing left to send, or no time left to send it in."""

    reason = "NOT_REQUEUABLE"

    def __init__(self, why: str) -> None:
        super().__init__(f"the notification can't be sent again: {why}")


class NewRecipientNotFound(InvalidArgument):
    """The person that it shall go to does not exist."""

    reason = "USER_NOT_FOUND"
