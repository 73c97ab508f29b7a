"""What can go wrong with addresses."""

from mesh.errors import AlreadyExists, FailedPrecondition, FieldViolation, NotFound
from user_svc.addresses.models import MOST_FURTHER


class AddressNotFound(NotFound):
    """The person has no such address."""

    reason = "ADDRESS_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the user has no such address; GET /v1/users/{id}/addresses lists those that they have")


class AddressIsPrimary(FailedPrecondition):
    """A person is never left without the one that mail goes to by a call that is about the others."""

    reason = "ADDRESS_IS_PRIMARY"

    def __init__(self) -> None:
        super().__init__(
            "this is the address that mail goes to: POST /v1/users/{id}:requestAddressVerification verifies it, "
            "PATCH /v1/users/{id} changes it"
        )


class AddressTaken(AlreadyExists):
    """While its mail was on its way, or before, the address became another person's. Who has proved that they read it may know."""

    reason = "EMAIL_TAKEN"

    def __init__(self) -> None:
        rule = "is for an address that another user has; it can be verified once that user has another one"
        super().__init__(f"token: {rule}", violations=[FieldViolation("token", rule)])


class TooManyAddresses(FailedPrecondition):
    """One must go before another can come."""

    reason = "TOO_MANY_ADDRESSES"

    def __init__(self) -> None:
        super().__init__(f"a user may have at most {MOST_FURTHER} addresses beside the primary one; delete one first")
