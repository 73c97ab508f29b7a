"""What can go wrong with links in mails. They name the way out, and no address."""

from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, ResourceExhausted


class ResetLinkInvalid(InvalidArgument):
    """Unknown, used or too old: the answer does not say which."""

    reason = "RESET_LINK_INVALID"

    def __init__(self) -> None:
        rule = "is not valid, or not any more; ask for another mail with POST /v1/auth/request-password-reset"
        super().__init__(f"token: {rule}", violations=[FieldViolation("token", rule)])


class VerificationLinkInvalid(InvalidArgument):
    """Unknown, used, too old, or for an address that is not the person's any more."""

    reason = "VERIFICATION_LINK_INVALID"

    def __init__(self) -> None:
        rule = "is not valid, or not any more; ask for another mail with POST /v1/users/{id}:requestAddressVerification"
        super().__init__(f"token: {rule}", violations=[FieldViolation("token", rule)])


class AddressMissing(FailedPrecondition):
    """Who has no address can prove none."""

    reason = "ADDRESS_MISSING"

    def __init__(self) -> None:
        super().__init__("the user has no e-mail address; give them one with PATCH /v1/users/{id}")


class TooManyMails(ResourceExhausted):
    """A person gets a few such mails an hour, no matter who asks for them."""

    reason = "ACCOUNT_MAILS_LIMITED"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("this person has been sent as many of these mails as there may be in an hour", retry_after_s=retry_after_s)
