"""What callers are told about people."""

from mesh.errors import AlreadyExists, NotFound


class UserNotFound(NotFound):
    """There is no person with the id."""

    reason = "USER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no user with this id")


class EmailTaken(AlreadyExists):
    """Another person has the address, perhaps in another case."""

    reason = "EMAIL_TAKEN"

    def __init__(self) -> None:
        super().__init__("another user has this e-mail address")
