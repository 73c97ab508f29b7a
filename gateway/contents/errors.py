"""What can go wrong with reading what was said, as callers see it."""

from mesh.errors import FailedPrecondition, ServiceError


class NotSent(FailedPrecondition):
    """It has said nothing to anyone, or not yet."""

    reason = "NOT_SENT"

    def __init__(self, status: str) -> None:
        said = f"only what was sent has a text that can be read or sent again; the notification is {status}"
        super().__init__(said, metadata={"status": status})


class LiveNotification(FailedPrecondition):
    """A live key has sent it, and a test key wants to send it again: what that makes can be read in the sandbox."""

    reason = "LIVE_NOTIFICATION"

    def __init__(self) -> None:
        super().__init__("a live key has sent it, and what a test key sends is open to all test keys of the project; use a live key")


class NotRepeatable(FailedPrecondition):
    """What the first one was made of is accepted no longer, such as its variables by the template as it is now."""

    reason = "NOT_REPEATABLE"

    def __init__(self, refusal: ServiceError) -> None:
        super().__init__(
            f"it can't be sent again as it was ({refusal.message}); send it anew with POST /v1/notifications",
            metadata={"why": refusal.reason},
        )


class ContentGone(FailedPrecondition):
    """What it said is kept no longer, or can't be made again."""

    reason = "CONTENT_GONE"

    @classmethod
    def by_time(cls) -> "ContentGone":
        """Its person was erased, or its time is over."""
        return cls("what the notification said is not kept, or is kept no longer")

    @classmethod
    def by_reason(cls, why: str) -> "ContentGone":
        """`why` is what template_svc has answered."""
        causes = "the template or the person has changed, or no text can be made of masked values"
        return cls(f"what the notification said can't be shown again: {why}; {causes}", metadata={"why": why})
