"""Errors about people."""

from mesh.errors import AlreadyExists, FailedPrecondition, FieldViolation, NotFound, PermissionDenied


class UserNotFound(NotFound):
    """There is no person with the id."""

    reason = "USER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no user with this id; it is the `id` that CreateUser answered, or the `external_id` that it was given")


class EmailTaken(AlreadyExists):
    """Another person has the address, perhaps in another case."""

    reason = "EMAIL_TAKEN"

    def __init__(self, field: str = "email") -> None:
        rule = "another user has this e-mail address; ListUsers with `email` finds that user"
        super().__init__(f"{field}: {rule}", violations=[FieldViolation(field, rule)])


class ExternalIdTaken(AlreadyExists):
    """Another person of the project has the external id."""

    reason = "EXTERNAL_ID_TAKEN"

    def __init__(self) -> None:
        rule = "another user has this id; GET /v1/users/{external_id} reads that user"
        super().__init__(f"external_id: {rule}", violations=[FieldViolation("external_id", rule)])


class ErasedByGateway(FailedPrecondition):
    """A person is more than what is kept here: the gateway's saga cancels and redacts what was sent to them first."""

    reason = "ERASED_BY_GATEWAY"

    def __init__(self) -> None:
        super().__init__("a user is erased by calling DeleteUser at the gateway, which also erases what was sent to them")


class PasswordNeeded(PermissionDenied):
    """Who holds a person's token for a moment must not be able to take the account over."""

    reason = "PASSWORD_NEEDED"

    def __init__(self) -> None:
        super().__init__("one's own address is changed with ChangeEmail (POST /v1/auth/change-email), which asks for the password")


class AccountAddressProtected(PermissionDenied):
    """Whose mailbox it is can have a new password sent: the address of someone who signs in stands for their credentials."""

    reason = "SCOPE_MISSING"

    def __init__(self) -> None:
        way = "who signs in changes their own with POST /v1/auth/change-email; for others it takes the scope users:admin"
        super().__init__(f"email: {way}", metadata={"scope": "users:admin", "field": "email"})


class AdministratorProtected(PermissionDenied):
    """Who may change people may not change those who may do everything."""

    reason = "SCOPE_MISSING"

    def __init__(self) -> None:
        super().__init__(
            "who is an administrator or has a role is changed with the scope users:admin only", metadata={"scope": "users:admin"}
        )
