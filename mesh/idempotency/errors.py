"""Why a key can't be honoured."""

from mesh.errors import Aborted, InvalidArgument


class IdempotencyKeyReused(InvalidArgument):
    """The key was used for another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__("the idempotency key was used for another request; a new request needs a new key")


class IdempotencyInProgress(Aborted):
    """The first request with this key has not ended yet."""

    reason = "IDEMPOTENCY_IN_PROGRESS"

    def __init__(self) -> None:
        super().__init__("a request with this idempotency key is running; repeat it later", retry_after_s=1)


class KeyNotTaken(InvalidArgument):
    """The method is not one that can be made safe to repeat."""

    reason = "IDEMPOTENCY_KEY_NOT_TAKEN"

    def __init__(self) -> None:
        super().__init__("idempotency-key: is not taken by this method, whose answer holds credentials of a caller who is not known yet")


class AnswerLost(Aborted):
    """The first request was carried out, and its answer can't be read any more: the secret of the mesh has been changed since."""

    reason = "IDEMPOTENT_ANSWER_LOST"

    def __init__(self) -> None:
        super().__init__("a request with this idempotency key was carried out; its answer can't be given again: read what it has made")
