"""What can go wrong with notifications, as callers see it."""

from mesh.errors import FailedPrecondition, NotFound


class NotificationNotFound(NotFound):
    """There is no such notification, or it is another person's."""

    reason = "NOTIFICATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such notification")


class TooLateToCancel(FailedPrecondition):
    """An attempt is under way or has reached a person, or it is all over."""

    reason = "TOO_LATE_TO_CANCEL"

    def __init__(self, status: str) -> None:
        super().__init__(f"the notification can't be cancelled any more: it is {status}", metadata={"status": status})


class NotATest(FailedPrecondition):
    """A live key has sent it: its time is the person's."""

    reason = "NOT_A_TEST"

    def __init__(self) -> None:
        super().__init__("only the wait of a test key's notification can be skipped; this one was sent by a live key")


class NotWaiting(FailedPrecondition):
    """It is on its way, or it is all over."""

    reason = "NOT_WAITING"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"the notification waits for no time that could be skipped: it is {status}; a retry waits at most a few seconds",
            metadata={"status": status},
        )


class NothingCaptured(NotFound):
    """The sandbox has, or had, no message of the notification."""

    reason = "NOTHING_CAPTURED"

    def __init__(self) -> None:
        super().__init__("no message was captured: only those of test keys are, from their first attempt on and for a day")
